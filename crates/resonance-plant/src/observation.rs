//! What a machine said: single observations, and blocks of them for the hot path.

use crate::{PointIndex, Status, Timestamp, Value, ValueKind};

/// A value of a point with the time its source gave it and its status.
#[derive(Clone, PartialEq, Debug)]
pub struct Observation {
    /// Which point.
    pub point: PointIndex,
    /// The value.
    pub value: Value,
    /// When the source says the value was so.
    pub source_time: Timestamp,
    /// When this process received it.
    pub receive_time: Timestamp,
    /// How good it is.
    pub status: Status,
}

/// Rows per block.
pub const BLOCK_CAPACITY: usize = 1024;

/// Up to [`BLOCK_CAPACITY`] observations as columns, received at one moment. Pooled: a connector
/// takes one, fills it and sends it; the hub reads it and gives it back empty.
#[derive(Clone, Debug)]
pub struct Block {
    /// Dense point indices.
    pub point: Vec<u32>,
    /// Column values; read them by `kind`.
    pub value: Vec<f64>,
    /// Source times, nanoseconds since the Unix epoch.
    pub source_time: Vec<i64>,
    /// OPC UA StatusCodes.
    pub status: Vec<u32>,
    /// [`ValueKind`] as a byte.
    pub kind: Vec<u8>,
    /// Exact values of the rows whose kind is [`ValueKind::Side`]: (row, value), rows ascending.
    pub side: Vec<(u16, Value)>,
    /// When the block's data was received.
    pub receive_time: Timestamp,
    /// Its rows are from a machine's history, read after an outage: late, and no news.
    pub backfilled: bool,
    /// Counts the blocks of one source from zero; a jump is a loss between source and hub.
    pub sequence: u64,
}

impl Block {
    /// An empty block with all its memory.
    pub fn new() -> Self {
        Self {
            point: Vec::with_capacity(BLOCK_CAPACITY),
            value: Vec::with_capacity(BLOCK_CAPACITY),
            source_time: Vec::with_capacity(BLOCK_CAPACITY),
            status: Vec::with_capacity(BLOCK_CAPACITY),
            kind: Vec::with_capacity(BLOCK_CAPACITY),
            side: Vec::new(),
            receive_time: Timestamp::EPOCH,
            backfilled: false,
            sequence: 0,
        }
    }

    /// Rows in the block.
    pub fn len(&self) -> usize {
        self.point.len()
    }

    /// Whether the block has no rows.
    pub fn is_empty(&self) -> bool {
        self.point.is_empty()
    }

    /// Whether no further row fits.
    pub fn is_full(&self) -> bool {
        self.point.len() >= BLOCK_CAPACITY
    }

    /// Forgets the rows, keeps the memory.
    pub fn clear(&mut self) {
        self.point.clear();
        self.value.clear();
        self.source_time.clear();
        self.status.clear();
        self.kind.clear();
        self.side.clear();
        self.backfilled = false;
    }

    /// Adds a row with a column value. Does nothing and returns false if the block is full.
    #[inline]
    pub fn push(
        &mut self,
        point: PointIndex,
        kind: ValueKind,
        value: f64,
        source_time: Timestamp,
        status: Status,
    ) -> bool {
        if self.is_full() {
            return false;
        }
        self.point.push(point.0);
        self.value.push(value);
        self.source_time.push(source_time.nanos());
        self.status.push(status.0);
        self.kind.push(kind as u8);
        true
    }

    /// Adds a row with any value. Does nothing and returns false if the block is full.
    pub fn push_value(
        &mut self,
        point: PointIndex,
        value: Value,
        source_time: Timestamp,
        status: Status,
    ) -> bool {
        let (kind, compact) = value.compact();
        let row = self.len();
        if !self.push(point, kind, compact, source_time, status) {
            return false;
        }
        if kind == ValueKind::Side {
            self.side.push((row as u16, value));
        }
        true
    }

    /// The exact value of a row; [`Value::Empty`] past the end.
    pub fn exact(&self, row: usize) -> Value {
        let (Some(kind), Some(value)) = (self.kind.get(row), self.value.get(row)) else {
            return Value::Empty;
        };
        Value::from_compact(ValueKind::from_u8(*kind), *value).unwrap_or_else(|| {
            self.side
                .binary_search_by_key(&row, |(side_row, _)| usize::from(*side_row))
                .ok()
                .and_then(|found| self.side.get(found))
                .map_or(Value::Empty, |(_, value)| value.clone())
        })
    }
}

impl Default for Block {
    fn default() -> Self {
        Self::new()
    }
}
