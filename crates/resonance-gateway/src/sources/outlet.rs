//! From a source's values into blocks for the hub, and what is told about them: whichever protocol
//! they came by.

use std::sync::Arc;
use std::time::Duration;

use resonance_plant::{
    BLOCK_CAPACITY, Block, Code, DataType, Event, PointIndex, Status, Timestamp, Value, ValueKind,
};

use super::Link;
use super::limiter::Limiter;
use super::opcua::config::TimeFrom;
use super::text::Mismatch;
use crate::hub::ingest::{BlockSender, Gap, GapReason};

/// A source time later than the receive time by more than this, the measured offset of the
/// machine's clock allowed for, is no time at which something was so.
const FUTURE_MAX: Duration = Duration::from_secs(60);

/// No machine measured anything before 1990: clocks that were never set start at 1601, 1970,
/// 1980 or 1984. A value may well be years old: it is sent with the time of its last change.
const PAST_MIN: Timestamp = Timestamp::from_millis(631_152_000_000);

/// Fills blocks and sends them when they are full or the message ends.
#[derive(Debug)]
pub(super) struct Outlet {
    pub(super) link: Link,
    pub(super) time: TimeFrom,
    subject: String,
    block: Option<Box<Block>>,
    limiter: Limiter,
    /// When the message at hand was received.
    received: Timestamp,
    /// The latest time that is plausible for it.
    future: Timestamp,
    /// Rows are from the machine's history.
    is_past: bool,
}

/// One observation, before it is a row.
pub(super) struct Row {
    pub(super) kind: ValueKind,
    pub(super) column: f64,
    pub(super) side: Option<Value>,
    pub(super) status: Status,
}

impl Row {
    /// No value.
    pub(super) fn empty(status: Status) -> Self {
        Self { kind: ValueKind::Empty, column: 0.0, side: None, status }
    }
}

impl Outlet {
    pub(super) fn new(link: &Link, time: TimeFrom) -> Self {
        Self {
            link: link.clone(),
            time,
            subject: format!("source/{}", link.id),
            block: None,
            limiter: Limiter::default(),
            received: Timestamp::EPOCH,
            future: Timestamp::EPOCH,
            is_past: false,
        }
    }

    /// How far the clock that observations carry is ahead of ours, microseconds.
    pub(super) fn clock_offset_us(&self) -> i64 {
        match self.time {
            TimeFrom::Receive => 0,
            TimeFrom::Source | TimeFrom::Server => self.link.counters.clock_offset_us.value(),
        }
    }

    /// A message begins that was received then.
    pub(super) fn begin(&mut self, received: Timestamp) {
        let offset = u64::try_from(self.link.counters.clock_offset_us.value()).unwrap_or(0);
        self.received = received;
        self.future = received.plus(FUTURE_MAX + Duration::from_micros(offset));
    }

    /// When the message at hand was received.
    pub(super) fn received(&self) -> Timestamp {
        self.received
    }

    /// Whether a machine can have observed something then.
    #[inline]
    pub(super) fn is_plausible(&self, time: Timestamp) -> bool {
        (PAST_MIN..=self.future).contains(&time)
    }

    /// The time an observation carries: as sent, where that is plausible, else that of receipt.
    /// `shown` is how the machine wrote a time that is none.
    #[inline]
    pub(super) fn plausible(
        &mut self,
        index: usize,
        time: Option<Timestamp>,
        shown: impl FnOnce() -> Option<String>,
    ) -> Timestamp {
        match time {
            Some(time) if self.is_plausible(time) => time,
            _ => {
                self.link.counters.times_replaced.add(1);
                let shown = time.map(|time| time.to_string()).or_else(shown);
                let shown = shown.unwrap_or_else(|| "absent".into());
                self.tell(Code::PointTimeImplausible, index, self.received, || {
                    (format!("its time is {shown}; the receive time stands in"), Value::Empty)
                });
                self.received
            }
        }
    }

    /// Says of a point that it has no value, and why.
    pub(super) async fn without_value(
        &mut self,
        index: usize,
        status: Status,
        received: Timestamp,
        out: &mut BlockSender,
    ) {
        let Some(point) = self.link.points.get(index) else { return };
        let point = point.point;
        self.received = received;
        self.push(point, Row::empty(status), received, out).await;
        self.flush(out);
    }

    /// The status of a value that is no number.
    #[cold]
    pub(super) fn not_finite(&mut self, index: usize, status: Status, x: f64) -> Status {
        // A machine that knows its value to be bad has said so already.
        if status.is_bad() {
            return status;
        }
        self.tell(Code::PointNotFinite, index, self.received, || {
            (format!("it is {x}; marked BadOutOfRange"), Value::Float(x))
        });
        with_info(Status::BAD_OUT_OF_RANGE, status)
    }

