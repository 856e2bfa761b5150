//! What machines said, observation by observation.

use std::path::Path;
use std::sync::Arc;

use parquet::data_type::ByteArray;
use resonance_plant::{Block, Plant, PointIndex, Value, ValueKind};

use super::RecordingError;
use super::columns::{Cardinality, ColumnSpec, Holds};
use super::table::TableWriter;

/// The columns, in the file's order.
const COLUMNS: [(&str, Holds, Cardinality); 7] = [
    ("point", Holds::Text, Cardinality::One),
    ("source_time", Holds::Time, Cardinality::One),
    ("receive_time", Holds::Time, Cardinality::One),
    ("status", Holds::Integer { bits: 32, signed: false }, Cardinality::One),
    ("kind", Holds::Text, Cardinality::One),
    ("value", Holds::Double, Cardinality::AtMostOne),
    ("text", Holds::Text, Cardinality::AtMostOne),
];

/// The key under which a file keeps what it is.
const ABOUT: &str = "resonance.observations";

/// The path of every point, as a cell.
#[derive(Clone, Debug)]
pub(super) struct Paths(Arc<[ByteArray]>);

impl Paths {
    pub(super) fn of(plant: &Plant) -> Self {
        let path = |at: usize| ByteArray::from(&*plant.path(PointIndex(at as u32)));
        Self((0..plant.points.len()).map(path).collect())
    }

    fn cell(&self, point: u32) -> ByteArray {
        self.0.get(point as usize).cloned().unwrap_or_else(|| ByteArray::from(""))
    }
}

/// A file of observations being written.
pub(super) struct ObservationsWriter {
    pub(super) table: TableWriter,
}

impl ObservationsWriter {
    pub(super) fn create(file: &Path) -> Result<Self, RecordingError> {
        let specs = COLUMNS.map(|(name, holds, many)| ColumnSpec::new(name, holds, many));
        let table = TableWriter::create(file, &specs, (ABOUT, r#"{"form":1}"#.into()))?;
        Ok(Self { table })
    }

    pub(super) fn push(&mut self, block: &Block, paths: &Paths) -> Result<(), RecordingError> {
        let [point, source_time, receive_time, status, kind, value, text] =
            self.table.columns.as_mut_slice()
        else {
            return Ok(());
        };
        for (row, at) in block.point.iter().enumerate() {
            point.push_bytes(paths.cell(*at));
            source_time.push_i64(block.source_time.get(row).copied().unwrap_or(0));
            receive_time.push_i64(block.receive_time.nanos());
            status.push_i32(block.status.get(row).copied().unwrap_or(0) as i32);
            let exact = block.exact(row);
            kind.push_bytes(ByteArray::from(name_of(&exact)));
            if exact.compact().0 == ValueKind::Side {
                value.push_none();
                text.push_bytes(ByteArray::from(told(&exact).as_str()));
                continue;
            }
            match exact.as_f64() {
                Some(number) => value.push_f64(number),
                None => value.push_none(),
            }
            text.push_none();
        }
        self.table.pushed(block.len())
    }
}

/// What kind of value it is.
fn name_of(value: &Value) -> &'static str {
    match value {
        Value::Empty => "empty",
        Value::Boolean(_) => "boolean",
        Value::Int(_) | Value::Uint(_) => "integer",
        Value::Float(_) => "float",
        Value::Text(_) => "text",
        Value::Time(_) => "time",
        Value::Bytes(_) => "bytes",
        Value::Floats(_) => "floats",
        Value::List(_) => "list",
    }
}

/// A value that is no number of a column: text as it is, lists as JSON, the rest as JSON has it.
fn told(value: &Value) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text,
        Ok(other) => other.to_string(),
        // No value lacks a JSON form.
        Err(_) => String::new(),
    }
}
