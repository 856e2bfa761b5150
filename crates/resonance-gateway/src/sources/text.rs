//! Texts as values of points, for sources whose machines send texts.

use std::sync::Arc;

use resonance_plant::{DataType, Timestamp, Value};

/// Why a text is no value of a point.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mismatch(pub(super) String);

/// A text as a value of a point: one of its labels, or what its type says.
#[inline]
pub(super) fn read(
    text: &str,
    data_type: DataType,
    labels: &[Arc<str>],
) -> Result<Value, Mismatch> {
    if labels.is_empty() || data_type == DataType::String {
        return parse(text, data_type);
    }
    match labels.iter().position(|label| &**label == text) {
        Some(at) if data_type == DataType::Boolean => Ok(Value::Boolean(at > 0)),
        Some(at) => Ok(Value::Int(i64::try_from(at).unwrap_or(i64::MAX))),
        None => parse(text, data_type).map_err(|Mismatch(problem)| {
            Mismatch(format!("{problem}, and none of the point's labels"))
        }),
    }
}

/// A text as a value of a type.
#[inline]
pub(super) fn parse(text: &str, declared: DataType) -> Result<Value, Mismatch> {
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
