//! How values get past the filters of the OPC UA stack as they are.
//!
//! The stack judges by source times whether a value comes too early for an item's sampling
//! interval, and a value that does is given another source time. Without a filter it reports no
//! change of status alone. A [`Passage`] keeps what the stack compares with, and says what to hand
//! over so that no source time is changed and no status lost:
//!
//! * A value the stack would give another source time is handed over without one. The server time
//!   stays. Where the queue holds one value, a value that is not null keeps its source time: a
//!   null handed over before it resets the comparison, and is replaced before any client sees it.
//! * A status that changes alone is preceded by a null of the same status. Clients with a longer
//!   queue see both.
//!
//! docs/adr/0003-opcua-server-stack.md says what remains.

use opcua::types::{DataValue, DateTime, StatusCode, Variant};

/// The sampling interval items are created with in the stack, in ms: it counts whole
/// microseconds, so this is none, and the shortest that `revise_sampling_interval` takes.
/// How often an item is sampled is the sampler's to keep.
pub(crate) const STACK_INTERVAL_MS: f64 = f64::MIN_POSITIVE;

/// Ticks of 100 ns a millisecond.
const TICKS_PER_MS: f64 = 1e4;

/// What a client asked of an item, as far as the stack's filters depend on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// The interval the stack filters by, in ms; negative: by its publishing.
    pub(crate) interval_ms: f64,
    /// Whether it is known that there is neither a filter nor an index range.
    pub(crate) is_plain: bool,
    /// How many values the stack's queue holds.
    pub(crate) queue_size: usize,
}

/// What one item of the stack was handed last, and under which terms it takes the next.
#[derive(Debug)]
pub(crate) struct Passage {
    terms: Terms,
    value: Option<Variant>,
    status: Option<StatusCode>,
    /// The source time the stack may compare with, in ticks of 100 ns.
    source: Option<i64>,
}

/// What to hand over, one after the other.
#[derive(Debug, PartialEq)]
pub(crate) struct Handed {
    /// A null that makes the stack take the value as it is.
    pub(crate) before: Option<DataValue>,
    /// The value.
    pub(crate) value: DataValue,
}

impl Passage {
    /// An item that was handed nothing yet.
    pub(crate) fn new(terms: Terms) -> Self {
        Self { terms, value: None, status: None, source: None }
    }

    /// The client changed the item; its filter is no longer known.
    pub(crate) fn modify(&mut self, interval_ms: f64, queue_size: usize) {
        self.terms = Terms { interval_ms, is_plain: false, queue_size };
    }

    /// What to create the item with; the stack takes it as it is.
    pub(crate) fn first(&mut self, mut value: DataValue) -> DataValue {
        if self.terms.interval_ms < 0.0 && !self.may_precede_unseen() {
            value.source_timestamp = None;
        }
        self.keep(&value);
        value
    }

    /// What to hand over for a value.
    pub(crate) fn next(&mut self, mut value: DataValue) -> Handed {
        if !self.terms.is_plain {
            if !self.is_in_time(value.source_timestamp) {
                value.source_timestamp = None;
            }
            // Whether its filter takes the value is not known: the latest time holds.
            self.source = self.source.max(ticks(value.source_timestamp));
            return Handed { before: None, value };
        }
        let changes_alone = value.value == self.value && value.status != self.status;
        if value.value == self.value && !changes_alone {
            return Handed { before: None, value };
        }
        let is_null = matches!(value.value, None | Some(Variant::Empty));
        if changes_alone && is_null {
            // To the stack the two ways to write null are different values; to clients the same.
            value.value = if value.value.is_none() { Some(Variant::Empty) } else { None };
        }
        let is_late = !self.is_in_time(value.source_timestamp);
        let precedes = !is_null && (changes_alone || is_late && self.may_precede_unseen());
        let before = precedes.then(|| DataValue {
            value: if self.value == Some(Variant::Empty) { None } else { Some(Variant::Empty) },
            source_timestamp: None,
            source_picoseconds: None,
            ..value.clone()
        });
        if is_late && !precedes {
            value.source_timestamp = None;
        }
        self.keep(&value);
        Handed { before, value }
    }

    /// Whether the stack takes a value of this source time as it is.
    fn is_in_time(&self, source: Option<DateTime>) -> bool {
        if self.terms.interval_ms < 0.0 {
            return source.is_none();
        }
        // The stack counts whole microseconds, so nothing is lost by rounding to ticks.
        let spacing = (self.terms.interval_ms * TICKS_PER_MS).round() as i64;
        match (self.source, ticks(source)) {
            (Some(old), Some(new)) => new.saturating_sub(old) >= spacing,
            _ => true,
        }
    }

    fn may_precede_unseen(&self) -> bool {
        self.terms.is_plain && self.terms.queue_size == 1
    }

