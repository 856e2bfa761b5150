//! Values of points: a compact numeric form for the hot path and an exact form for the rest.

use std::fmt;
use std::sync::Arc;

use crate::Timestamp;

/// How a value in a numeric column is to be read. One byte, kept beside the `f64`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum ValueKind {
    /// No value: null, or never received.
    #[default]
    Empty = 0,
    /// 0.0 is false, anything else true.
    Boolean = 1,
    /// A whole number that an `f64` holds exactly.
    Integer = 2,
    /// A real number.
    Float = 3,
    /// The column holds no value; the exact [`Value`] is in the side table.
    Side = 4,
}

impl ValueKind {
    /// The inverse of `as u8`; unknown numbers are [`ValueKind::Empty`].
    pub const fn from_u8(byte: u8) -> Self {
        match byte {
            1 => Self::Boolean,
            2 => Self::Integer,
            3 => Self::Float,
            4 => Self::Side,
            _ => Self::Empty,
        }
    }
}

/// The type a point declares, which its source must deliver and its servers serve.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataType {
    /// true or false
    Boolean,
    /// signed, 8 bits
    Int8,
    /// unsigned, 8 bits
    Uint8,
    /// signed, 16 bits
    Int16,
    /// unsigned, 16 bits
    Uint16,
    /// signed, 32 bits
    Int32,
    /// unsigned, 32 bits
    Uint32,
    /// signed, 64 bits
    Int64,
    /// unsigned, 64 bits
    Uint64,
    /// IEEE 754 single precision
    Float32,
    /// IEEE 754 double precision
    Float64,
    /// UTF-8 text
    String,
    /// an instant
    Datetime,
    /// bytes
    Bytes,
    /// a one-dimensional array of double precision numbers (a profile)
    Float64Array,
}

impl DataType {
    /// Every type, in the order of the documentation.
    pub const ALL: [Self; 15] = [
        Self::Boolean,
        Self::Int8,
        Self::Uint8,
        Self::Int16,
        Self::Uint16,
        Self::Int32,
        Self::Uint32,
        Self::Int64,
        Self::Uint64,
        Self::Float32,
        Self::Float64,
        Self::String,
        Self::Datetime,
        Self::Bytes,
        Self::Float64Array,
    ];

    /// The name in plant files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Int8 => "int8",
            Self::Uint8 => "uint8",
            Self::Int16 => "int16",
            Self::Uint16 => "uint16",
            Self::Int32 => "int32",
            Self::Uint32 => "uint32",
            Self::Int64 => "int64",
            Self::Uint64 => "uint64",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
            Self::String => "string",
            Self::Datetime => "datetime",
            Self::Bytes => "bytes",
            Self::Float64Array => "float64_array",
        }
    }

    /// The type with this name in plant files.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether values fit a numeric column (whole numbers past 2^53 go to the side table).
    pub const fn is_numeric(self) -> bool {
        !matches!(self, Self::String | Self::Datetime | Self::Bytes | Self::Float64Array)
    }
}

/// An exact value of any kind.
#[derive(Clone, PartialEq, Debug, Default)]
pub enum Value {
    /// No value.
    #[default]
    Empty,
    /// true or false
    Boolean(bool),
    /// a whole number
    Int(i64),
    /// a whole number, not negative
    Uint(u64),
    /// a real number; may be NaN or infinite
    Float(f64),
    /// text
    Text(Arc<str>),
    /// an instant
    Time(Timestamp),
    /// bytes
    Bytes(Arc<[u8]>),
    /// a profile
    Floats(Arc<[f64]>),
    /// an array whose elements are not all real numbers
    List(Arc<[Value]>),
}

/// Whole numbers up to this magnitude survive a round trip through `f64`.
const EXACT: u64 = 1 << 53;

impl Value {
    /// The compact form: kind and column value. [`ValueKind::Side`] where there is none.
    pub fn compact(&self) -> (ValueKind, f64) {
        match self {
            Self::Empty => (ValueKind::Empty, 0.0),
            Self::Boolean(b) => (ValueKind::Boolean, f64::from(u8::from(*b))),
            Self::Int(i) if i.unsigned_abs() <= EXACT => (ValueKind::Integer, *i as f64),
            Self::Uint(u) if *u <= EXACT => (ValueKind::Integer, *u as f64),
            Self::Float(f) => (ValueKind::Float, *f),
            _ => (ValueKind::Side, 0.0),
        }
    }

    /// The exact form of a column value. `None` for [`ValueKind::Side`].
    pub fn from_compact(kind: ValueKind, value: f64) -> Option<Self> {
        match kind {
            ValueKind::Empty => Some(Self::Empty),
            ValueKind::Boolean => Some(Self::Boolean(value != 0.0)),
            ValueKind::Integer => Some(Self::Int(value as i64)),
            ValueKind::Float => Some(Self::Float(value)),
            ValueKind::Side => None,
        }
    }

    /// The value as a real number, if it is a single number or boolean.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Boolean(b) => Some(f64::from(u8::from(*b))),
            Self::Int(i) => Some(*i as f64),
            Self::Uint(u) => Some(*u as f64),
            Self::Float(f) => Some(*f),
            _ => None,
        }
    }
}

/// As the plain JSON value: numbers, booleans, text and arrays as they are, instants in RFC 3339,
/// bytes in hexadecimal, no value (and, in JSON, NaN and the infinities) as null.
impl serde::Serialize for Value {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Empty => serializer.serialize_unit(),
            Self::Boolean(b) => serializer.serialize_bool(*b),
            Self::Int(i) => serializer.serialize_i64(*i),
            Self::Uint(u) => serializer.serialize_u64(*u),
            Self::Float(f) => serializer.serialize_f64(*f),
            Self::Text(t) => serializer.serialize_str(t),
            Self::Time(t) => serializer.collect_str(t),
            Self::Bytes(b) => serializer
                .serialize_str(&b.iter().fold(String::new(), |hex, x| hex + &format!("{x:02x}"))),
            Self::Floats(a) => serializer.collect_seq(a.iter()),
            Self::List(l) => serializer.collect_seq(l.iter()),
        }
    }
}

/// For people: numbers without ceremony, text as it is, bytes and long lists by their length.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("-"),
            Self::Boolean(b) => write!(f, "{b}"),
            Self::Int(i) => write!(f, "{i}"),
            Self::Uint(u) => write!(f, "{u}"),
            Self::Float(x) => write!(f, "{x}"),
            Self::Text(t) => f.write_str(t),
            Self::Time(t) => write!(f, "{t}"),
            Self::Bytes(b) => write!(f, "{} bytes", b.len()),
            Self::Floats(a) => write!(f, "{} numbers", a.len()),
            Self::List(l) => write!(f, "{} values", l.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_past_f64_keep_their_exact_form() {
        assert_eq!(
            Value::Int(-(1 << 53)).compact(),
            (ValueKind::Integer, -9_007_199_254_740_992.0)
        );
        assert_eq!(Value::Int(i64::MIN).compact().0, ValueKind::Side);
        assert_eq!(Value::Uint(u64::MAX).compact().0, ValueKind::Side);
    }

    #[test]
    fn type_names_round_trip() {
        for kind in DataType::ALL {
            assert_eq!(DataType::from_name(kind.name()), Some(kind));
        }
    }
}
