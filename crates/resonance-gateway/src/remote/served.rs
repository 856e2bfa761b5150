//! What a server says of a model, whichever way it is asked.

use resonance_inference::engines::{Declared, agree};
use resonance_plant::tensor::Dim;
use resonance_plant::{ElementType, Signature};
use resonance_wire::oip::grpc::{ModelMetadataResponse, model_metadata_response::TensorMetadata};
use serde::Deserialize;

use super::target::told;

/// The most tensors a model may declare on either side, and the most dimensions of one.
const DECLARED_MAX: usize = 1_024;

/// What a server says of a model.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Served {
    name: String,
    versions: Vec<String>,
    inputs: Vec<Declared>,
    outputs: Vec<Declared>,
}

/// A model's metadata as JSON (inference_rest.md, Model Metadata Response JSON Object).
#[derive(Deserialize)]
struct Metadata {
    name: String,
    #[serde(default)]
    versions: Option<Vec<String>>,
    #[serde(default)]
    inputs: Vec<TensorJson>,
    #[serde(default)]
    outputs: Vec<TensorJson>,
}

#[derive(Deserialize)]
struct TensorJson {
    name: String,
    datatype: String,
    shape: Vec<i64>,
}

impl Served {
    /// Reads a body of metadata.
    ///
    /// # Errors
    /// Says what is wrong.
    pub(super) fn of_json(body: &[u8]) -> Result<Self, String> {
        let read: Metadata = serde_json::from_slice(body)
            .map_err(|error| format!("its metadata are not understood: {error}"))?;
        let declared = |tensors: Vec<TensorJson>| {
            tensors.into_iter().map(|t| declared(&t.name, &t.datatype, &t.shape)).collect()
        };
        Self {
            name: read.name,
            versions: read.versions.unwrap_or_default(),
            inputs: declared(read.inputs),
            outputs: declared(read.outputs),
        }
        .bounded()
    }

    /// Reads a message of metadata.
    ///
    /// # Errors
    /// Says what is wrong.
    pub(super) fn of_message(message: ModelMetadataResponse) -> Result<Self, String> {
        let declared = |tensors: &[TensorMetadata]| {
            tensors.iter().map(|t| declared(&t.name, &t.datatype, &t.shape)).collect()
        };
        let (inputs, outputs) = (declared(&message.inputs), declared(&message.outputs));
        Self { name: message.name, versions: message.versions, inputs, outputs }.bounded()
    }

    fn bounded(self) -> Result<Self, String> {
        let rank = |tensor: &Declared| tensor.shape.as_ref().map_or(0, Vec::len);
        let tensors = || self.inputs.iter().chain(&self.outputs);
        if tensors().count() > DECLARED_MAX || tensors().any(|t| rank(t) > DECLARED_MAX) {
            return Err(format!("its metadata declare more than {DECLARED_MAX} tensors or sizes"));
        }
        Ok(self)
    }

    /// Compares with what was asked for and what the package says.
    ///
    /// # Errors
    /// Names the first thing on which they differ.
    pub(super) fn agrees(
        &self,
        model: &str,
        version: Option<&str>,
        signature: &Signature,
    ) -> Result<(), String> {
        if self.name != model {
            return Err(format!("asked about model {model:?} it tells of {}", told(&self.name)));
        }
        if let Some(version) = version
            && !self.versions.is_empty()
            && !self.versions.iter().any(|known| known == version)
        {
            let known = told(&self.versions.join(", "));
            return Err(format!("it has no version {version:?} of the model, only {known}"));
        }
        for (what, tensors) in [("input", &self.inputs), ("output", &self.outputs)] {
            if tensors.is_empty() {
                return Err(format!(
                    "it declares no {what} of model {model:?}; have it tell its tensors' names, \
                     types and shapes"
                ));
            }
        }
        agree(signature, &self.inputs, &self.outputs).map_err(|error| told(&error.to_string()))
    }
}

fn declared(name: &str, datatype: &str, shape: &[i64]) -> Declared {
    let dim = |size: &i64| usize::try_from(*size).map_or(Dim::Any, Dim::Fixed);
    Declared {
        name: name.to_owned(),
        element: ElementType::from_name(datatype),
        shape: Some(shape.iter().map(dim).collect()),
        shown: format!("{datatype}{shape:?}"),
    }
}
