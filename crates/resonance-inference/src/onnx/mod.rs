//! Looks into an ONNX file before any engine does: operators, tensors, sizes, files it asks for.
//!
//! Field numbers are those of onnx.proto (ONNX IR version 10). The walk is bounded in depth and
//! number of nodes, copies no weights and never panics, whatever the bytes.

mod graph;
#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use resonance_plant::ElementType;
use serde::Serialize;

pub use graph::inspect;

/// What an ONNX file says about itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct OnnxSummary {
    /// The version of the intermediate representation.
    pub ir_version: i64,
    /// The tool that wrote the file, with its version.
    pub producer: String,
    /// Operator sets by domain.
    pub opsets: BTreeMap<String, i64>,
    /// `domain:operator` and how often the graphs use it.
    pub operators: BTreeMap<String, usize>,
    /// `domain:operator` of those that the file itself defines.
    pub functions: BTreeSet<String>,
    /// What the model takes, initializers left out.
    pub inputs: Vec<OnnxValue>,
    /// What the model gives.
    pub outputs: Vec<OnnxValue>,
    /// Tensors stored in the file.
    pub weights: usize,
    /// Numbers in them.
    pub parameters: u64,
    /// Other files that tensors refer to, by their paths as the file gives them.
    pub external: BTreeMap<String, ExternalFile>,
    /// Key and value pairs that the author left.
    pub metadata: BTreeMap<String, String>,
}

/// What tensors ask of another file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ExternalFile {
    /// How long it must be for all of them to lie in it, bytes.
    pub bytes: u64,
    /// Whether one of them is no weight of the main graph. ONNX Runtime looks for those on disk
    /// even where it was handed the file's content.
    pub is_inner: bool,
}

/// An input or output of an ONNX model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OnnxValue {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: OnnxKind,
}

/// What an input or output is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnnxKind {
    /// A tensor.
    Tensor {
        /// Its element type; `None` for one that the inference protocol lacks.
        element: Option<ElementType>,
        /// Its shape; `None` where the file does not say.
        shape: Option<Vec<OnnxDim>>,
    },
    /// A sequence, map or the like.
    Other(&'static str),
}

/// One dimension in an ONNX file.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum OnnxDim {
    /// Always this long.
    Fixed(u64),
    /// As long as the caller likes; with the name that the file gives it, if any.
    Any(String),
}

impl fmt::Display for OnnxKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (element, shape) = match self {
            Self::Other(what) => return f.write_str(what),
            Self::Tensor { element, shape } => (element, shape),
        };
        match element {
            Some(element) => write!(f, "{element}")?,
            None => f.write_str("an element type unknown to the protocol ")?,
        }
        let Some(shape) = shape else { return f.write_str("[...]") };
        let dims: Vec<String> = shape.iter().map(ToString::to_string).collect();
        write!(f, "[{}]", dims.join(", "))
    }
}

impl fmt::Display for OnnxDim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(size) => write!(f, "{size}"),
            Self::Any(name) if name.is_empty() => f.write_str("-1"),
            Self::Any(name) => write!(f, "{name}"),
        }
    }
}

/// The element type with this number in TensorProto.DataType.
pub(crate) fn element_type(number: i64) -> Option<ElementType> {
    Some(match number {
        1 => ElementType::Fp32,
        2 => ElementType::Uint8,
        3 => ElementType::Int8,
        4 => ElementType::Uint16,
        5 => ElementType::Int16,
        6 => ElementType::Int32,
        7 => ElementType::Int64,
        8 => ElementType::Bytes,
        9 => ElementType::Bool,
        10 => ElementType::Fp16,
        11 => ElementType::Fp64,
        12 => ElementType::Uint32,
        13 => ElementType::Uint64,
        16 => ElementType::Bf16,
        _ => return None,
    })
}
