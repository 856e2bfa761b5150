//! OPC UA values, statuses and times (OPC 10000-6, 5.1 and 5.2) and the plant's own, both ways.
//!
//! Nothing is ever misread: what a declared type cannot carry without loss is refused by name.

use std::sync::Arc;

use opcua::types::{
    Array, ByteString, DataTypeId, DataValue, DateTime, StatusCode, UAString, Variant,
    VariantScalarTypeId, VariantTypeId,
};
use resonance_plant::{DataType, Status, Timestamp, Value, ValueKind};

/// A machine's value in the form its point declares.
#[derive(Clone, PartialEq, Debug)]
pub enum Admitted {
    /// It fits a numeric column.
    Column(ValueKind, f64),
    /// It is kept exactly, beside the columns.
    Side(Value),
}

/// Why a machine's value was not taken.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum Refused {
    /// The machine delivers another type than the point declares.
    #[error("the machine delivers {delivered}, the point declares {}", declared.name())]
    Mismatch {
        /// The OPC UA type delivered, such as `Double` or `Int32[]`.
        delivered: String,
        /// What the point declares.
        declared: DataType,
    },
    /// No point can carry such a value.
    #[error("the machine delivers {delivered}, which no point can carry")]
    Unsupported {
        /// The OPC UA type delivered.
        delivered: String,
    },
}

/// The OPC UA status as ours; the numbers are the same.
#[inline]
pub fn status_from_ua(status: StatusCode) -> Status {
    Status(status.bits())
}

/// Our status as OPC UA's; the numbers are the same.
#[inline]
pub fn status_to_ua(status: Status) -> StatusCode {
    StatusCode::from(status.0)
}

/// An OPC UA time as ours. `None` for the null time (1601) and outside 1677 to 2262.
#[inline]
pub fn timestamp_from_ua(time: &DateTime) -> Option<Timestamp> {
    // The null time lies before 1677, so it needs no test of its own.
    time.as_chrono().timestamp_nanos_opt().map(Timestamp::from_nanos)
}

/// Our time as OPC UA's, to 100 ns; what lies before 1601 becomes the null time.
#[inline]
pub fn timestamp_to_ua(time: Timestamp) -> DateTime {
    DateTime::from(time.ua_ticks().max(0))
}

/// The OPC UA data type that carries a point of this type.
pub const fn ua_data_type(data_type: DataType) -> DataTypeId {
    match data_type {
        DataType::Boolean => DataTypeId::Boolean,
        DataType::Int8 => DataTypeId::SByte,
        DataType::Uint8 => DataTypeId::Byte,
        DataType::Int16 => DataTypeId::Int16,
        DataType::Uint16 => DataTypeId::UInt16,
        DataType::Int32 => DataTypeId::Int32,
        DataType::Uint32 => DataTypeId::UInt32,
        DataType::Int64 => DataTypeId::Int64,
        DataType::Uint64 => DataTypeId::UInt64,
        DataType::Float32 => DataTypeId::Float,
        DataType::Float64 | DataType::Float64Array => DataTypeId::Double,
        DataType::String => DataTypeId::String,
        DataType::Datetime => DataTypeId::DateTime,
        DataType::Bytes => DataTypeId::ByteString,
    }
}

/// The value rank of a variable that carries a point of this type: -1 scalar, 1 one dimension.
pub const fn ua_value_rank(data_type: DataType) -> i32 {
    if matches!(data_type, DataType::Float64Array) { 1 } else { -1 }
}

/// The point type that carries values of an OPC UA data type; enumerations are `Int32`,
/// everything with a text form is text. `None`: no point can carry it.
pub fn data_type_from_ua(data_type: DataTypeId, is_array: bool) -> Option<DataType> {
    let scalar = match data_type {
        DataTypeId::Boolean => DataType::Boolean,
        DataTypeId::SByte => DataType::Int8,
        DataTypeId::Byte => DataType::Uint8,
        DataTypeId::Int16 => DataType::Int16,
        DataTypeId::UInt16 => DataType::Uint16,
        DataTypeId::Int32 | DataTypeId::Enumeration => DataType::Int32,
        DataTypeId::UInt32 | DataTypeId::StatusCode | DataTypeId::Counter => DataType::Uint32,
        DataTypeId::Int64 => DataType::Int64,
        DataTypeId::UInt64 => DataType::Uint64,
        DataTypeId::Float => DataType::Float32,
        DataTypeId::Double | DataTypeId::Duration => DataType::Float64,
        DataTypeId::String
        | DataTypeId::LocaleId
        | DataTypeId::NumericRange
        | DataTypeId::XmlElement
        | DataTypeId::Guid
        | DataTypeId::NodeId
        | DataTypeId::ExpandedNodeId
        | DataTypeId::QualifiedName
        | DataTypeId::LocalizedText => DataType::String,
        DataTypeId::DateTime | DataTypeId::UtcTime => DataType::Datetime,
        DataTypeId::ByteString
        | DataTypeId::Image
        | DataTypeId::ImageBMP
        | DataTypeId::ImageGIF
        | DataTypeId::ImageJPG
        | DataTypeId::ImagePNG => DataType::Bytes,
        _ => return None,
    };
    match (is_array, scalar.is_numeric() && scalar != DataType::Boolean) {
        (false, _) => Some(scalar),
        (true, true) => Some(DataType::Float64Array),
        (true, false) => None,
    }
}