    fn keep(&mut self, value: &DataValue) {
        self.value.clone_from(&value.value);
        self.status = value.status;
        self.source = ticks(value.source_timestamp);
    }
}

fn ticks(time: Option<DateTime>) -> Option<i64> {
    time.map(|time| time.ticks())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(number: impl Into<Option<f64>>, status: StatusCode, source_ms: i64) -> DataValue {
        DataValue {
            value: number.into().map(Variant::Double),
            status: Some(status),
            source_timestamp: Some(DateTime::from(1_000_000_000 + source_ms * 10_000)),
            server_timestamp: Some(DateTime::from(2_000_000_000)),
            ..DataValue::null()
        }
    }

    fn passage(interval_ms: f64, is_plain: bool, queue_size: usize) -> Passage {
        let mut passage = Passage::new(Terms { interval_ms, is_plain, queue_size });
        passage.first(value(1.0, StatusCode::Good, 0));
        passage
    }

    fn alone(value: DataValue) -> Handed {
        Handed { before: None, value }
    }

    fn untimed(value: DataValue) -> DataValue {
        DataValue { source_timestamp: None, ..value }
    }

    fn null(value: DataValue) -> DataValue {
        untimed(DataValue { value: Some(Variant::Empty), ..value })
    }

    #[test]
    fn values_whose_source_time_does_not_run_backwards_pass_unchanged() {
        for is_plain in [true, false] {
            let mut passage = passage(STACK_INTERVAL_MS, is_plain, 10);
            for (number, ms) in [(2.0, 1), (3.0, 1), (4.0, 5_000)] {
                let next = value(number, StatusCode::Good, ms);
                assert_eq!(passage.next(next.clone()), alone(next));
            }
        }
    }

    #[test]
    fn a_source_time_that_runs_backwards_is_left_out_once() {
        let mut passage = passage(STACK_INTERVAL_MS, true, 10);
        let (back, on) = (value(2.0, StatusCode::Good, -50), value(3.0, StatusCode::Good, -49));
        assert_eq!(passage.next(back.clone()), alone(untimed(back)));
        assert_eq!(passage.next(on.clone()), alone(on));
    }

    #[test]
    fn behind_a_filter_source_times_are_left_out_until_they_run_on() {
        let mut passage = passage(STACK_INTERVAL_MS, false, 1);
        let (back, on) = (value(2.0, StatusCode::Good, -50), value(3.0, StatusCode::Good, -49));
        assert_eq!(passage.next(back.clone()), alone(untimed(back)));
        assert_eq!(passage.next(on.clone()), alone(untimed(on)));
        let later = value(4.0, StatusCode::Good, 1);
        assert_eq!(passage.next(later.clone()), alone(later));
    }

    #[test]
    fn a_queue_of_one_keeps_every_source_time() {
        for interval_ms in [STACK_INTERVAL_MS, -1.0] {
            let mut passage = passage(interval_ms, true, 1);
            for (number, ms) in [(2.0, -1), (3.0, -2)] {
                let next = value(number, StatusCode::Good, ms);
                let before = Some(null(next.clone()));
                assert_eq!(passage.next(next.clone()), Handed { before, value: next });
            }
        }
    }

    #[test]
    fn sampled_by_publishing_with_a_longer_queue_there_are_no_source_times() {
        let mut passage = Passage::new(Terms { interval_ms: -1.0, is_plain: true, queue_size: 2 });
        let first = value(1.0, StatusCode::Good, 0);
        assert_eq!(passage.first(first.clone()), untimed(first));
        let next = value(2.0, StatusCode::Good, 100);
        assert_eq!(passage.next(next.clone()), alone(untimed(next)));
    }

    #[test]
    fn an_interval_the_client_modified_is_kept_by_source_times() {
        let mut passage = passage(STACK_INTERVAL_MS, true, 10);
        passage.modify(10.0, 10);
        let (early, late) = (value(2.0, StatusCode::Good, 9), value(3.0, StatusCode::Good, 10));
        assert_eq!(passage.next(early.clone()), alone(untimed(early)));
        assert_eq!(passage.next(late.clone()), alone(late));
    }

    #[test]
    fn a_status_that_changes_alone_is_told() {
        let mut passage = passage(STACK_INTERVAL_MS, true, 10);
        let uncertain = value(1.0, StatusCode::Uncertain, 1);
        let before = Some(null(uncertain.clone()));
        assert_eq!(passage.next(uncertain.clone()), Handed { before, value: uncertain.clone() });
        assert_eq!(passage.next(uncertain.clone()), alone(uncertain), "nothing changed");

        let bad = value(None, StatusCode::BadNotConnected, 2);
        assert_eq!(passage.next(bad.clone()), alone(bad));
        let other = value(None, StatusCode::BadDeviceFailure, 3);
        let written_otherwise = DataValue { value: Some(Variant::Empty), ..other.clone() };
        assert_eq!(passage.next(other), alone(written_otherwise));
    }
}
