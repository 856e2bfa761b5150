//! The elements of tensors: from JSON arrays and from binary tensor data.

use resonance_plant::{ElementType, Tensor};

use super::error::RequestError;
use super::json::Reader;

/// Reads an array of elements, flat or in the tensor's own nesting, into a tensor that has its
/// type and shape already.
pub(super) fn read_json(
    reader: &mut Reader<'_>,
    input: &str,
    tensor: &mut Tensor,
) -> Result<(), RequestError> {
    let shape = tensor.shape.clone();
    let array = Array { input, shape: &shape };
    match tensor.element {
        ElementType::Bool => array.read(reader, tensor.as_mut_slice(), boolean),
        ElementType::Uint8 => array.read(reader, tensor.as_mut_slice(), integer::<u8>),
        ElementType::Uint16 => array.read(reader, tensor.as_mut_slice(), integer::<u16>),
        ElementType::Uint32 => array.read(reader, tensor.as_mut_slice(), integer::<u32>),
        ElementType::Uint64 => array.read(reader, tensor.as_mut_slice(), integer::<u64>),
        ElementType::Int8 => array.read(reader, tensor.as_mut_slice(), integer::<i8>),
        ElementType::Int16 => array.read(reader, tensor.as_mut_slice(), integer::<i16>),
        ElementType::Int32 => array.read(reader, tensor.as_mut_slice(), integer::<i32>),
        ElementType::Int64 => array.read(reader, tensor.as_mut_slice(), integer::<i64>),
        ElementType::Fp32 => array.read(reader, tensor.as_mut_slice(), single),
        ElementType::Fp64 => array.read(reader, tensor.as_mut_slice(), double),
        ElementType::Bytes => array.read(reader, tensor.strings_mut(), text),
        // JSON has no agreed form for these (inference_rest.md, Tensor Data).
        ElementType::Fp16 | ElementType::Bf16 => Err(array.fault(format!(
            "{} is taken as binary data only; send it with \"binary_data_size\"",
            tensor.element
        ))),
    }
}

/// Why an element does not fit its type.
enum Misfit {
    Json(RequestError),
    Kind(&'static str),
    Range(&'static str, String),
}

impl From<RequestError> for Misfit {
    fn from(error: RequestError) -> Self {
        Self::Json(error)
    }
}

struct Array<'a> {
    input: &'a str,
    shape: &'a [usize],
}

impl Array<'_> {
    fn fault(&self, problem: String) -> RequestError {
        RequestError::Input { input: super::error::shown(self.input), problem }
    }

    fn read<T>(
        &self,
        reader: &mut Reader<'_>,
        slots: &mut [T],
        one: impl Fn(&mut Reader<'_>, &mut T) -> Result<(), Misfit>,
    ) -> Result<(), RequestError> {
        let offset = reader.offset();
        if reader.peek() != Some(b'[') {
            return Err(self.fault(format!("\"data\" at byte {offset} is not an array")));
        }
        let mut ahead = reader.clone();
        ahead.expect(b'[', "expected an array")?;
        let nested = ahead.peek() == Some(b'[');
        let total = slots.len();
        let mut rest = slots.iter_mut();
        let mut element = |reader: &mut Reader<'_>| {
            let at = total - rest.len();
            let Some(slot) = rest.next() else {
                return Err(self.fault(format!(
                    "data has more than the {total} elements of shape {:?}",
                    self.shape
                )));
            };
            one(reader, slot).map_err(|misfit| match misfit {
                Misfit::Json(error) => error,
                Misfit::Kind(expected) => {
                    self.fault(format!("element {at} of data is not {expected}"))
                }
                Misfit::Range(expected, actual) => {
                    self.fault(format!("element {at} of data is {actual}, not {expected}"))
                }
            })
        };
        if nested {
            self.level(reader, self.shape, &mut element)?;
        } else {
            reader.expect(b'[', "expected an array")?;
            let mut first = true;
            while reader.element(&mut first)? {
                element(reader)?;
            }
        }
        match rest.len() {
            0 => Ok(()),
            missing => Err(self.fault(format!(
                "data has {} elements, shape {:?} needs {total}",
                total - missing,
                self.shape
            ))),
        }
    }

