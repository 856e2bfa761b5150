//! The last value of every point, written by the hub and read by every server without a lock.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU32, AtomicU64, Ordering, fence};

use parking_lot::RwLock;

use crate::{Observation, PointIndex, Status, Timestamp, Value, ValueKind};

/// Columns of last values, one slot a point. One thread writes, any number read.
///
/// A slot is a sequence lock: its version is odd while it is written, and a reader that sees it
/// odd or changed reads again. Values that fit no column live in a side map.
#[derive(Debug)]
pub struct LastValues {
    version: Vec<AtomicU32>,
    value: Vec<AtomicU64>,
    source_time: Vec<AtomicI64>,
    receive_time: Vec<AtomicI64>,
    status: Vec<AtomicU32>,
    kind: Vec<AtomicU8>,
    side: RwLock<HashMap<u32, Value>>,
}

/// One slot as read at one moment. `version` grows by two with every write; zero: never written.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Slot {
    /// How to read `value`.
    pub kind: ValueKind,
    /// The column value.
    pub value: f64,
    /// When the source says it was so.
    pub source_time: Timestamp,
    /// When this process received it.
    pub receive_time: Timestamp,
    /// How good it is.
    pub status: Status,
    /// Changes with every write.
    pub version: u32,
}

impl LastValues {
    /// Columns for `points` points, each `BadWaitingForInitialData`.
    pub fn new(points: usize) -> Self {
        Self {
            version: column(points, || AtomicU32::new(0)),
            value: column(points, || AtomicU64::new(0)),
            source_time: column(points, || AtomicI64::new(0)),
            receive_time: column(points, || AtomicI64::new(0)),
            status: column(points, || AtomicU32::new(Status::BAD_WAITING_FOR_INITIAL_DATA.0)),
            kind: column(points, || AtomicU8::new(ValueKind::Empty as u8)),
            side: RwLock::new(HashMap::new()),
        }
    }

    /// Number of points.
    pub fn len(&self) -> usize {
        self.version.len()
    }

    /// Whether there are no points.
    pub fn is_empty(&self) -> bool {
        self.version.is_empty()
    }

    /// Writes a slot; only one thread may. Points past the end are ignored.
    #[inline]
    pub fn write(
        &self,
        point: PointIndex,
        kind: ValueKind,
        value: f64,
        source_time: Timestamp,
        receive_time: Timestamp,
        status: Status,
    ) {
        self.write_slot(point, kind, value, source_time, receive_time, status, || {});
    }

