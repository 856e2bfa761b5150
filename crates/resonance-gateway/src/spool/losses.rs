//! What was lost, told once and not a thousand times. No IO, and told the time.

use std::sync::Arc;
use std::time::Duration;

use resonance_plant::{Code, Event, Timestamp, Value};

/// The least time between two reports of losses.
pub(super) const REPORT_EVERY: Duration = Duration::from_secs(10);
/// The spool was full once, not twice, where less than this lies between two losses.
pub(super) const EPISODE_GAP: Duration = Duration::from_secs(60);

/// Why results were dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// They came faster than the disk takes them, or while it took none.
    Queue,
    /// The spool holds as many bytes as it may.
    Bytes,
    /// A sink was behind for longer than the spool keeps results.
    Age,
    /// The file was damaged.
    Damage,
}

impl Reason {
    const ALL: [Self; 4] = [Self::Queue, Self::Bytes, Self::Age, Self::Damage];

    const fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Bytes => "bytes",
            Self::Age => "age",
            Self::Damage => "damage",
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Queue => "came faster than the disk took them",
            Self::Bytes => "found no room in the spool",
            Self::Age => "grew too old in the spool",
            Self::Damage => "were in a damaged file",
        }
    }
}

/// Losses not yet reported, and whether the spool is full at the moment.
#[derive(Debug)]
pub(super) struct Losses {
    sinks: Vec<(Arc<str>, u64)>,
    results: [u64; Reason::ALL.len()],
    reported_at: Option<Timestamp>,
    full_last: Option<Timestamp>,
}

impl Losses {
    /// No losses, for these sinks.
    pub(super) fn new(sinks: impl Iterator<Item = Arc<str>>) -> Self {
        Self {
            sinks: sinks.map(|sink| (sink, 0)).collect(),
            results: [0; Reason::ALL.len()],
            reported_at: None,
            full_last: None,
        }
    }

    /// Adds `results` that were dropped, and how many of them each sink had not had. Returns true
    /// where this begins an episode of a full spool.
    pub(super) fn add(
        &mut self,
        now: Timestamp,
        reason: Reason,
        results: u64,
        per_sink: impl Iterator<Item = u64>,
    ) -> bool {
        self.results[reason as usize] += results;
        for ((_, lost), more) in self.sinks.iter_mut().zip(per_sink) {
            *lost += more;
        }
        if !matches!(reason, Reason::Bytes | Reason::Age) {
            return false;
        }
        let begins = self.full_last.is_none_or(|last| passed(last, now, EPISODE_GAP));
        self.full_last = Some(now);
        begins
    }

    /// The report of what was lost since the last one, if there is any and it is time for it.
    pub(super) fn due(&mut self, now: Timestamp, at_the_end: bool) -> Option<Event> {
        let total: u64 = self.results.iter().sum();
        let early = self.reported_at.is_some_and(|last| !passed(last, now, REPORT_EVERY));
        if total == 0 || (early && !at_the_end) {
            return None;
        }
        let reasons: Vec<String> = Reason::ALL
            .into_iter()
            .filter(|reason| self.results[*reason as usize] > 0)
            .map(|reason| format!("{} {}", self.results[reason as usize], reason.text()))
            .collect();
        let message = format!("results were dropped: {}", reasons.join(", "));
        let mut event = Event::new(now, Code::ResultDropped, "spool", message);
        for reason in Reason::ALL {
            event = event.with(reason.name(), Value::Uint(self.results[reason as usize]));
        }
        for (sink, lost) in &mut self.sinks {
            event = event.with(format!("sink/{sink}"), Value::Uint(std::mem::take(lost)));
        }
        self.results = [0; Reason::ALL.len()];
        self.reported_at = Some(now);
        Some(event)
    }
}

/// Whether `least` has passed. A clock that was set back counts as well.
fn passed(since: Timestamp, now: Timestamp, least: Duration) -> bool {
    now < since || now >= since.plus(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_loss_is_told_at_once_and_later_ones_in_sum() {
        let mut losses = Losses::new(["mes".into(), "scada".into()].into_iter());
        let start = Timestamp::from_millis(0);
        assert!(losses.add(start, Reason::Bytes, 5, [5, 2].into_iter()));
        let first = losses.due(start, false).unwrap();
        assert!(first.detail.contains(&("sink/mes".into(), Value::Uint(5))), "{first:?}");
        for second in 1..=9 {
            let now = start.plus(Duration::from_secs(second));
            assert!(!losses.add(now, Reason::Bytes, 1, [1, 0].into_iter()), "one episode");
            assert_eq!(losses.due(now, false), None);
        }
        let later = losses.due(start.plus(REPORT_EVERY), false).unwrap();
        assert!(later.detail.contains(&("bytes".into(), Value::Uint(9))), "{later:?}");
        assert!(later.detail.contains(&("sink/scada".into(), Value::Uint(0))), "{later:?}");
        let next = start.plus(Duration::from_secs(9) + EPISODE_GAP);
        assert!(losses.add(next, Reason::Age, 1, [1, 1].into_iter()), "a new episode");
    }

    #[test]
    fn the_end_waits_for_nothing_and_no_loss_is_no_report() {
        let mut losses = Losses::new(["mes".into()].into_iter());
        let now = Timestamp::from_millis(0);
        assert_eq!(losses.due(now, true), None);
        losses.add(now, Reason::Queue, 1, [1].into_iter());
        assert!(losses.due(now, false).is_some());
        losses.add(now, Reason::Queue, 1, [1].into_iter());
        assert_eq!(losses.due(now, false), None);
        assert!(losses.due(now, true).is_some());
    }
}
