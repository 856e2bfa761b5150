//! `golden.json`: what a model must answer before it may serve.
//!
//! ```json
//! {"vectors": [{
//!   "name": "new tool, light cut",
//!   "inputs":  [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [0.5, 1.0]}],
//!   "outputs": [{"name": "wear", "datatype": "FP32", "shape": [1, 1], "data": [0.02]}]
//! }]}
//! ```
//! Tensors are written as in the Open Inference Protocol v2.

use resonance_plant::{Tensor, TensorBuf, TensorSpec};
use serde::Deserialize;

use super::Manifest;
use crate::json::{JsonTensor, JsonTensorError};

/// Largest file of golden vectors, bytes.
pub const GOLDEN_BYTES_MAX: usize = 64 << 20;

/// One input with the answer to it.
#[derive(Clone, Debug, PartialEq)]
pub struct GoldenVector {
    /// What it shows, for people.
    pub name: String,
    /// One tensor for each input of the manifest, in its order.
    pub inputs: TensorBuf,
    /// Tensors with the number of their output in the manifest; each output that carries values
    /// is among them.
    pub outputs: Vec<(usize, Tensor)>,
}

/// Why golden vectors are not understood. Always the package's fault.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum GoldenError {
    /// The file is larger than allowed.
    #[error("{actual} bytes of golden vectors are more than the {GOLDEN_BYTES_MAX} allowed")]
    TooLarge {
        /// Its size.
        actual: usize,
    },
    /// The file is no JSON of this form.
    #[error("line {line}, column {column}: {reason}")]
    Json {
        /// Line, from one.
        line: usize,
        /// Column, from one.
        column: usize,
        /// What is wrong.
        reason: String,
    },
    /// Nothing to check the model by.
    #[error("there are no golden vectors; a package needs at least one")]
    None,
    /// A tensor that the manifest does not know.
    #[error("vector {vector:?}: the manifest has no {what} {name:?}, only {}", known.join(", "))]
    UnknownTensor {
        /// Which vector.
        vector: String,
        /// `input` or `output`.
        what: &'static str,
        /// The name.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// A tensor is absent, or there twice.
    #[error("vector {vector:?}: {what} {name:?} must be there once")]
    NotOnce {
        /// Which vector.
        vector: String,
        /// `input` or `output`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A tensor is not as the manifest says.
    #[error("vector {vector:?}: {tensor:?} must be {expected}, not {actual}")]
    Mismatch {
        /// Which vector.
        vector: String,
        /// Which tensor.
        tensor: String,
        /// As the manifest says.
        expected: String,
        /// As the vector has it.
        actual: String,
    },
    /// A tensor's data is wrong.
    #[error("vector {vector:?}: {source}")]
    Tensor {
        /// Which vector.
        vector: String,
        /// What is wrong.
        #[source]
        source: JsonTensorError,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    #[serde(default)]
    name: String,
    inputs: Vec<JsonTensor>,
    outputs: Vec<JsonTensor>,
}

/// An inference request: what else the protocol allows in it is of no matter here.
#[derive(Deserialize)]
struct Request {
    inputs: Vec<JsonTensor>,
}

/// Reads a file of golden vectors and checks it against the manifest.
///
/// # Errors
/// Names the vector and the tensor.
pub fn parse(bytes: &[u8], manifest: &Manifest) -> Result<Vec<GoldenVector>, GoldenError> {
    let file: File = json(bytes)?;
    if file.vectors.is_empty() {
        return Err(GoldenError::None);
    }
    let inputs: Vec<TensorSpec> = manifest.inputs.iter().map(|input| input.tensor()).collect();
    let outputs: Vec<TensorSpec> = manifest.outputs.iter().map(|output| output.tensor()).collect();
    let vectors = file.vectors.into_iter().enumerate().map(|(at, vector)| {
        let name = if vector.name.is_empty() { (at + 1).to_string() } else { vector.name };
        let named = |what, tensors, specs| read(&name, what, tensors, specs);
        let found = named("input", &vector.inputs, &inputs)?;
        let tensors = every(&name, "input", found, &inputs)?;
        let expected = named("output", &vector.outputs, &outputs)?;
        for (at, output) in manifest.outputs.iter().enumerate() {
            if !output.values.is_empty() && !expected.iter().any(|(number, _)| *number == at) {
                return Err(not_once(&name, "output", &output.name));
            }
        }
        Ok(GoldenVector { name, inputs: TensorBuf { tensors }, outputs: expected })
    });
    vectors.collect()
}

/// Reads the inputs of an inference request, in the order of the manifest.
///
/// # Errors
/// Names the tensor.
pub fn parse_request(bytes: &[u8], manifest: &Manifest) -> Result<TensorBuf, GoldenError> {
    let request: Request = json(bytes)?;
    let specs: Vec<TensorSpec> = manifest.inputs.iter().map(|input| input.tensor()).collect();
    let found = read("request", "input", &request.inputs, &specs)?;
    Ok(TensorBuf { tensors: every("request", "input", found, &specs)? })
}

fn json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, GoldenError> {
    if bytes.len() > GOLDEN_BYTES_MAX {
        return Err(GoldenError::TooLarge { actual: bytes.len() });
    }
    serde_json::from_slice(bytes).map_err(|error| GoldenError::Json {
        line: error.line(),
        column: error.column(),
        reason: error.to_string(),
    })
}

fn read(
    vector: &str,
    what: &'static str,
    tensors: &[JsonTensor],
    specs: &[TensorSpec],
) -> Result<Vec<(usize, Tensor)>, GoldenError> {
    let mut found: Vec<(usize, Tensor)> = Vec::with_capacity(tensors.len());
    for json in tensors {
        let Some(number) = specs.iter().position(|spec| spec.name == json.name) else {
            return Err(GoldenError::UnknownTensor {
                vector: vector.into(),
                what,
                name: json.name.to_string(),
                known: specs.iter().map(|spec| spec.name.to_string()).collect(),
            });
        };
        if found.iter().any(|(other, _)| *other == number) {
            return Err(not_once(vector, what, &json.name));
        }
        let spec = &specs[number];
        if json.datatype != spec.element || !spec.accepts_shape(&json.shape) {
            return Err(GoldenError::Mismatch {
                vector: vector.into(),
                tensor: json.name.to_string(),
                expected: spec.to_string(),
                actual: format!("{}{:?}", json.datatype, json.shape),
            });
        }
        let tensor =
            json.read().map_err(|source| GoldenError::Tensor { vector: vector.into(), source })?;
        found.push((number, tensor));
    }
    Ok(found)
}

/// The tensors in the order of `specs`, each there.
fn every(
    vector: &str,
    what: &'static str,
    mut found: Vec<(usize, Tensor)>,
    specs: &[TensorSpec],
) -> Result<Vec<Tensor>, GoldenError> {
    found.sort_by_key(|(number, _)| *number);
    for (at, spec) in specs.iter().enumerate() {
        if found.get(at).is_none_or(|(number, _)| *number != at) {
            return Err(not_once(vector, what, &spec.name));
        }
    }
    Ok(found.into_iter().map(|(_, tensor)| tensor).collect())
}

fn not_once(vector: &str, what: &'static str, name: &str) -> GoldenError {
    GoldenError::NotOnce { vector: vector.into(), what, name: name.into() }
}
