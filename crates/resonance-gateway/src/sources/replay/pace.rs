//! When a row is due.

use std::time::Duration;

use resonance_plant::Timestamp;

use super::config::TimeUnit;

/// Follows recorded times with our clock.
#[derive(Debug)]
pub(super) struct Pace {
    speed: f64,
    usual: Duration,
    /// The first row's recorded time, and when it was due.
    origin: Option<(Timestamp, Timestamp)>,
    last: Option<(Timestamp, Timestamp)>,
}

impl Pace {
    /// At `speed` times the recorded pace; `usual` between rows that tell no time.
    pub(super) fn new(speed: f64, usual: Duration) -> Self {
        Self { speed, usual, origin: None, last: None }
    }

    /// The recording begins anew.
    pub(super) fn rewind(&mut self) {
        self.origin = None;
    }

    /// When a row is due that was recorded then. One that was recorded before the row before it, or
    /// tells no time, is due after the usual period, and so is the first of a new round.
    pub(super) fn due(&mut self, recorded: Option<Timestamp>, now: Timestamp) -> Timestamp {
        let usual = self.usual.as_secs_f64() / self.speed;
        let usual = Duration::try_from_secs_f64(usual).unwrap_or(self.usual);
        let after = self.last.map_or(now, |(_, due)| due.plus(usual));
        let due = match (recorded, self.origin, self.last) {
            (Some(recorded), Some((first, began)), Some((before, _))) if recorded >= before => {
                let since_ns = recorded.since(first) as f64 / self.speed;
                Timestamp::from_nanos(began.nanos().saturating_add(since_ns as i64))
            }
            _ => after,
        };
        if let Some(recorded) = recorded {
            let is_back = self.last.is_some_and(|(before, _)| recorded < before);
            if self.origin.is_none() || is_back {
                self.origin = Some((recorded, due));
            }
        }
        let recorded = recorded.or(self.last.map(|(recorded, _)| recorded));
        self.last = Some((recorded.unwrap_or(Timestamp::EPOCH), due));
        due
    }
}

/// The time in a field.
pub(super) fn parse(text: &str, unit: TimeUnit) -> Option<Timestamp> {
    let nanos = match unit {
        TimeUnit::Rfc3339 => return Timestamp::parse_rfc3339(text),
        TimeUnit::Seconds => 1e9,
        TimeUnit::Milliseconds => 1e6,
        TimeUnit::Microseconds => 1e3,
        TimeUnit::Nanoseconds => 1.0,
    };
    if unit == TimeUnit::Nanoseconds
        && let Ok(nanos) = text.parse()
    {
        return Some(Timestamp::from_nanos(nanos));
    }
    let number: f64 = text.parse().ok()?;
    let nanos = number * nanos;
    (nanos.abs() < 9e18).then_some(Timestamp::from_nanos(nanos as i64))
}
