//! Answers (inference_rest.md, Inference Response JSON Object) and errors.

use resonance_plant::{Signature, Tensor, TensorBuf};

use super::data::{binary_size, write_binary, write_json, write_value};
use super::error::ResponseError;
use super::request::Request;

/// What an answer says besides its tensors.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The model's name.
    pub model_name: &'a str,
    /// The model's version.
    pub model_version: &'a str,
    /// What was asked.
    pub request: &'a Request,
    /// The model's tensors.
    pub signature: &'a Signature,
    /// The model's outputs, in the signature's order.
    pub outputs: &'a TensorBuf,
}

/// Appends an answer. Returns the length of the JSON part where binary tensor data follows it.
///
/// # Errors
/// Names an output that JSON cannot carry but was asked for in JSON; `out` is then unspecified.
pub fn encode_response(
    answer: &Answer<'_>,
    out: &mut Vec<u8>,
) -> Result<Option<usize>, ResponseError> {
    let start = out.len();
    out.extend_from_slice(b"{\"model_name\":");
    write_value(answer.model_name, out);
    out.extend_from_slice(b",\"model_version\":");
    write_value(answer.model_version, out);
    if let Some(id) = &answer.request.id {
        out.extend_from_slice(b",\"id\":");
        write_value(id, out);
    }
    out.extend_from_slice(b",\"outputs\":[");
    let mut any_binary = false;
    let mut first = true;
    for requested in &answer.request.outputs {
        let spec = answer.signature.outputs.get(requested.index);
        let tensor = answer.outputs.tensors.get(requested.index);
        let (Some(spec), Some(tensor)) = (spec, tensor) else { continue };
        if !first {
            out.push(b',');
        }
        first = false;
        any_binary |= requested.binary;
        write_tensor(&spec.name, tensor, requested.binary, out)?;
    }
    out.extend_from_slice(b"]}");
    if !any_binary {
        return Ok(None);
    }
    let json_length = out.len() - start;
    for requested in answer.request.outputs.iter().filter(|requested| requested.binary) {
        if let Some(tensor) = answer.outputs.tensors.get(requested.index) {
            write_binary(tensor, out);
        }
    }
    Ok(Some(json_length))
}

/// Appends one tensor's object: with its data, or with the size its binary data will have.
pub(super) fn write_tensor(
    name: &str,
    tensor: &Tensor,
    binary: bool,
    out: &mut Vec<u8>,
) -> Result<(), ResponseError> {
    out.extend_from_slice(b"{\"name\":");
    write_value(name, out);
    out.extend_from_slice(b",\"datatype\":\"");
    out.extend_from_slice(tensor.element.name().as_bytes());
    out.extend_from_slice(b"\",\"shape\":[");
    for (at, size) in tensor.shape.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_value(size, out);
    }
    if binary {
        out.extend_from_slice(b"],\"parameters\":{\"binary_data_size\":");
        write_value(&binary_size(tensor), out);
        out.extend_from_slice(b"}}");
        return Ok(());
    }
    out.extend_from_slice(b"],\"data\":");
    write_json(tensor, out).map_err(|what| ResponseError { output: name.to_owned(), what })?;
    out.push(b'}');
    Ok(())
}

/// The body of an error (inference_rest.md, Inference Response JSON Error Object).
pub fn encode_error(message: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 16);
    out.extend_from_slice(b"{\"error\":");
    write_value(message, &mut out);
    out.push(b'}');
    out
}