/// Takes a machine's value for a point that declares a type. Numbers are widened where that
/// loses nothing (`Int32` into `float64`, `Byte` into `int32`); nothing else is converted.
///
/// # Errors
/// [`Refused`], naming what was delivered.
#[inline]
pub fn admit(variant: &Variant, declared: DataType) -> Result<Admitted, Refused> {
    use DataType as T;
    let integer = |value: f64| Ok(Admitted::Column(ValueKind::Integer, value));
    let float = |value: f64| Ok(Admitted::Column(ValueKind::Float, value));
    match (variant, declared) {
        (Variant::Double(x), T::Float64) => float(*x),
        (Variant::Float(x), T::Float64 | T::Float32) => float(f64::from(*x)),
        (Variant::Boolean(b), T::Boolean) => {
            Ok(Admitted::Column(ValueKind::Boolean, f64::from(u8::from(*b))))
        }
        (Variant::Empty, _) => Ok(Admitted::Column(ValueKind::Empty, 0.0)),
        (Variant::SByte(x), T::Int8 | T::Int16 | T::Int32 | T::Int64) => integer(f64::from(*x)),
        (
            Variant::Byte(x),
            T::Uint8 | T::Int16 | T::Uint16 | T::Int32 | T::Uint32 | T::Int64 | T::Uint64,
        ) => integer(f64::from(*x)),
        (Variant::Int16(x), T::Int16 | T::Int32 | T::Int64) => integer(f64::from(*x)),
        (Variant::UInt16(x), T::Uint16 | T::Int32 | T::Uint32 | T::Int64 | T::Uint64) => {
            integer(f64::from(*x))
        }
        (Variant::Int32(x), T::Int32 | T::Int64) => integer(f64::from(*x)),
        (Variant::UInt32(x), T::Uint32 | T::Int64 | T::Uint64) => integer(f64::from(*x)),
        (Variant::Int64(x), T::Int64) => Ok(admitted(Value::Int(*x))),
        (Variant::UInt64(x), T::Uint64) => Ok(admitted(Value::Uint(*x))),
        (Variant::SByte(x), T::Float32 | T::Float64) => float(f64::from(*x)),
        (Variant::Byte(x), T::Float32 | T::Float64) => float(f64::from(*x)),
        (Variant::Int16(x), T::Float32 | T::Float64) => float(f64::from(*x)),
        (Variant::UInt16(x), T::Float32 | T::Float64) => float(f64::from(*x)),
        (Variant::Int32(x), T::Float64) => float(f64::from(*x)),
        (Variant::UInt32(x), T::Float64) => float(f64::from(*x)),
        (Variant::StatusCode(code), T::Uint32 | T::Int64 | T::Uint64) => {
            integer(f64::from(code.bits()))
        }
        _ => admit_rest(variant, declared),
    }
}

/// What is not a single number.
fn admit_rest(variant: &Variant, declared: DataType) -> Result<Admitted, Refused> {
    let mismatch = || Refused::Mismatch { delivered: type_name(variant), declared };
    let value = value_from_variant(variant)?;
    match (&value, declared) {
        (Value::Text(_), DataType::String)
        | (Value::Time(_), DataType::Datetime)
        | (Value::Bytes(_), DataType::Bytes)
        | (Value::Floats(_), DataType::Float64Array) => Ok(Admitted::Side(value)),
        // Null text, times and byte strings are typed but hold no value.
        (Value::Empty, DataType::String | DataType::Datetime | DataType::Bytes) => {
            Ok(Admitted::Column(ValueKind::Empty, 0.0))
        }
        (Value::Floats(numbers), DataType::Bytes) if is_array_of_bytes(variant) => {
            let bytes = numbers.iter().map(|number| *number as u8).collect();
            Ok(Admitted::Side(Value::Bytes(bytes)))
        }
        (Value::List(_), _) if !is_array_of_numbers(variant) => Err(unsupported(variant)),
        _ => Err(mismatch()),
    }
}

