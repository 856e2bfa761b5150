//! tract: an engine in Rust alone, for machines without ONNX Runtime and as a second opinion.
//!
//! It knows fewer operators, and answers some models wrongly without an error
//! (docs/adr/0004-second-engine.md): like every engine it serves what reproduces its golden
//! vectors, and nothing else. A panic within it is an error of the model at hand.

mod program;
#[cfg(test)]
mod tests;
mod values;

use std::panic::{AssertUnwindSafe, catch_unwind};

use tract_onnx::prelude::{Framework, TractError};
use tract_onnx::tract_hir::infer::InferenceModel;

use super::{Declared, Engine, EngineError, Limits, Program};
use crate::onnx::{self, OnnxSummary, OnnxValue};
use crate::package::VerifiedModel;
use program::TractProgram;

/// The pinned version; a test compares it with the workspace's manifest.
const VERSION: &str = "0.23.9";

/// The engine's name and version.
const IDENTITY: &str = "tract 0.23.9";

/// tract.
#[derive(Clone)]
pub struct Tract {
    onnx: tract_onnx::Onnx,
}

impl Default for Tract {
    fn default() -> Self {
        // What the file says of shapes in between is not needed, and may contradict a manifest
        // that fixes dimensions which the file leaves open.
        Self { onnx: tract_onnx::onnx().with_ignore_value_info(true) }
    }
}

impl std::fmt::Debug for Tract {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(IDENTITY)
    }
}

impl Tract {
    /// The version of the library built in.
    pub fn version(&self) -> &'static str {
        VERSION
    }

    /// `domain:operator` of what the model needs and the library lacks.
    fn lacking(&self, summary: &OnnxSummary) -> Vec<String> {
        let lacks = |operator: &&String| {
            let name = operator.split(':').nth(1).unwrap_or_default();
            !self.onnx.op_register.0.contains_key(name)
        };
        summary.operators.keys().filter(lacks).cloned().collect()
    }

    fn parse(&self, bytes: &[u8]) -> Result<InferenceModel, TractError> {
        self.onnx.model_for_read(&mut &*bytes)
    }
}

impl Engine for Tract {
    fn identity(&self) -> &str {
        IDENTITY
    }

    fn load(
        &self,
        model: &VerifiedModel,
        limits: &Limits,
    ) -> Result<Box<dyn Program>, EngineError> {
        let (file, bytes) = super::model_file(model)?;
        let summary = inspect_whole(file, bytes, limits)?;
        let lacking = self.lacking(&summary);
        if !lacking.is_empty() {
            let engine = IDENTITY.to_owned();
            return Err(EngineError::UnknownOperators { engine, operators: lacking });
        }
        let signature =
            super::agree_with(model, &declared(&summary.inputs), declared(&summary.outputs))?;
        let graph = guarded(|| self.parse(bytes)).map_err(unsupported)?;
        let program = TractProgram::new(&graph, signature, &summary, limits)?;
        Ok(Box::new(program))
    }
}

/// Looks into an ONNX file, and refuses one that keeps data elsewhere.
fn inspect_whole(file: &str, bytes: &[u8], limits: &Limits) -> Result<OnnxSummary, EngineError> {
    let summary = onnx::inspect(file, bytes, limits)?;
    match summary.external.keys().next() {
        Some(path) => {
            let reason = "and tract is given no second file".to_owned();
            Err(EngineError::ExternalData { path: path.clone(), reason })
        }
        None => Ok(summary),
    }
}

fn declared(values: &[OnnxValue]) -> Vec<Declared> {
    values.iter().map(Declared::of).collect()
}

/// Runs something of the library's; a panic in it is an error like its others.
fn guarded<T>(run: impl FnOnce() -> Result<T, TractError>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(done)) => Ok(done),
        // The whole chain of causes, in one line.
        Ok(Err(error)) => Err(format!("{error:#}").replace('\n', " ")),
        Err(panic) => {
            let said = panic.downcast_ref::<&str>().copied();
            let said = said.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            Err(format!("it panicked: {}", said.unwrap_or("without a message")))
        }
    }
}

fn unsupported(reason: String) -> EngineError {
    EngineError::Unsupported { engine: IDENTITY.into(), reason }
}