    #[inline]
    #[expect(clippy::too_many_arguments, reason = "the columns of a slot; used here only")]
    fn write_slot(
        &self,
        point: PointIndex,
        kind: ValueKind,
        value: f64,
        source_time: Timestamp,
        receive_time: Timestamp,
        status: Status,
        besides: impl FnOnce(),
    ) {
        let at = point.0 as usize;
        let Some(version) = self.version.get(at) else { return };
        let before = version.load(Ordering::Relaxed);
        version.store(before.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        besides();
        self.value[at].store(value.to_bits(), Ordering::Relaxed);
        self.source_time[at].store(source_time.nanos(), Ordering::Relaxed);
        self.receive_time[at].store(receive_time.nanos(), Ordering::Relaxed);
        self.status[at].store(status.0, Ordering::Relaxed);
        self.kind[at].store(kind as u8, Ordering::Relaxed);
        version.store(before.wrapping_add(2), Ordering::Release);
    }

    /// Writes a slot with any value; only one thread may.
    pub fn write_value(
        &self,
        point: PointIndex,
        value: &Value,
        source_time: Timestamp,
        receive_time: Timestamp,
        status: Status,
    ) {
        let (kind, compact) = value.compact();
        self.write_slot(point, kind, compact, source_time, receive_time, status, || {
            // Within the write, so that a reader sees it with its own columns or reads again.
            if kind == ValueKind::Side {
                self.side.write().insert(point.0, value.clone());
            }
        });
    }

    /// Replaces only the status of a slot, as when a source goes silent; only one thread may.
    pub fn write_status(&self, point: PointIndex, status: Status) {
        let Some(slot) = self.slot(point) else { return };
        self.write(point, slot.kind, slot.value, slot.source_time, slot.receive_time, status);
    }

    /// Takes a slot over from other columns, if it was ever written there; only one thread may.
    pub fn copy(&self, point: PointIndex, from: &Self, of: PointIndex) {
        if from.version(of) == 0 {
            return;
        }
        if let Some(Observation { value, source_time, receive_time, status, .. }) =
            from.observation(of)
        {
            self.write_value(point, &value, source_time, receive_time, status);
        }
    }

    /// A slot as it stands. `None` past the end.
    #[inline]
    pub fn slot(&self, point: PointIndex) -> Option<Slot> {
        let at = point.0 as usize;
        let version = self.version.get(at)?;
        loop {
            let before = version.load(Ordering::Acquire);
            if before & 1 == 1 {
                std::hint::spin_loop();
                continue;
            }
            let slot = Slot {
                kind: ValueKind::from_u8(self.kind[at].load(Ordering::Relaxed)),
                value: f64::from_bits(self.value[at].load(Ordering::Relaxed)),
                source_time: Timestamp::from_nanos(self.source_time[at].load(Ordering::Relaxed)),
                receive_time: Timestamp::from_nanos(self.receive_time[at].load(Ordering::Relaxed)),
                status: Status(self.status[at].load(Ordering::Relaxed)),
                version: before,
            };
            fence(Ordering::Acquire);
            if version.load(Ordering::Relaxed) == before {
                return Some(slot);
            }
        }
    }

    /// The version of a slot, to see cheaply whether it changed. Zero: never written.
    #[inline]
    pub fn version(&self, point: PointIndex) -> u32 {
        self.version.get(point.0 as usize).map_or(0, |version| version.load(Ordering::Acquire))
    }

    /// A slot with its exact value. `None` past the end.
    pub fn observation(&self, point: PointIndex) -> Option<Observation> {
        let (slot, value) = loop {
            let slot = self.slot(point)?;
            if let Some(value) = Value::from_compact(slot.kind, slot.value) {
                break (slot, value);
            }
            let value = self.side.read().get(&point.0).cloned().unwrap_or_default();
            if self.version(point) == slot.version {
                break (slot, value);
            }
        };
        Some(Observation {
            point,
            value,
            source_time: slot.source_time,
            receive_time: slot.receive_time,
            status: slot.status,
        })
    }
}

fn column<T>(length: usize, make: impl Fn() -> T) -> Vec<T> {
    (0..length).map(|_| make()).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_reader_never_sees_half_a_write() {
        let values = Arc::new(LastValues::new(1));
        let point = PointIndex(0);
        let writer = Arc::clone(&values);
        let thread = std::thread::spawn(move || {
            for i in 0..200_000_i64 {
                let time = Timestamp::from_nanos(i);
                writer.write(point, ValueKind::Float, i as f64, time, time, Status(i as u32));
            }
        });
        while !thread.is_finished() {
            let slot = values.slot(point).unwrap();
            if slot.version > 0 {
                assert_eq!(slot.value as i64, slot.source_time.nanos());
                assert_eq!(slot.value as u32, slot.status.0);
            }
        }
        thread.join().unwrap();
        assert_eq!(values.slot(point).unwrap().value, 199_999.0);
    }

    #[test]
    fn a_text_is_never_seen_with_the_columns_of_another() {
        let values = Arc::new(LastValues::new(1));
        let point = PointIndex(0);
        let writer = Arc::clone(&values);
        let thread = std::thread::spawn(move || {
            for i in 0..1_000_000_i64 {
                let time = Timestamp::from_nanos(i);
                let text = Value::Text(i.to_string().into());
                writer.write_value(point, &text, time, time, Status::GOOD);
            }
        });
        while !thread.is_finished() {
            let seen = values.observation(point).unwrap();
            if let Value::Text(text) = &seen.value {
                assert_eq!(**text, *seen.source_time.nanos().to_string());
            }
        }
        thread.join().unwrap();
    }

    #[test]
    fn text_comes_back_exactly() {
        let values = LastValues::new(1);
        let text = Value::Text("AUTO".into());
        let time = Timestamp::from_millis(5);
        values.write_value(PointIndex(0), &text, time, time, Status::GOOD);
        assert_eq!(values.observation(PointIndex(0)).unwrap().value, text);
        assert_eq!(values.observation(PointIndex(1)), None);
    }
}