    /// A value as a row: what is not finite is bad, and so is what was no value.
    #[inline]
    pub(super) fn row(
        &mut self,
        index: usize,
        declared: DataType,
        value: Result<Value, Mismatch>,
    ) -> Row {
        let value = match value {
            Ok(value) => value,
            Err(Mismatch(problem)) => return self.mismatch(index, declared, &problem),
        };
        let (kind, column) = value.compact();
        let infinite = match &value {
            Value::Float(number) if !number.is_finite() => Some(*number),
            Value::Floats(numbers) => numbers.iter().copied().find(|number| !number.is_finite()),
            _ => None,
        };
        let status = infinite.map_or(Status::GOOD, |x| self.not_finite(index, Status::GOOD, x));
        let side = (kind == ValueKind::Side).then_some(value);
        Row { kind, column, side, status }
    }

    #[cold]
    fn mismatch(&mut self, index: usize, declared: DataType, problem: &str) -> Row {
        self.link.counters.refused.add(1);
        self.tell(Code::PointTypeChanged, index, self.received, || {
            (format!("{problem}; the point's type is {}", declared.name()), Value::Empty)
        });
        Row::empty(Status::BAD_TYPE_MISMATCH)
    }

    /// Reports missing observations: to the hub, the counters and, within bounds, the event log.
    pub(super) fn gap(&mut self, gap: Gap, out: &mut BlockSender) {
        self.link.counters.gaps.add(1);
        let now = self.link.clock.now();
        let (from, to, reason) = (gap.from, gap.to, gap.reason);
        let points = if gap.points.is_empty() { self.link.points.len() } else { gap.points.len() };
        out.gap(gap);
        // Losses of contact are told each time, overload now and then.
        let key = usize::MAX - reason as usize;
        let untold = match reason {
            GapReason::Overflow | GapReason::SequenceGap => {
                self.limiter.admit(Code::DataGap, key, now)
            }
            _ => Some(0),
        };
        let Some(untold) = untold else { return };
        let text = format!("{points} points, from {from} to {to}: {}", describe(reason));
        let event = Event::new(now, Code::DataGap, &self.subject, text)
            .with("points", Value::Uint(points as u64))
            .with("from", Value::Time(from))
            .with("to", Value::Time(to))
            .with("reason", Value::Text(describe(reason).into()))
            .with("untold", Value::Uint(untold));
        self.link.events.record(event);
    }

    /// Records an event about a point, unless it was told of lately.
    pub(super) fn tell(
        &mut self,
        code: Code,
        index: usize,
        now: Timestamp,
        text: impl FnOnce() -> (String, Value),
    ) {
        let Some(untold) = self.limiter.admit(code, index, now) else { return };
        let Some(point) = self.link.points.get(index) else { return };
        let (text, value) = text();
        let message = format!("{} at {}: {text}", point.path, point.address);
        let event = Event::new(now, code, &self.subject, message)
            .with("address", Value::Text(Arc::clone(&point.address)))
            .with("point", Value::Text(Arc::clone(&point.path)))
            .with("value", value)
            .with("untold", Value::Uint(untold));
        self.link.events.record(event);
    }

    /// A point is well again: its next trouble is news.
    pub(super) fn forget(&mut self, code: Code, index: usize) {
        self.limiter.forget(code, index);
    }

    /// Adds a row; waits while the hub has no block to spare.
    #[inline]
    pub(super) async fn push(
        &mut self,
        point: PointIndex,
        row: Row,
        at: Timestamp,
        out: &mut BlockSender,
    ) {
        let mut block = match self.block.take() {
            Some(block) => block,
            None => next_block(out).await,
        };
        match row.side {
            None => block.push(point, row.kind, row.column, at, row.status),
            Some(value) => block.push_value(point, value, at, row.status),
        };
        let full = block.len() >= BLOCK_CAPACITY;
        self.block = Some(block);
        if full {
            self.flush(out);
        }
    }

    /// From now on rows are from a machine's history, or no longer.
    pub(super) fn of_history(&mut self, is_past: bool, out: &mut BlockSender) {
        self.flush(out);
        self.is_past = is_past;
    }

    /// Whether rows are from a machine's history.
    pub(super) fn is_of_history(&self) -> bool {
        self.is_past
    }

    /// Sends the rows that were added.
    pub(super) fn flush(&mut self, out: &mut BlockSender) {
        if let Some(mut block) = self.block.take() {
            block.receive_time = self.received;
            block.backfilled = self.is_past;
            self.link.counters.observations.add(block.len() as u64);
            out.send(block);
        }
    }
}

async fn next_block(out: &mut BlockSender) -> Box<Block> {
    loop {
        if let Some(block) = out.take() {
            return block;
        }
        out.ready(1).await;
    }
}

/// A code of ours with the info bits, such as Overflow, that came with the machine's.
pub(super) fn with_info(code: Status, sent: Status) -> Status {
    Status(code.0 | sent.0 & 0xFFFF)
}

fn describe(reason: GapReason) -> &'static str {
    match reason {
        GapReason::SequenceGap => "the machine's server dropped notifications",
        GapReason::Overflow => "the machine's queue for a point was too short",
        GapReason::ServerRestart => "the machine's server restarted",
        GapReason::ConnectionLost => "the connection was lost",
        GapReason::Silence => "the machine was silent",
        GapReason::Unreadable => "rows of the recording cannot be read",
    }
}