    /// One level of nesting; as deep as the shape at most, whose rank is bounded.
    fn level(
        &self,
        reader: &mut Reader<'_>,
        dims: &[usize],
        element: &mut impl FnMut(&mut Reader<'_>) -> Result<(), RequestError>,
    ) -> Result<(), RequestError> {
        let Some((expected, inner)) = dims.split_first() else {
            return element(reader);
        };
        let level = self.shape.len() - inner.len();
        if reader.peek() != Some(b'[') {
            return Err(self.fault(format!(
                "data is nested, but not at level {level} of shape {:?} (byte {})",
                self.shape,
                reader.offset()
            )));
        }
        reader.expect(b'[', "expected an array")?;
        let (mut first, mut count) = (true, 0_usize);
        while reader.element(&mut first)? {
            count += 1;
            if count > *expected {
                break;
            }
            self.level(reader, inner, element)?;
        }
        if count == *expected {
            return Ok(());
        }
        let more = if count > *expected { "more than " } else { "" };
        Err(self.fault(format!(
            "an array at level {level} of data has {more}{} elements, shape {:?} needs {expected}",
            count.min(*expected),
            self.shape
        )))
    }
}

fn boolean(reader: &mut Reader<'_>, slot: &mut u8) -> Result<(), Misfit> {
    if !matches!(reader.peek(), Some(b't' | b'f')) {
        return Err(Misfit::Kind("true or false"));
    }
    *slot = u8::from(reader.boolean()?);
    Ok(())
}

fn is_number(reader: &mut Reader<'_>) -> bool {
    matches!(reader.peek(), Some(b'-' | b'0'..=b'9'))
}

/// The whole numbers of JSON: also `3.0` and `3e2`, which some writers give for them.
fn integer<T>(reader: &mut Reader<'_>, slot: &mut T) -> Result<(), Misfit>
where
    T: std::str::FromStr + TryFrom<i64> + WholeNumber,
{
    if !is_number(reader) {
        return Err(Misfit::Kind(T::EXPECTED));
    }
    let number = reader.number()?;
    *slot = number
        .parse()
        .ok()
        .or_else(|| exact_integer(number).and_then(|whole| T::try_from(whole).ok()))
        .ok_or_else(|| Misfit::Range(T::EXPECTED, super::error::shown(number)))?;
    Ok(())
}

/// A number written with fraction or exponent, if it is whole and an `f64` holds it exactly.
fn exact_integer(number: &str) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let value: f64 = number.parse().ok()?;
    #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
    (value.fract() == 0.0 && value.abs() <= EXACT).then_some(value as i64)
}

/// How messages name a type's numbers.
trait WholeNumber {
    const EXPECTED: &'static str;
}

macro_rules! whole_numbers {
    ($($kind:ty, $expected:literal;)*) => {
        $(impl WholeNumber for $kind { const EXPECTED: &'static str = $expected; })*
    };
}

whole_numbers! {
    u8, "a whole number from 0 to 255 (UINT8)";
    u16, "a whole number from 0 to 65535 (UINT16)";
    u32, "a whole number from 0 to 4294967295 (UINT32)";
    u64, "a whole number from 0 to 18446744073709551615 (UINT64)";
    i8, "a whole number from -128 to 127 (INT8)";
    i16, "a whole number from -32768 to 32767 (INT16)";
    i32, "a whole number from -2147483648 to 2147483647 (INT32)";
    i64, "a whole number from -9223372036854775808 to 9223372036854775807 (INT64)";
}

fn single(reader: &mut Reader<'_>, slot: &mut f32) -> Result<(), Misfit> {
    if !is_number(reader) {
        return Err(Misfit::Kind("a number (FP32)"));
    }
    let number = reader.number()?;
    *slot = number.parse().unwrap_or(f32::INFINITY);
    if slot.is_finite() { Ok(()) } else { Err(too_large(number, "within the range of FP32")) }
}

fn double(reader: &mut Reader<'_>, slot: &mut f64) -> Result<(), Misfit> {
    if !is_number(reader) {
        return Err(Misfit::Kind("a number (FP64)"));
    }
    let number = reader.number()?;
    *slot = number.parse().unwrap_or(f64::INFINITY);
    if slot.is_finite() { Ok(()) } else { Err(too_large(number, "within the range of FP64")) }
}

fn too_large(number: &str, expected: &'static str) -> Misfit {
    Misfit::Range(expected, super::error::shown(number))
}

fn text(reader: &mut Reader<'_>, slot: &mut Vec<u8>) -> Result<(), Misfit> {
    if reader.peek() != Some(b'"') {
        return Err(Misfit::Kind("a string (BYTES)"));
    }
    let text = reader.string()?;
    slot.clear();
    slot.extend_from_slice(text.as_bytes());
    Ok(())
}

/// Copies binary tensor data into a tensor that has its type and shape already: little-endian
/// elements, or, for BYTES, each element's length (four bytes, little-endian) before it.
pub(super) fn read_binary(
    bytes: &[u8],
    input: &str,
    tensor: &mut Tensor,
) -> Result<(), RequestError> {
    let fault = |problem| RequestError::Input { input: super::error::shown(input), problem };
    if tensor.element == ElementType::Bytes {
        return read_strings(bytes, tensor).map_err(fault);
    }
    if bytes.len() != tensor.bytes().len() {
        return Err(fault(format!(
            "shape {:?} of {} needs {} bytes, \"binary_data_size\" is {}",
            tensor.shape,
            tensor.element,
            tensor.bytes().len(),
            bytes.len()
        )));
    }
    if tensor.element == ElementType::Bool
        && let Some(at) = bytes.iter().position(|byte| *byte > 1)
    {
        return Err(fault(format!("element {at} of the binary data is neither 0 nor 1 (BOOL)")));
    }
    tensor.bytes_mut().copy_from_slice(bytes);
    Ok(())
}

fn read_strings(mut bytes: &[u8], tensor: &mut Tensor) -> Result<(), String> {
    let shape = tensor.shape.clone();
    let total = tensor.len();
    for (at, slot) in tensor.strings_mut().iter_mut().enumerate() {
        let Some((length, rest)) = bytes.split_first_chunk::<4>() else {
            return Err(format!(
                "the binary data holds {at} elements, shape {shape:?} needs {total}"
            ));
        };
        let length = u32::from_le_bytes(*length) as usize;
        let Some((element, rest)) = rest.split_at_checked(length) else {
            return Err(format!(
                "element {at} of the binary data claims {length} bytes, {} are left",
                rest.len()
            ));
        };
        slot.clear();
        slot.extend_from_slice(element);
        bytes = rest;
    }
    match bytes.len() {
        0 => Ok(()),
        more => Err(format!("{more} bytes follow the {total} elements of shape {shape:?}")),
    }
}

/// Appends a tensor's elements as binary tensor data.
pub(super) fn write_binary(tensor: &Tensor, out: &mut Vec<u8>) {
    if tensor.element != ElementType::Bytes {
        out.extend_from_slice(tensor.bytes());
        return;
    }
    for element in tensor.strings() {
        // An element this long cannot have come in: bodies are bounded far below.
        let length = u32::try_from(element.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(element.get(..length as usize).unwrap_or(element));
    }
}

/// The bytes that [`write_binary`] appends.
pub(super) fn binary_size(tensor: &Tensor) -> usize {
    match tensor.element {
        ElementType::Bytes => tensor.strings().iter().map(|element| 4 + element.len()).sum(),
        _ => tensor.bytes().len(),
    }
}

/// Appends a tensor's elements as a flat JSON array. Returns what JSON cannot carry.
pub(super) fn write_json(tensor: &Tensor, out: &mut Vec<u8>) -> Result<(), String> {
    out.push(b'[');
    match tensor.element {
        ElementType::Bool => {
            for (at, element) in tensor.as_slice::<u8>().iter().enumerate() {
                separator(at, out);
                out.extend_from_slice(if *element != 0 { b"true" } else { b"false" });
            }
        }
        ElementType::Uint8 => numbers(tensor.as_slice::<u8>(), out),
        ElementType::Uint16 => numbers(tensor.as_slice::<u16>(), out),
        ElementType::Uint32 => numbers(tensor.as_slice::<u32>(), out),
        ElementType::Uint64 => numbers(tensor.as_slice::<u64>(), out),
        ElementType::Int8 => numbers(tensor.as_slice::<i8>(), out),
        ElementType::Int16 => numbers(tensor.as_slice::<i16>(), out),
        ElementType::Int32 => numbers(tensor.as_slice::<i32>(), out),
        ElementType::Int64 => numbers(tensor.as_slice::<i64>(), out),
        ElementType::Fp32 => {
            let elements = tensor.as_slice::<f32>();
            if let Some(bad) = elements.iter().find(|element| !element.is_finite()) {
                return Err(format!("{bad}"));
            }
            numbers(elements, out);
        }
        ElementType::Fp64 => {
            let elements = tensor.as_slice::<f64>();
            if let Some(bad) = elements.iter().find(|element| !element.is_finite()) {
                return Err(format!("{bad}"));
            }
            numbers(elements, out);
        }
        ElementType::Fp16 | ElementType::Bf16 => return Err(tensor.element.to_string()),
        ElementType::Bytes => {
            for (at, element) in tensor.strings().iter().enumerate() {
                let text = std::str::from_utf8(element)
                    .map_err(|_| format!("element {at}, which is not UTF-8"))?;
                separator(at, out);
                write_value(text, out);
            }
        }
    }
    out.push(b']');
    Ok(())
}

fn numbers<T: serde::Serialize>(elements: &[T], out: &mut Vec<u8>) {
    for (at, element) in elements.iter().enumerate() {
        separator(at, out);
        write_value(element, out);
    }
}

fn separator(at: usize, out: &mut Vec<u8>) {
    if at > 0 {
        out.push(b',');
    }
}

/// Appends a number or text as JSON.
pub(super) fn write_value<T: serde::Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    // Neither numbers nor texts fail to serialise, and a vector takes every byte.
    let _ = serde_json::to_writer(out, value);
}
