//! The fields of a request, each by itself; a field of the wrong kind is refused with its name and
//! place.

use std::borrow::Cow;

use resonance_plant::ElementType;

use super::error::{RequestError, shown};
use super::json::Reader;
use super::request::RANK_MAX;

/// What the request's own parameters ask for.
#[derive(Default)]
pub(super) struct RequestParameters {
    pub(super) binary_data_output: bool,
}

pub(super) fn field(
    field: &'static str,
    reader: &Reader<'_>,
    problem: impl Into<String>,
) -> RequestError {
    RequestError::Field { field, offset: reader.offset(), problem: problem.into() }
}

/// Refuses a field given twice: readers of JSON disagree on which one counts.
pub(super) fn once<T>(
    slot: &Option<T>,
    name: &'static str,
    reader: &Reader<'_>,
) -> Result<(), RequestError> {
    if slot.is_some() { Err(field(name, reader, "it is given twice")) } else { Ok(()) }
}

/// Reads a value that may be null, which means absent.
pub(super) fn optional<'a, T>(
    reader: &mut Reader<'a>,
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, RequestError>,
) -> Result<Option<T>, RequestError> {
    if reader.null()? { Ok(None) } else { read(reader).map(Some) }
}

pub(super) fn string<'a>(
    reader: &mut Reader<'a>,
    name: &'static str,
) -> Result<Cow<'a, str>, RequestError> {
    if reader.peek() != Some(b'"') {
        return Err(field(name, reader, "it must be a string"));
    }
    reader.string()
}

pub(super) fn read_id(reader: &mut Reader<'_>) -> Result<String, RequestError> {
    string(reader, "id").map(Cow::into_owned)
}

pub(super) fn element_type(reader: &mut Reader<'_>) -> Result<ElementType, RequestError> {
    let name = string(reader, "datatype")?;
    ElementType::from_name(&name).ok_or_else(|| {
        let known: Vec<&str> = ElementType::ALL.iter().map(|element| element.name()).collect();
        let problem = format!("{:?} is none of {}", shown(&name), known.join(", "));
        field("datatype", reader, problem)
    })
}

pub(super) fn shape(reader: &mut Reader<'_>) -> Result<Vec<usize>, RequestError> {
    if reader.peek() != Some(b'[') {
        return Err(field("shape", reader, "it must be an array"));
    }
    reader.expect(b'[', "expected an array")?;
    let mut dims = Vec::with_capacity(4);
    let mut first = true;
    while reader.element(&mut first)? {
        if dims.len() == RANK_MAX {
            return Err(field("shape", reader, format!("it has more than {RANK_MAX} dimensions")));
        }
        dims.push(whole_number(reader, "shape")?);
    }
    Ok(dims)
}

fn whole_number(reader: &mut Reader<'_>, name: &'static str) -> Result<usize, RequestError> {
    let problem = "it must be a whole number, not negative";
    if !matches!(reader.peek(), Some(b'-' | b'0'..=b'9')) {
        return Err(field(name, reader, problem));
    }
    let number = reader.number()?;
    number.parse().map_err(|_| field(name, reader, format!("{problem}, and is {}", shown(number))))
}

/// Why a parameter that other servers know is refused: it would change what the request means.
/// All others are hints, and are read over.
pub(super) fn unsupported(key: &str) -> Option<&'static str> {
    match key {
        "shared_memory_region" | "shared_memory_byte_size" | "shared_memory_offset" => {
            Some("shared memory is not supported; send the data in the request")
        }
        "sequence_id" | "sequence_start" | "sequence_end" => {
            Some("sequences are not supported; models here keep no state between requests")
        }
        "classification" => Some("classification is not supported; ask for the output itself"),
        _ => None,
    }
}

/// Reads a parameters object; `one` reads the value of a key it knows and says so, all others are
/// read over: parameters are hints unless they say where data is.
fn parameters<'a>(
    reader: &mut Reader<'a>,
    mut one: impl FnMut(&str, &mut Reader<'a>) -> Result<bool, RequestError>,
) -> Result<(), RequestError> {
    if reader.peek() != Some(b'{') {
        return Err(field("parameters", reader, "it must be an object"));
    }
    reader.expect(b'{', "expected an object")?;
    let mut first = true;
    while let Some(key) = reader.key(&mut first)? {
        if let Some(problem) = unsupported(&key) {
            return Err(field("parameters", reader, format!("{key:?}: {problem}")));
        }
        if !one(&key, reader)? {
            reader.skip()?;
        }
    }
    Ok(())
}

pub(super) fn request_parameters(
    reader: &mut Reader<'_>,
) -> Result<RequestParameters, RequestError> {
    let mut found = RequestParameters::default();
    parameters(reader, |key, reader| {
        if key == "binary_data_output" {
            found.binary_data_output = reader.boolean()?;
        }
        Ok(key == "binary_data_output")
    })?;
    Ok(found)
}

pub(super) fn input_parameters(
    reader: &mut Reader<'_>,
    binary_size: &mut Option<usize>,
) -> Result<(), RequestError> {
    parameters(reader, |key, reader| {
        if key == "binary_data_size" {
            *binary_size = Some(whole_number(reader, "binary_data_size")?);
        }
        Ok(key == "binary_data_size")
    })
}

pub(super) fn requested_output<'a>(
    reader: &mut Reader<'a>,
) -> Result<(Cow<'a, str>, Option<bool>), RequestError> {
    if reader.peek() != Some(b'{') {
        return Err(field("outputs", reader, "each output must be an object"));
    }
    reader.expect(b'{', "expected an object")?;
    let (mut name, mut binary) = (None, None);
    let mut first = true;
    while let Some(key) = reader.key(&mut first)? {
        match &*key {
            "name" => {
                once(&name, "name", reader)?;
                name = Some(string(reader, "name")?);
            }
            "parameters" => {
                optional(reader, |reader| {
                    parameters(reader, |key, reader| {
                        if key == "binary_data" {
                            binary = Some(reader.boolean()?);
                        }
                        Ok(key == "binary_data")
                    })
                })?;
            }
            _ => reader.skip()?,
        }
    }
    match name {
        Some(name) => Ok((name, binary)),
        None => Err(field("name", reader, "a requested output has none")),
    }
}
