//! From observations to rows: numbers without an allocation.

use resonance_plant::{Code, DataType, Status, Timestamp, Value, ValueKind};
use resonance_wire::mtconnect::{Conditions, Content, Entry, Level, Observation, Reading};

use super::layout::{Part, Target};
use crate::sources::outlet::{Outlet, Row};

/// The status of what an agent calls UNAVAILABLE. An agent says so from its start until the
/// machine's adapter has connected and whenever that connection is lost, and cannot say more:
/// the source is defined, not in reach, and no last value is given (OPC 10000-8, table of
/// operation level codes).
pub(super) const UNAVAILABLE: Status = Status::BAD_NO_COMMUNICATION;

/// Why a reading is no value of a point.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mismatch(pub(super) String);

/// The row of a target; `None`: the observation says nothing of it.
#[inline]
pub(super) fn row(
    target: &Target,
    observation: &Observation<'_>,
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
        (Reading::Text(text), Part::Whole) => read(text.trim(), target),
        (Reading::Series(_), Part::Whole) if target.data_type == DataType::Float64Array => {
            numbers(&observation.reading)
        }
        (Reading::Entries(entries), part) => match text_of(entries, part)? {
            Some(text) => read(text.trim(), target),
            None => return Some(Row::empty(Status::BAD_NO_DATA)),
        },
        _ => Err(Mismatch(format!("a {} without the form it had", observation.element))),
    };
    Some(match value {
        Ok(value) => checked(target.index, value, outlet),
        Err(Mismatch(problem)) => refused(target, &problem, outlet),
    })
}

/// A value as a row; what is not finite is bad.
#[inline]
fn checked(index: usize, value: Value, outlet: &mut Outlet) -> Row {
    let (kind, column) = value.compact();
    let infinite = match &value {
        Value::Float(number) if !number.is_finite() => Some(*number),
        Value::Floats(numbers) => numbers.iter().copied().find(|number| !number.is_finite()),
        _ => None,
    };
    let status = infinite.map_or(Status::GOOD, |x| outlet.not_finite(index, Status::GOOD, x));
    let side = (kind == ValueKind::Side).then_some(value);
    Row { kind, column, side, status }
}

#[cold]
fn refused(target: &Target, problem: &str, outlet: &mut Outlet) -> Row {
    outlet.link.counters.refused.add(1);
    let received = outlet.received();
    outlet.tell(Code::PointTypeChanged, target.index, received, || {
        (format!("{problem}; the point's type is {}", target.data_type.name()), Value::Empty)
    });
    Row::empty(Status::BAD_TYPE_MISMATCH)
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

/// A text as a value of a point: one of its labels, or what its type says.
#[inline]
fn read(text: &str, target: &Target) -> Result<Value, Mismatch> {
    if target.labels.is_empty() || target.data_type == DataType::String {
        return parse(text, target.data_type);
    }
    match target.labels.iter().position(|label| &**label == text) {
        Some(at) if target.data_type == DataType::Boolean => Ok(Value::Boolean(at > 0)),
        Some(at) => Ok(Value::Int(i64::try_from(at).unwrap_or(i64::MAX))),
        None => parse(text, target.data_type).map_err(|Mismatch(problem)| {
            Mismatch(format!("{problem}, and none of the point's labels"))
        }),
    }
}

/// A text as a value of a type.
#[inline]
fn parse(text: &str, declared: DataType) -> Result<Value, Mismatch> {
    use DataType as T;
    let wrong = |what: &str| Mismatch(format!("{:?} is {what}", cut(text)));
    match declared {
        T::Float64 | T::Float32 => text.parse().map(Value::Float).map_err(|_| wrong("no number")),
        T::String => Ok(Value::Text(text.into())),
        T::Boolean => {
            truth(text).map(Value::Boolean).ok_or_else(|| wrong("neither true nor false"))
        }
        T::Datetime => Timestamp::parse_rfc3339(text)
            .map(Value::Time)
            .ok_or_else(|| wrong("no RFC 3339 date-time")),
        T::Float64Array => {
            let numbers: Option<Vec<f64>> =
                text.split_ascii_whitespace().map(|number| number.parse().ok()).collect();
            numbers.map(|n| Value::Floats(n.into())).ok_or_else(|| wrong("no list of numbers"))
        }
        T::Bytes => Err(wrong("a text, and no bytes")),
        T::Uint64 => match text.parse() {
            Ok(number) => Ok(Value::Uint(number)),
            Err(_) => whole(text, 0, u64::MAX.into()).ok_or_else(|| wrong("no such whole number")),
        },
        _ => {
            let (least, most) = range(declared);
            whole(text, least, most).ok_or_else(|| wrong("no whole number that it can hold"))
        }
    }
}

/// A whole number within bounds; `5.0` is one.
fn whole(text: &str, least: i128, most: i128) -> Option<Value> {
    let number = match text.parse::<i64>() {
        Ok(number) => number,
        Err(_) => {
            let number: f64 = text.parse().ok()?;
            // Whole numbers past this are not exact as a real number.
            let exact = number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0;
            exact.then_some(number as i64)?
        }
    };
    (least..=most).contains(&i128::from(number)).then_some(Value::Int(number))
}

fn range(declared: DataType) -> (i128, i128) {
    use DataType as T;
    match declared {
        T::Int8 => (i8::MIN.into(), i8::MAX.into()),
        T::Uint8 => (0, u8::MAX.into()),
        T::Int16 => (i16::MIN.into(), i16::MAX.into()),
        T::Uint16 => (0, u16::MAX.into()),
        T::Int32 => (i32::MIN.into(), i32::MAX.into()),
        T::Uint32 => (0, u32::MAX.into()),
        _ => (i64::MIN.into(), i64::MAX.into()),
    }
}

/// The words of MTConnect's two-valued vocabularies that mean yes or no.
fn truth(text: &str) -> Option<bool> {
    let is = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    match () {
        () if is(&["true", "1", "ON", "YES", "ACTIVE"]) => Some(true),
        () if is(&["false", "0", "OFF", "NO", "INACTIVE"]) => Some(false),
        () => None,
    }
}

/// A text of the machine's, short enough for a message.
fn cut(text: &str) -> &str {
    text.char_indices().nth(64).map_or(text, |(at, _)| &text[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_values_of_the_declared_type_or_are_refused() {
        use DataType as T;
        for (text, declared, value) in [
            ("12.5", T::Float64, Value::Float(12.5)),
            ("-3e2", T::Float32, Value::Float(-300.0)),
            ("5.0", T::Int16, Value::Int(5)),
            ("18446744073709551615", T::Uint64, Value::Uint(u64::MAX)),
            ("ON", T::Boolean, Value::Boolean(true)),
            ("ACTIVE", T::String, Value::Text("ACTIVE".into())),
            ("1 2 3", T::Float64Array, Value::Floats([1.0, 2.0, 3.0].into())),
        ] {
            assert_eq!(parse(text, declared), Ok(value), "{text}");
        }
        for (text, declared) in [
            ("ACTIVE", T::Float64),
            ("", T::Float64),
            ("300", T::Uint8),
            ("-1", T::Uint32),
            ("1.5", T::Int32),
            ("1e300", T::Int64),
            ("perhaps", T::Boolean),
            ("today", T::Datetime),
            ("1 two", T::Float64Array),
            ("x", T::Bytes),
        ] {
            assert!(parse(text, declared).is_err(), "{text}");
        }
    }
}