fn is_array_of_numbers(variant: &Variant) -> bool {
    matches!(variant, Variant::Array(array) if is_numeric(array.value_type))
}

fn is_array_of_bytes(variant: &Variant) -> bool {
    matches!(variant, Variant::Array(array) if array.value_type == VariantScalarTypeId::Byte)
}

fn admitted(value: Value) -> Admitted {
    match value.compact() {
        (ValueKind::Side, _) => Admitted::Side(value),
        (kind, column) => Admitted::Column(kind, column),
    }
}

/// The exact value of a variant, whatever its type. Arrays of numbers become
/// [`Value::Floats`] where no number loses digits, other arrays [`Value::List`]; Guids, node ids
/// and names become their text; a status code its number.
///
/// # Errors
/// [`Refused::Unsupported`] for structures, nested variants, diagnostics and matrices.
pub fn value_from_variant(variant: &Variant) -> Result<Value, Refused> {
    Ok(match variant {
        Variant::Empty => Value::Empty,
        Variant::Boolean(x) => Value::Boolean(*x),
        Variant::SByte(x) => Value::Int(i64::from(*x)),
        Variant::Byte(x) => Value::Uint(u64::from(*x)),
        Variant::Int16(x) => Value::Int(i64::from(*x)),
        Variant::UInt16(x) => Value::Uint(u64::from(*x)),
        Variant::Int32(x) => Value::Int(i64::from(*x)),
        Variant::UInt32(x) => Value::Uint(u64::from(*x)),
        Variant::Int64(x) => Value::Int(*x),
        Variant::UInt64(x) => Value::Uint(*x),
        Variant::Float(x) => Value::Float(f64::from(*x)),
        Variant::Double(x) => Value::Float(*x),
        Variant::String(x) => text(x),
        Variant::DateTime(x) => timestamp_from_ua(x).map_or(Value::Empty, Value::Time),
        Variant::Guid(x) => Value::Text(x.to_string().into()),
        Variant::StatusCode(x) => Value::Uint(u64::from(x.bits())),
        Variant::ByteString(x) => {
            x.value.as_deref().map_or(Value::Empty, |bytes| Value::Bytes(bytes.into()))
        }
        Variant::XmlElement(x) => Value::Text(x.to_string().into()),
        Variant::QualifiedName(x) => text(&x.name),
        Variant::LocalizedText(x) => text(&x.text),
        Variant::NodeId(x) => Value::Text(x.to_string().into()),
        Variant::ExpandedNodeId(x) => Value::Text(x.to_string().into()),
        Variant::Array(array) => array_value(variant, array)?,
        Variant::ExtensionObject(_)
        | Variant::Variant(_)
        | Variant::DataValue(_)
        | Variant::DiagnosticInfo(_) => return Err(unsupported(variant)),
    })
}

fn unsupported(variant: &Variant) -> Refused {
    Refused::Unsupported { delivered: type_name(variant) }
}

fn text(string: &UAString) -> Value {
    string.value().as_deref().map_or(Value::Empty, |text| Value::Text(text.into()))
}

fn array_value(variant: &Variant, array: &Array) -> Result<Value, Refused> {
    let rank = array.dimensions.as_ref().map_or(1, Vec::len);
    if rank > 1 {
        return Err(unsupported(variant));
    }
    if let Some(numbers) = array.values.iter().map(exact_number).collect::<Option<Arc<[f64]>>>()
        && (!numbers.is_empty() || is_numeric(array.value_type))
    {
        return Ok(Value::Floats(numbers));
    }
    let list: Result<Arc<[Value]>, Refused> = array.values.iter().map(value_from_variant).collect();
    list.map(Value::List).map_err(|_| unsupported(variant))
}

/// A number that an `f64` holds exactly.
fn exact_number(variant: &Variant) -> Option<f64> {
    match variant {
        Variant::Double(x) => Some(*x),
        Variant::Float(x) => Some(f64::from(*x)),
        Variant::SByte(x) => Some(f64::from(*x)),
        Variant::Byte(x) => Some(f64::from(*x)),
        Variant::Int16(x) => Some(f64::from(*x)),
        Variant::UInt16(x) => Some(f64::from(*x)),
        Variant::Int32(x) => Some(f64::from(*x)),
        Variant::UInt32(x) => Some(f64::from(*x)),
        Variant::Int64(x) => match Value::Int(*x).compact() {
            (ValueKind::Integer, number) => Some(number),
            _ => None,
        },
        Variant::UInt64(x) => match Value::Uint(*x).compact() {
            (ValueKind::Integer, number) => Some(number),
            _ => None,
        },
        _ => None,
    }
}

