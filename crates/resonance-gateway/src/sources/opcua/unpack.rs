//! From a decoded notification into blocks, without an allocation per value (text, bytes and
//! arrays excepted).

use std::collections::HashMap;
use std::sync::Arc;

use opcua::types::{DataValue, MonitoredItemNotification, Variant};
use resonance_opcua::value::{Admitted, Refused, admit, status_from_ua, timestamp_from_ua};
use resonance_plant::{Code, DataType, PointIndex, Status, Timestamp, Value, ValueKind};

use super::config::TimeFrom;
use crate::hub::ingest::{BlockSender, Gap, GapReason};
use crate::sources::Link;
use crate::sources::outlet::{Outlet, Row, with_info};

/// Fills blocks and sends them when they are full or the message ends.
#[derive(Debug)]
pub(super) struct Unpacker {
    pub(super) outlet: Outlet,
    /// The time of each point's last observation: where a gap begins.
    last: Vec<Timestamp>,
    /// The same before the message at hand, where that one tells of an overflow.
    before: Vec<Timestamp>,
    overflowed: Vec<PointIndex>,
    overflow_from: Timestamp,
    overflow_to: Timestamp,
    /// The newest row of each point that was read from the machine's history and that the machine,
    /// in its first message of the point, may say again.
    told_by_history: HashMap<usize, (Timestamp, ValueKind, u64, Status)>,
}

impl Unpacker {
    pub(super) fn new(link: &Link, time: TimeFrom) -> Self {
        Self {
            outlet: Outlet::new(link, time),
            last: vec![Timestamp::EPOCH; link.points.len()],
            before: Vec::new(),
            overflowed: Vec::new(),
            overflow_from: Timestamp::EPOCH,
            overflow_to: Timestamp::EPOCH,
            told_by_history: HashMap::new(),
        }
    }

    /// Whether a point was ever observed.
    pub(super) fn was_observed(&self, index: usize) -> bool {
        self.last.get(index).is_some_and(|last| *last != Timestamp::EPOCH)
    }

    /// Takes values of a point from the machine's history, oldest first; those that it has already
    /// are left out. Returns how many it took.
    pub(super) async fn recovered(
        &mut self,
        index: usize,
        values: &[DataValue],
        out: &mut BlockSender,
    ) -> u64 {
        let Some(point) = self.outlet.link.points.get(index) else { return 0 };
        let (point, declared) = (point.point, point.data_type);
        let received = self.outlet.link.clock.now();
        self.outlet.begin(received);
        self.outlet.of_history(true, out);
        let mut taken = 0;
        for data in values {
            let at = data.source_timestamp.as_ref().and_then(timestamp_from_ua);
            let Some(at) = at.filter(|at| self.last.get(index).is_some_and(|last| at > last))
            else {
                continue;
            };
            if !self.outlet.is_plausible(at) {
                self.outlet.link.counters.times_replaced.add(1);
                continue;
            }
            let row = self.row(index, declared, data);
            self.told_by_history.insert(index, (at, row.kind, row.column.to_bits(), row.status));
            if let Some(last) = self.last.get_mut(index) {
                *last = at;
            }
            self.outlet.push(point, row, at, out).await;
            taken += 1;
        }
        self.outlet.of_history(false, out);
        self.outlet.link.counters.backfilled.add(taken);
        taken
    }

    /// Takes the values of one message. Waits while the hub has no block to spare.
    pub(super) async fn values(
        &mut self,
        items: &[MonitoredItemNotification],
        received: Timestamp,
        out: &mut BlockSender,
    ) {
        self.outlet.begin(received);
        let has_overflow = |item: &MonitoredItemNotification| {
            item.value.status.is_some_and(|status| status_from_ua(status).has_overflow())
        };
        if items.iter().any(has_overflow) {
            self.before.clone_from(&self.last);
        }
        for item in items {
            let index = item.client_handle as usize;
            let Some(point) = self.outlet.link.points.get(index) else { continue };
            let (point, declared) = (point.point, point.data_type);
            let at = self.time_of(index, &item.value, received);
            let row = self.row(index, declared, &item.value);
            if !self.told_by_history.is_empty()
                && let Some(told) = self.told_by_history.remove(&index)
                && told == (at, row.kind, row.column.to_bits(), row.status)
            {
                continue;
            }
            if row.status.has_overflow() {
                self.overflow(index, point, at);
            }
            if let Some(last) = self.last.get_mut(index) {
                *last = at;
            }
            self.outlet.push(point, row, at, out).await;
        }
        self.outlet.flush(out);
        self.report_overflow(out);
    }

    #[inline]
    fn row(&mut self, index: usize, declared: DataType, data: &DataValue) -> Row {
        let status = data.status.map_or(Status::GOOD, status_from_ua);
        match admit(data.value.as_ref().unwrap_or(&Variant::Empty), declared) {
            Ok(Admitted::Column(ValueKind::Float, column)) if !column.is_finite() => {
                let status = self.outlet.not_finite(index, status, column);
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
                        .map_or(status, |bad| self.outlet.not_finite(index, status, *bad)),
                    _ => status,
                };
                Row { kind: ValueKind::Side, column: 0.0, side: Some(value), status }
            }
            Err(refused) => Row::empty(self.refused(index, status, &refused)),
        }
    }

    /// The time the observation carries.
    #[inline]
    fn time_of(&mut self, index: usize, data: &DataValue, received: Timestamp) -> Timestamp {
        let sent = match self.outlet.time {
            TimeFrom::Receive => return received,
            TimeFrom::Source => data.source_timestamp.as_ref(),
            TimeFrom::Server => data.server_timestamp.as_ref(),
        };
        let time = sent.and_then(timestamp_from_ua);
        self.outlet.plausible(index, time, || sent.map(ToString::to_string))
    }

    #[cold]
    fn refused(&mut self, index: usize, status: Status, refused: &Refused) -> Status {
        self.outlet.link.counters.refused.add(1);
        let (code, ours) = match refused {
            Refused::Mismatch { .. } => (Code::PointTypeChanged, Status::BAD_TYPE_MISMATCH),
            Refused::Unsupported { .. } => (Code::PointTypeUnsupported, Status::BAD_NOT_SUPPORTED),
        };
        let received = self.outlet.received();
        self.outlet.tell(code, index, received, || (refused.to_string(), Value::Empty));
        if status.is_bad() { status } else { with_info(ours, status) }
    }

    #[cold]
    fn overflow(&mut self, index: usize, point: PointIndex, at: Timestamp) {
        self.outlet.link.counters.overflows.add(1);
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
        self.outlet.gap(Gap { points, from, to, reason: GapReason::Overflow }, out);
    }
}

#[cfg(test)]
mod tests;
