//! From a decoded notification into blocks, without an allocation per value (text, bytes and
//! arrays excepted).

use std::sync::Arc;
use std::time::Duration;

use opcua::types::{DataValue, MonitoredItemNotification, Variant};
use resonance_opcua::value::{Admitted, Refused, admit, status_from_ua, timestamp_from_ua};
use resonance_plant::{
    BLOCK_CAPACITY, Block, Code, DataType, Event, PointIndex, Status, Timestamp, Value, ValueKind,
};

use super::config::TimeFrom;
use super::limiter::Limiter;
use crate::hub::ingest::{BlockSender, Gap, GapReason};
use crate::sources::Link;

/// A source time later than the receive time by more than this, the measured offset of the
/// machine's clock allowed for, is no time at which something was so.
const FUTURE_MAX: Duration = Duration::from_secs(60);

/// No machine measured anything before 1990: clocks that were never set start at 1601, 1970,
/// 1980 or 1984. A value may well be years old: it is sent with the time of its last change.
const PAST_MIN: Timestamp = Timestamp::from_millis(631_152_000_000);

/// Fills blocks and sends them when they are full or the message ends.
#[derive(Debug)]
pub(super) struct Unpacker {
    link: Link,
    subject: String,
    time: TimeFrom,
    /// The time of each point's last observation: where a gap begins.
    last: Vec<Timestamp>,
    /// The same before the message at hand, where that one tells of an overflow.
    before: Vec<Timestamp>,
    block: Option<Box<Block>>,
    limiter: Limiter,
    overflowed: Vec<PointIndex>,
    overflow_from: Timestamp,
    overflow_to: Timestamp,
    /// The latest time that is plausible for the message at hand.
    future: Timestamp,
}

/// One observation, before it is a row.
struct Row {
    kind: ValueKind,
    column: f64,
    side: Option<Value>,
    status: Status,
}

impl Row {
    fn empty(status: Status) -> Self {
        Self { kind: ValueKind::Empty, column: 0.0, side: None, status }
    }
}

impl Unpacker {
    pub(super) fn new(link: &Link, time: TimeFrom) -> Self {
        Self {
            link: link.clone(),
            subject: format!("source/{}", link.id),
            time,
            last: vec![Timestamp::EPOCH; link.points.len()],
            before: Vec::new(),
            block: None,
            limiter: Limiter::default(),
            overflowed: Vec::new(),
            overflow_from: Timestamp::EPOCH,
            overflow_to: Timestamp::EPOCH,
            future: Timestamp::EPOCH,
        }
    }

    /// How far the clock that observations carry is ahead of ours, microseconds.
    pub(super) fn clock_offset_us(&self) -> i64 {
        match self.time {
            TimeFrom::Receive => 0,
            TimeFrom::Source | TimeFrom::Server => self.link.counters.clock_offset_us.value(),
        }
    }

    /// Takes the values of one message. Waits while the hub has no block to spare.
    pub(super) async fn values(
        &mut self,
        items: &[MonitoredItemNotification],
        received: Timestamp,
        out: &mut BlockSender,
    ) {
        let offset = u64::try_from(self.link.counters.clock_offset_us.value()).unwrap_or(0);
        self.future = received.plus(FUTURE_MAX + Duration::from_micros(offset));
        let has_overflow = |item: &MonitoredItemNotification| {
            item.value.status.is_some_and(|status| status_from_ua(status).has_overflow())
        };
        if items.iter().any(has_overflow) {
            self.before.clone_from(&self.last);
        }
        for item in items {
            let index = item.client_handle as usize;
            let Some(point) = self.link.points.get(index) else { continue };
            let (point, declared) = (point.point, point.data_type);
            let at = self.time_of(index, &item.value, received);
            let row = self.row(index, declared, &item.value, received);
            if row.status.has_overflow() {
                self.overflow(index, point, at);
            }
            if let Some(last) = self.last.get_mut(index) {
                *last = at;
            }
            self.push(point, row, at, received, out).await;
        }
        self.flush(received, out);
        self.report_overflow(out);
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
        self.push(point, Row::empty(status), received, received, out).await;
        self.flush(received, out);
    }

