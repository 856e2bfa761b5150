//! An ONNX file without a package: what it declares stands in for a manifest.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use resonance_plant::ModelCategory;
use resonance_proof::{PackageLimits, ProofError, file_digest, read_file, verify};

use crate::EngineError;
use crate::engines::{Declared, Limits};
use crate::onnx::{self, OnnxValue};
use crate::package::manifest::{InputSpec, Manifest, Order, OutputSpec, Tolerance, Training};
use crate::package::{MANIFEST, VerifiedModel};

/// Why a file cannot be compared.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LoneError {
    /// The path ends in no file name.
    #[error("{}: this is no file; name an ONNX file or the folder of a package", .0.display())]
    Path(PathBuf),
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] ProofError),
    /// It is no model.
    #[error(transparent)]
    Model(#[from] EngineError),
    /// An input that nothing can be made for.
    #[error("{file}: the input {input:?} is {what}, for which no values can be made")]
    Input {
        /// The file.
        file: String,
        /// The input.
        input: String,
        /// What it is.
        what: String,
    },
    /// No output that can be compared.
    #[error("{0}: no output is a tensor of a type that can be compared")]
    Outputs(String),
}

/// A model with the manifest that its file implies: every tensor it declares, no golden vectors.
/// Outputs that are no tensors, such as maps, are left out.
///
/// # Errors
/// Where the file cannot be read, is no model, or its inputs are unknown.
pub fn of_file(path: &Path) -> Result<VerifiedModel, LoneError> {
    let limits = Limits::default();
    let no_file = || LoneError::Path(path.to_owned());
    let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(no_file)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let bytes = read_file(folder, name, limits.model_bytes_max)?;
    let summary = onnx::inspect(name, &bytes, &limits)?;
    let manifest = Manifest {
        format: 1,
        name: path.file_stem().unwrap_or_default().to_string_lossy().as_ref().into(),
        version: "0".into(),
        category: ModelCategory::SoftSensor,
        description: String::new(),
        licence: String::new(),
        training: Training {
            data: "none".into(),
            dataset: String::new(),
            figures: std::collections::BTreeMap::new(),
            held_out: Vec::new(),
        },
        model: name.to_owned(),
        files: [(name.to_owned(), file_digest(&bytes))].into(),
        window: None,
        inputs: summary.inputs.iter().map(|value| input(name, value)).collect::<Result<_, _>>()?,
        outputs: summary.outputs.iter().filter_map(output).collect(),
        tolerance: Tolerance::default(),
        latency_budget_us: None,
        valid_for_ms: 0,
    };
    if manifest.outputs.is_empty() {
        return Err(LoneError::Outputs(name.to_owned()));
    }
    let nothing: Arc<[u8]> = Arc::from([]);
    let files = verify(folder, (MANIFEST, nothing), &manifest.files, &PackageLimits::default())?;
    Ok(VerifiedModel { manifest: Arc::new(manifest), files, golden: Arc::from([]) })
}

fn input(file: &str, value: &OnnxValue) -> Result<InputSpec, LoneError> {
    let declared = Declared::of(value);
    match (declared.element, declared.shape) {
        (Some(element), Some(shape)) => Ok(InputSpec {
            name: declared.name.into(),
            element,
            shape,
            order: Order::default(),
            features: Vec::new(),
        }),
        _ => {
            Err(LoneError::Input { file: file.into(), input: declared.name, what: declared.shown })
        }
    }
}

fn output(value: &OnnxValue) -> Option<OutputSpec> {
    let declared = Declared::of(value);
    Some(OutputSpec {
        name: declared.name.into(),
        element: declared.element?,
        shape: declared.shape.unwrap_or_default(),
        values: Vec::new(),
    })
}
