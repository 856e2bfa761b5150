//! Health and metadata (inference_rest.md, Payload Contents).

use resonance_plant::{Signature, TensorSpec};
use serde::Serialize;

/// Whether the server answers at all.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Live {
    /// Always true where anyone can read it.
    pub live: bool,
}

/// Whether every model answers. The specification's readiness body says `live`, a widely used
/// client reads `ready`: both carry the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Ready {
    /// As the specification says.
    pub live: bool,
    /// As clients read.
    pub ready: bool,
}

impl Ready {
    /// Every model answers, or not.
    pub const fn new(ready: bool) -> Self {
        Self { live: ready, ready }
    }
}

/// Whether one model answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ModelReady<'a> {
    /// The model.
    pub name: &'a str,
    /// Whether it answers.
    pub ready: bool,
}

/// What the server is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ServerMetadata<'a> {
    /// The product.
    pub name: &'a str,
    /// The product's version.
    pub version: &'a str,
    /// What it does beyond the protocol.
    pub extensions: &'a [&'a str],
}

/// What a model takes and gives.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ModelMetadata<'a> {
    /// The model.
    pub name: &'a str,
    /// The versions that may be asked for.
    pub versions: &'a [&'a str],
    /// `onnx_onnxv1` for a model in ONNX.
    pub platform: &'a str,
    /// What it takes.
    pub inputs: Vec<TensorMetadata<'a>>,
    /// What it gives.
    pub outputs: Vec<TensorMetadata<'a>>,
    /// What the protocol has no field for.
    pub parameters: ModelParameters<'a>,
}

/// What is said of a model beyond the protocol.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ModelParameters<'a> {
    /// Where its training data came from, in the card's words.
    pub trained_on: &'a str,
}

impl<'a> ModelMetadata<'a> {
    /// Of an ONNX model with this signature.
    pub fn onnx(
        name: &'a str,
        versions: &'a [&'a str],
        signature: &'a Signature,
        trained_on: &'a str,
    ) -> Self {
        let tensors = |specs: &'a [TensorSpec]| specs.iter().map(TensorMetadata).collect();
        Self {
            name,
            versions,
            platform: "onnx_onnxv1",
            inputs: tensors(&signature.inputs),
            outputs: tensors(&signature.outputs),
            parameters: ModelParameters { trained_on },
        }
    }
}

/// One tensor; dimensions of any length are -1.
#[derive(Clone, PartialEq, Debug)]
pub struct TensorMetadata<'a>(pub &'a TensorSpec);

impl Serialize for TensorMetadata<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut out = serializer.serialize_struct("TensorMetadata", 3)?;
        out.serialize_field("name", &self.0.name)?;
        out.serialize_field("datatype", &self.0.element)?;
        out.serialize_field("shape", &self.0.shape)?;
        out.end()
    }
}