    #[inline]
    fn row(
        &mut self,
        index: usize,
        declared: DataType,
        data: &DataValue,
        received: Timestamp,
    ) -> Row {
        let status = data.status.map_or(Status::GOOD, status_from_ua);
        match admit(data.value.as_ref().unwrap_or(&Variant::Empty), declared) {
            Ok(Admitted::Column(ValueKind::Float, column)) if !column.is_finite() => {
                let status = self.not_finite(index, status, column, received);
                Row { kind: ValueKind::Float, column, side: None, status }
            }
            // Nothing is no number, whatever its status says.
            Ok(Admitted::Column(ValueKind::Empty, _)) if declared.is_numeric() => {
                let code = if status.is_bad() { status } else { Status::BAD_NO_DATA };
                Row::empty(code)
            }
            Ok(Admitted::Column(kind, column)) => Row { kind, column, side: None, status },
            Ok(Admitted::Side(value)) => {
                let status = match &value {
                    Value::Floats(numbers) => numbers
                        .iter()
                        .find(|number| !number.is_finite())
                        .map_or(status, |bad| self.not_finite(index, status, *bad, received)),
                    _ => status,
                };
                Row { kind: ValueKind::Side, column: 0.0, side: Some(value), status }
            }
            Err(refused) => Row::empty(self.refused(index, status, &refused, received)),
        }
    }

    /// The time the observation carries.
    #[inline]
    fn time_of(&mut self, index: usize, data: &DataValue, received: Timestamp) -> Timestamp {
        let sent = match self.time {
            TimeFrom::Receive => return received,
            TimeFrom::Source => data.source_timestamp.as_ref(),
            TimeFrom::Server => data.server_timestamp.as_ref(),
        };
        let time = sent.and_then(timestamp_from_ua);
        match time {
            Some(time) if time >= PAST_MIN && time <= self.future => time,
            _ => {
                self.link.counters.times_replaced.add(1);
                let shown = match (time, sent) {
                    (Some(time), _) => time.to_string(),
                    (None, Some(sent)) => sent.to_string(),
                    (None, None) => "absent".into(),
                };
                self.tell(Code::PointTimeImplausible, index, received, || {
                    (format!("its time is {shown}; the receive time stands in"), Value::Empty)
                });
                received
            }
        }
    }

    #[cold]
    fn not_finite(&mut self, index: usize, status: Status, x: f64, received: Timestamp) -> Status {
        // A machine that knows its value to be bad has said so already.
        if status.is_bad() {
            return status;
        }
        self.tell(Code::PointNotFinite, index, received, || {
            (format!("it is {x}; marked BadOutOfRange"), Value::Float(x))
        });
        with_info(Status::BAD_OUT_OF_RANGE, status)
    }

    #[cold]
    fn refused(
        &mut self,
        index: usize,
        status: Status,
        refused: &Refused,
        received: Timestamp,
    ) -> Status {
        self.link.counters.refused.add(1);
        let (code, ours) = match refused {
            Refused::Mismatch { .. } => (Code::PointTypeChanged, Status::BAD_TYPE_MISMATCH),
            Refused::Unsupported { .. } => (Code::PointTypeUnsupported, Status::BAD_NOT_SUPPORTED),
        };
        self.tell(code, index, received, || (refused.to_string(), Value::Empty));
        if status.is_bad() { status } else { with_info(ours, status) }
    }

    #[cold]
    fn overflow(&mut self, index: usize, point: PointIndex, at: Timestamp) {
        self.link.counters.overflows.add(1);
        // Stacks set the bit on the oldest value they kept or on the newest: what is missing is
        // somewhere between the last message and this value.
        let last = self.before.get(index).copied().unwrap_or(at);
        let from = if last == Timestamp::EPOCH { at } else { last.min(at) };
        if self.overflowed.is_empty() {
            (self.overflow_from, self.overflow_to) = (from, at);
        }
        self.overflow_from = self.overflow_from.min(from);
        self.overflow_to = self.overflow_to.max(at);
        self.overflowed.push(point);
    }

    /// One gap a message, however many of its values carried the Overflow bit.
    fn report_overflow(&mut self, out: &mut BlockSender) {
        if self.overflowed.is_empty() {
            return;
        }
        let points: Arc<[PointIndex]> = self.overflowed.as_slice().into();
        self.overflowed.clear();
        let (from, to) = (self.overflow_from, self.overflow_to);
        self.gap(Gap { points, from, to, reason: GapReason::Overflow }, out);
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

    #[inline]
    async fn push(
        &mut self,
        point: PointIndex,
        row: Row,
        at: Timestamp,
        received: Timestamp,
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
            self.flush(received, out);
        }
    }

    fn flush(&mut self, received: Timestamp, out: &mut BlockSender) {
        if let Some(mut block) = self.block.take() {
            block.receive_time = received;
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
fn with_info(code: Status, sent: Status) -> Status {
    Status(code.0 | sent.0 & 0xFFFF)
}

fn describe(reason: GapReason) -> &'static str {
    match reason {
        GapReason::SequenceGap => "the machine's server dropped notifications",
        GapReason::Overflow => "the machine's queue for a point was too short",
        GapReason::ServerRestart => "the machine's server restarted",
        GapReason::ConnectionLost => "the connection was lost",
        GapReason::Silence => "the machine was silent",
    }
}

#[cfg(test)]
mod tests;
