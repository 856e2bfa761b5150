//! What is missing because the machine was away: from when, to when, why; and what its history gave
//! back of it.

use resonance_plant::{PointIndex, Timestamp};

use crate::hub::ingest::GapReason;

/// Start times of one and the same server may differ by this much, nanoseconds: some compute
/// theirs from an uptime.
const START_JITTER: i64 = 2_000_000_000;

/// Follows one machine through losses and returns.
#[derive(Debug, Default)]
pub(super) struct Outage {
    heard: Option<Timestamp>,
    open: Option<(Timestamp, GapReason)>,
    started: Option<Timestamp>,
}

/// Observations that are missing between two moments.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Missing {
    /// The last moment known to be complete.
    pub(super) from: Timestamp,
    /// The first moment known to be complete again.
    pub(super) to: Timestamp,
    /// Why.
    pub(super) reason: GapReason,
}

/// What was had from a machine's history.
#[derive(Debug, Default)]
pub(super) struct Recovery {
    /// What is missing before stays missing: it is too old.
    pub(super) oldest: Option<Timestamp>,
    /// Values that were read.
    pub(super) values: u64,
    /// Points whose history was read to its end.
    pub(super) whole: usize,
    /// Points without history.
    pub(super) without: Vec<PointIndex>,
    /// Points whose history was read in part, and the first moment from which one lacks.
    pub(super) partial: Vec<PointIndex>,
    pub(super) partial_since: Option<Timestamp>,
}

impl Outage {
    /// The machine said something: data or a keep-alive. Ends an outage, whose gap is returned.
    pub(super) fn heard(&mut self, now: Timestamp) -> Option<Missing> {
        self.heard = Some(now);
        self.open.take().map(|(from, reason)| Missing { from, to: now.max(from), reason })
    }

    /// The machine is lost. Only the first loss counts until the machine is heard again, and
    /// none does before it was ever heard.
    pub(super) fn lost(&mut self, reason: GapReason) {
        if let (None, Some(heard)) = (self.open, self.heard) {
            self.open = Some((heard, reason));
        }
    }

    /// Since when the outage lasts that is open.
    pub(super) fn since(&self) -> Option<Timestamp> {
        self.open.map(|(from, _)| from)
    }

    /// There was no outage after all: the machine kept everything that it had to say.
    pub(super) fn forget(&mut self) {
        self.open = None;
    }

    /// Something that the machine had to say since then did not arrive, though it was heard.
    pub(super) fn incomplete_since(&mut self, moment: Timestamp) {
        self.heard = self.heard.map(|heard| heard.min(moment));
    }

    /// The outage that is open is put down to this. Returns whether one is open.
    pub(super) fn is_for(&mut self, because: GapReason) -> bool {
        if let Some((_, reason)) = &mut self.open {
            *reason = because;
        }
        self.open.is_some()
    }

    /// The machine's server says since when it runs. Returns whether it restarted since it was
    /// last asked; the outage that is open is then put down to that.
    pub(super) fn server_started(&mut self, at: Timestamp) -> bool {
        let restarted =
            self.started.is_some_and(|before| at.since(before).saturating_abs() > START_JITTER);
        self.started = Some(at);
        if restarted {
            self.is_for(GapReason::ServerRestart);
        }
        restarted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    #[test]
    fn a_gap_reaches_from_the_last_message_to_the_first_after() {
        let mut outage = Outage::default();
        outage.lost(GapReason::ConnectionLost);
        assert_eq!(outage.heard(at(1)), None, "nothing is missing before the first contact");
        assert_eq!(outage.heard(at(2)), None);
        outage.lost(GapReason::Silence);
        outage.lost(GapReason::ConnectionLost);
        let gap = Missing { from: at(2), to: at(9), reason: GapReason::Silence };
        assert_eq!(outage.heard(at(9)), Some(gap));
        assert_eq!(outage.heard(at(10)), None);
    }

    #[test]
    fn a_machine_that_was_heard_without_all_it_had_to_say_is_missing_from_before() {
        let mut outage = Outage::default();
        outage.heard(at(2));
        outage.lost(GapReason::ConnectionLost);
        outage.forget();
        assert_eq!(outage.heard(at(5)), None, "its session went on");
        outage.incomplete_since(at(2));
        outage.lost(GapReason::ConnectionLost);
        assert_eq!(outage.heard(at(9)).map(|gap| (gap.from, gap.to)), Some((at(2), at(9))));
    }

    #[test]
    fn a_new_start_time_is_a_restart() {
        let mut outage = Outage::default();
        assert!(!outage.server_started(at(100)));
        outage.heard(at(200));
        assert!(!outage.server_started(at(101)), "within the jitter");
        outage.lost(GapReason::ConnectionLost);
        assert!(outage.server_started(at(210)));
        let gap = Missing { from: at(200), to: at(220), reason: GapReason::ServerRestart };
        assert_eq!(outage.heard(at(220)), Some(gap));
    }

    #[test]
    fn a_clock_that_jumps_back_gives_no_negative_gap() {
        let mut outage = Outage::default();
        outage.heard(at(50));
        outage.lost(GapReason::ConnectionLost);
        assert_eq!(outage.heard(at(40)).map(|gap| (gap.from, gap.to)), Some((at(50), at(50))));
    }
}
