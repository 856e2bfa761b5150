//! What runs a model.
//!
//! An engine loads a verified package into a program; each thread that infers takes its own
//! session from it. All of it is synchronous: where inference runs is the caller's decision.

pub mod onnxruntime;
mod registry;
#[cfg(test)]
pub(crate) mod sample;
mod signature;
#[cfg(feature = "tract")]
pub mod tract;

use resonance_plant::{Signature, TensorBuf};

use crate::package::VerifiedModel;

pub use onnxruntime::OnnxRuntime;
pub use registry::EngineKind;
pub use signature::{Declared, agree, check_inputs, signature_of};
#[cfg(feature = "tract")]
pub use tract::Tract;

/// Bounds on what an engine accepts.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Largest model file, bytes.
    pub model_bytes_max: u64,
    /// Largest number of elements of one tensor.
    pub tensor_elements_max: usize,
    /// Threads inside one inference; one keeps results repeatable.
    pub intra_threads: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { model_bytes_max: 1 << 30, tensor_elements_max: 1 << 26, intra_threads: 1 }
    }
}

/// Loads models.
pub trait Engine: Send + Sync {
    /// The engine and its version, such as `onnxruntime 1.31.1`.
    fn identity(&self) -> &str;

    /// Makes a program of a package whose files were verified. It does not serve before
    /// [`crate::verify_golden`] has passed.
    ///
    /// # Errors
    /// Names the operator, tensor, bound or file that stands in the way.
    fn load(&self, model: &VerifiedModel, limits: &Limits)
    -> Result<Box<dyn Program>, EngineError>;
}

/// A loaded model.
pub trait Program: Send + Sync {
    /// The tensors on which manifest and model agree, in the manifest's order.
    fn signature(&self) -> &Signature;

    /// A session for one thread.
    ///
    /// # Errors
    /// Where the engine is out of resources.
    fn session(&self) -> Result<Box<dyn Session>, EngineError>;
}

/// Runs inferences, one at a time.
pub trait Session: Send {
    /// Runs the model. `inputs` holds one tensor for each input of the signature, in its order;
    /// `outputs` is filled likewise, its memory reused.
    ///
    /// # Errors
    /// Where an input does not fit or the engine fails; `outputs` is then unspecified.
    fn infer(&mut self, inputs: &TensorBuf, outputs: &mut TensorBuf) -> Result<(), EngineError>;
}

/// Why an engine refuses or fails.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EngineError {
    /// The runtime library is absent, too old or broken.
    #[error("{problem}; {remedy}")]
    Unavailable {
        /// What is wrong with it.
        problem: String,
        /// What to do.
        remedy: String,
    },
    /// The file is no model of a kind the engine knows.
    #[error("{file} is not a model: {reason}")]
    NotAModel {
        /// The file within the package.
        file: String,
        /// What the engine says.
        reason: String,
    },
    /// The model needs operators that the engine lacks.
    #[error("the model needs operators that {engine} lacks: {}", operators.join(", "))]
    UnknownOperators {
        /// Which engine.
        engine: String,
        /// `domain:operator` of each.
        operators: Vec<String>,
    },
    /// The engine has the model's operators, but not in this form.
    #[error("{engine} cannot run the model: {reason}")]
    Unsupported {
        /// Which engine.
        engine: String,
        /// What it says.
        reason: String,
    },
    /// The model asks for other files.
    #[error(
        "the model keeps data in {path:?}, {reason}; keep it in a file beside the model that the \
         package lists (resonance model pack), or in the ONNX file itself (onnx.save with \
         save_as_external_data=False)"
    )]
    ExternalData {
        /// The path as the model gives it.
        path: String,
        /// Why it is not taken from there.
        reason: String,
    },
    /// Something is larger than the limits allow.
    #[error("{what} is {actual}, more than the {limit} allowed")]
    OverLimit {
        /// What is too large.
        what: String,
        /// How large it is.
        actual: u64,
        /// How large it may be.
        limit: u64,
    },
    /// The model's own tensors are not those that the manifest states.
    #[error("tensor {tensor:?}: the manifest says {manifest}, the model {model}")]
    SignatureClash {
        /// Which tensor.
        tensor: String,
        /// As the manifest says.
        manifest: String,
        /// As the model says.
        model: String,
    },
    /// An input does not fit the signature.
    #[error("input {tensor:?} must be {expected}, not {actual}")]
    Input {
        /// Which input.
        tensor: String,
        /// What the signature says.
        expected: String,
        /// What came.
        actual: String,
    },
    /// The engine failed.
    #[error("the engine failed: {0}")]
    Failed(String),
}

/// Whether what a package says of its tensors is what is declared. What a lone file leaves open
/// of its outputs' shapes, an engine may know: that is no contradiction.
fn agree_with(
    model: &VerifiedModel,
    inputs: &[Declared],
    mut outputs: Vec<Declared>,
) -> Result<Signature, EngineError> {
    let signature = signature_of(&model.manifest);
    if model.golden.is_empty() {
        outputs.iter_mut().for_each(|output| output.shape = None);
    }
    agree(&signature, inputs, &outputs)?;
    Ok(signature)
}

/// A package's ONNX file: its name and content.
fn model_file(model: &VerifiedModel) -> Result<(&str, &[u8]), EngineError> {
    let file = &*model.manifest.model;
    let bytes = model.files.file(file).ok_or_else(|| EngineError::NotAModel {
        file: file.into(),
        reason: "the package does not hold it".into(),
    })?;
    Ok((file, bytes))
}