fn is_numeric(kind: VariantScalarTypeId) -> bool {
    use VariantScalarTypeId as K;
    matches!(
        kind,
        K::SByte
            | K::Byte
            | K::Int16
            | K::UInt16
            | K::Int32
            | K::UInt32
            | K::Int64
            | K::UInt64
            | K::Float
            | K::Double
    )
}

/// The OPC UA name of a variant's type: `Double`, `Int32[]`, `String[2,3]`, `Null`.
pub fn type_name(variant: &Variant) -> String {
    match variant.type_id() {
        VariantTypeId::Empty => "Null".into(),
        VariantTypeId::Scalar(kind) => kind.to_string(),
        VariantTypeId::Array(kind, Some(dimensions)) if dimensions.len() > 1 => {
            let sizes: Vec<String> = dimensions.iter().map(u32::to_string).collect();
            format!("{kind}[{}]", sizes.join(","))
        }
        VariantTypeId::Array(kind, _) => format!("{kind}[]"),
    }
}

/// A column value as a variant of the declared type, without allocating. `None` where the value
/// is not of that type, or is in the side table: see [`variant_from_value`].
#[inline]
pub fn variant_from_column(kind: ValueKind, value: f64, declared: DataType) -> Option<Variant> {
    Some(match (kind, declared) {
        (ValueKind::Empty, _) => Variant::Empty,
        (ValueKind::Boolean, DataType::Boolean) => Variant::Boolean(value != 0.0),
        (ValueKind::Float | ValueKind::Integer, DataType::Float64) => Variant::Double(value),
        (ValueKind::Float | ValueKind::Integer, DataType::Float32) => Variant::Float(value as f32),
        (ValueKind::Integer, DataType::Int8) => Variant::SByte(whole(value)?),
        (ValueKind::Integer, DataType::Uint8) => Variant::Byte(whole(value)?),
        (ValueKind::Integer, DataType::Int16) => Variant::Int16(whole(value)?),
        (ValueKind::Integer, DataType::Uint16) => Variant::UInt16(whole(value)?),
        (ValueKind::Integer, DataType::Int32) => Variant::Int32(whole(value)?),
        (ValueKind::Integer, DataType::Uint32) => Variant::UInt32(whole(value)?),
        (ValueKind::Integer, DataType::Int64) => Variant::Int64(value as i64),
        (ValueKind::Integer, DataType::Uint64) => Variant::UInt64(whole(value)?),
        _ => return None,
    })
}

/// Columns hold whole numbers exactly, so the way over `i64` loses nothing.
fn whole<N: TryFrom<i64>>(value: f64) -> Option<N> {
    N::try_from(value as i64).ok()
}

/// A value as a variant of the declared type. `None` where the value is not of that type.
pub fn variant_from_value(value: &Value, declared: DataType) -> Option<Variant> {
    Some(match (value, declared) {
        (Value::Int(x), DataType::Int64) => Variant::Int64(*x),
        (Value::Int(x), DataType::Uint64) => Variant::UInt64(u64::try_from(*x).ok()?),
        (Value::Uint(x), DataType::Uint64) => Variant::UInt64(*x),
        (Value::Uint(x), DataType::Int64) => Variant::Int64(i64::try_from(*x).ok()?),
        (Value::Text(x), DataType::String) => Variant::String(UAString::from(&**x)),
        (Value::Time(x), DataType::Datetime) => Variant::from(timestamp_to_ua(*x)),
        (Value::Bytes(x), DataType::Bytes) => Variant::ByteString(ByteString::from(&**x)),
        (Value::Floats(x), DataType::Float64Array) => Variant::Array(Box::new(Array {
            value_type: VariantScalarTypeId::Double,
            values: x.iter().map(|number| Variant::Double(*number)).collect(),
            dimensions: None,
        })),
        _ => {
            let (kind, column) = value.compact();
            return variant_from_column(kind, column, declared);
        }
    })
}

/// A value with its status and times as an OPC UA DataValue.
pub fn data_value(
    value: Option<Variant>,
    status: Status,
    source_time: Option<Timestamp>,
    server_time: Option<Timestamp>,
) -> DataValue {
    DataValue {
        value,
        status: Some(status_to_ua(status)),
        source_timestamp: source_time.map(timestamp_to_ua),
        source_picoseconds: None,
        server_timestamp: server_time.map(timestamp_to_ua),
        server_picoseconds: None,
    }
}

#[cfg(test)]
mod tests;
