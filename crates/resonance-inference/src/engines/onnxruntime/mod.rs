//! ONNX Runtime through its C library, loaded at run time.
//!
//! Inference runs on the caller's thread, sequentially and with deterministic kernels: the same
//! input gives the same answer. One loaded model is shared by all its sessions; the C interface
//! allows `Run` from several threads at once, and only the processor's own kernels are used.

mod calls;
mod library;
mod program;
mod telemetry;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;

pub use library::{LIBRARY_VARIABLE, MINOR_MIN};
pub use telemetry::{TELEMETRY_VARIABLE, disable_telemetry};

use super::{Engine, EngineError, Limits, Program};
use crate::onnx::{self, OnnxSummary};
use crate::package::VerifiedModel;
use library::unavailable;
use program::OnnxProgram;

/// Operator domains that ONNX Runtime's processor kernels implement.
const DOMAINS: [&str; 4] = ["ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc"];

/// ONNX Runtime. A process holds one; copies share it.
#[derive(Clone, Debug)]
pub struct OnnxRuntime {
    identity: String,
    version: String,
    library: PathBuf,
    environment: Environment,
}

impl OnnxRuntime {
    /// Finds the library, checks its version and loads it; once a process.
    ///
    /// Looked at, in this order: the file or folder that `RESONANCE_ONNXRUNTIME` names; `lib`
    /// beside the program; the program's own folder; `.cache/onnxruntime` there and in the three
    /// folders above it; `/usr/local/lib`, `/usr/lib`, `/usr/lib64`.
    ///
    /// # Errors
    /// [`EngineError::Unavailable`] where there is none, or it is too old, with the remedy.
    pub fn find() -> Result<Self, EngineError> {
        static FOUND: OnceLock<Result<OnnxRuntime, EngineError>> = OnceLock::new();
        FOUND.get_or_init(|| library::find().and_then(Self::start)).clone()
    }

    fn start(found: library::Found) -> Result<Self, EngineError> {
        let library::Found { path, version } = found;
        let failed = |error: String| {
            unavailable(
                format!("{} does not start: {error}", path.display()),
                "install another build of ONNX Runtime",
            )
        };
        let environment = ort::init_from(&path)
            .map_err(|error| failed(error.to_string()))?
            .with_name("resonance")
            .with_telemetry(false)
            .build()
            .map_err(|error| failed(error.message().to_owned()))?;
        let identity = format!("onnxruntime {version}");
        Ok(Self { identity, version, library: path, environment })
    }

    /// The library's version, such as `1.31.1`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The library's file.
    pub fn library(&self) -> &Path {
        &self.library
    }

    fn session(
        &self,
        bytes: &[u8],
        external: Vec<DataFile<'_>>,
        limits: &Limits,
    ) -> Result<Session, ort::Error> {
        let mut builder = Session::builder(&self.environment)?
            .with_intra_threads(limits.intra_threads.max(1))?
            .with_inter_threads(1)?
            .with_parallel_execution(false)?
            .with_deterministic_compute(true)?
            .with_optimization_level(GraphOptimizationLevel::All)?
            .with_log_level(LogLevel::Fatal)?;
        for (name, content) in external {
            builder = builder.with_external_initializer_file_in_memory(name, content)?;
        }
        builder.commit_from_memory(bytes)
    }
}

/// A file's name and verified content.
type DataFile<'n> = (&'n str, Arc<[u8]>);

/// The verified content of every file that a model keeps data in. The library is handed these
/// bytes and opens no file: a model that names another one is refused before.
fn external_files<'s>(
    summary: &'s OnnxSummary,
    model: &VerifiedModel,
) -> Result<Vec<DataFile<'s>>, EngineError> {
    let mut files = Vec::with_capacity(summary.external.len());
    for (path, asked) in &summary.external {
        let refuse = |reason: String| EngineError::ExternalData { path: path.clone(), reason };
        let Some(content) = model.files.file(path) else {
            return Err(refuse("which is no file that the package lists".into()));
        };
        if asked.is_inner {
            return Err(refuse("for a tensor that is no weight of the main graph".into()));
        }
        if (content.len() as u64) < asked.bytes {
            let (has, needs) = (content.len(), asked.bytes);
            return Err(refuse(format!("which has {has} bytes where {needs} are needed")));
        }
        files.push((path.as_str(), Arc::clone(content)));
    }
    Ok(files)
}

impl Engine for OnnxRuntime {
    fn identity(&self) -> &str {
        &self.identity
    }

    fn load(
        &self,
        model: &VerifiedModel,
        limits: &Limits,
    ) -> Result<Box<dyn Program>, EngineError> {
        let (file, bytes) = super::model_file(model)?;
        let summary = onnx::inspect(file, bytes, limits)?;
        let external = external_files(&summary, model)?;
        self.refuse_foreign(&summary)?;
        let session = self
            .session(bytes, external, limits)
            .map_err(|error| self.refusal(file, &error, &summary))?;
        let program = OnnxProgram::new(session, model, limits)?;
        Ok(Box::new(program))
    }
}

impl OnnxRuntime {
    /// Names all operators of domains that the library does not know and the file does not define.
    fn refuse_foreign(&self, summary: &OnnxSummary) -> Result<(), EngineError> {
        let known = |operator: &&String| {
            let domain = operator.split(':').next().unwrap_or_default();
            DOMAINS.contains(&domain) || summary.functions.contains(*operator)
        };
        let foreign: Vec<String> =
            summary.operators.keys().filter(|operator| !known(operator)).cloned().collect();
        if foreign.is_empty() {
            return Ok(());
        }
        Err(EngineError::UnknownOperators { engine: self.identity.clone(), operators: foreign })
    }

    /// What the library says when it refuses a model, with the operator named where it lacks one.
    fn refusal(&self, file: &str, error: &ort::Error, summary: &OnnxSummary) -> EngineError {
        let message = error.message();
        let named =
            [("No Op registered for ", " "), ("Could not find an implementation for ", "(")];
        let operator = named.iter().find_map(|(before, after)| {
            let rest = message.split_once(before)?.1;
            rest.split(after).next()
        });
        if let Some(operator) = operator {
            let has_name = |known: &&String| known.split(':').nth(1) == Some(operator);
            let operators = summary.operators.keys().filter(has_name).cloned().collect::<Vec<_>>();
            if !operators.is_empty() {
                return EngineError::UnknownOperators {
                    engine: format!("{} (at the model's operator set)", self.identity),
                    operators,
                };
            }
        }
        EngineError::NotAModel { file: file.into(), reason: message.to_owned() }
    }
}
