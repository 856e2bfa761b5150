//! From observations to rows: numbers without an allocation.

use resonance_plant::{DataType, Status, Value};
use resonance_wire::mtconnect::{Conditions, Content, Entry, Level, Observation, Reading};

use super::layout::{Part, Target};
use crate::sources::outlet::{Outlet, Row};
use crate::sources::text::{self, Mismatch};

/// The status of what an agent calls UNAVAILABLE. An agent says so from its start until the
/// machine's adapter has connected and whenever that connection is lost, and cannot say more:
/// the source is defined, not in reach, and no last value is given (OPC 10000-8, table of
/// operation level codes).
pub(super) const UNAVAILABLE: Status = Status::BAD_NO_COMMUNICATION;

/// The row of a target; `None`: the observation says nothing of it. `is_complete`: what a set does
/// not have in it, the machine does not have.
#[inline]
pub(super) fn row(
    target: &Target,
    observation: &Observation<'_>,
    is_complete: bool,
    conditions: &mut Conditions,
    outlet: &mut Outlet,
) -> Option<Row> {
    let value = match (&observation.reading, &target.part) {
        (Reading::Unavailable, _) => return Some(Row::empty(UNAVAILABLE)),
        (Reading::Condition(activation), _) => {
            conditions.apply(activation);
            match conditions.level() {
                None => return Some(Row::empty(UNAVAILABLE)),
                Some(level) => Ok(condition(level, conditions, target.data_type)),
            }
        }
        (Reading::Text(text), Part::Whole) => {
            text::read(text.trim(), target.data_type, &target.labels)
        }
        (Reading::Series(_), Part::Whole) if target.data_type == DataType::Float64Array => {
            numbers(&observation.reading)
        }
        (Reading::Entries(entries), part) => match text_of(entries, part) {
            Some(Some(text)) => text::read(text.trim(), target.data_type, &target.labels),
            None if !is_complete => return None,
            Some(None) | None => return Some(Row::empty(Status::BAD_NO_DATA)),
        },
        _ => Err(Mismatch(format!("a {} without the form it had", observation.element))),
    };
    Some(outlet.row(target.index, target.data_type, value))
}

fn condition(level: Level, conditions: &Conditions, declared: DataType) -> Value {
    let number: u8 = match level {
        Level::Normal | Level::Unavailable => 0,
        Level::Warning => 1,
        Level::Fault => 2,
    };
    match declared {
        DataType::String => Value::Text(conditions.summary().into()),
        DataType::Boolean => Value::Boolean(number > 0),
        DataType::Float32 | DataType::Float64 => Value::Float(f64::from(number)),
        _ => Value::Uint(u64::from(number)),
    }
}

fn numbers(reading: &Reading<'_>) -> Result<Value, Mismatch> {
    let numbers = reading.numbers();
    let numbers = numbers
        .ok_or_else(|| Mismatch("its numbers are none, or not as many as announced".into()))?;
    Ok(Value::Floats(numbers.into()))
}

/// The text of an entry or cell: `None`: not in this observation; `Some(None)`: removed.
fn text_of<'e>(entries: &'e [Entry<'_>], part: &Part) -> Option<Option<&'e str>> {
    let key = match part {
        Part::Whole => return None,
        Part::Entry(key) | Part::Cell(key, _) => key,
    };
    let entry = entries.iter().find(|entry| *entry.key == **key)?;
    if entry.removed {
        return Some(None);
    }
    match (&entry.content, part) {
        (Content::Text(text), Part::Entry(_)) => Some(Some(text)),
        (Content::Cells(cells), Part::Cell(_, column)) => {
            cells.iter().find(|cell| *cell.key == **column).map(|cell| Some(&*cell.text))
        }
        _ => Some(None),
    }
}
