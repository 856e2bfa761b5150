//! What one engine is asked to do in a process of its own, and what it answers.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use resonance_plant::TensorBuf;
use resonance_proof::PackageLimits;
use serde::{Deserialize, Serialize};

use super::lone;
use crate::engines::{EngineKind, Limits, Session};
use crate::json::JsonTensor;
use crate::package::{self, VerifiedModel};
use crate::{EngineError, Program};

/// How long the first vector is repeated to see how fast the engine is.
const TIMED_FOR: Duration = Duration::from_millis(200);

/// Runs that are timed at most.
const TIMED_RUNS: usize = 1_000;

/// What an engine is asked.
#[derive(Debug, Serialize, Deserialize)]
pub struct Job {
    /// Which engine.
    pub engine: EngineKind,
    /// The package's folder, or an ONNX file.
    pub path: PathBuf,
    /// The digest of what was looked at before: another content is refused.
    pub digest: String,
    /// What it is asked, vector by vector, in the manifest's order of inputs.
    pub vectors: Vec<Vec<JsonTensor>>,
}

/// What an engine answered.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    /// The engine with its version, where it was found.
    pub identity: Option<String>,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of asking an engine.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// This machine, or this build, has no such engine.
    Absent(String),
    /// The engine lacks operators: `domain:operator` of each.
    Lacks(Vec<String>),
    /// The engine does not load the model.
    Refused(String),
    /// The engine ran it.
    Ran {
        /// One for each vector.
        answers: Vec<VectorAnswer>,
        /// The median time of an inference of the first vector, microseconds.
        median_us: f64,
    },
}

/// What an engine answered to one vector.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VectorAnswer {
    /// The outputs, in the manifest's order.
    Outputs(Vec<JsonTensor>),
    /// It failed, for this reason.
    Failed(String),
}

/// The model at a path: a package, or a lone ONNX file.
///
/// # Errors
/// Why it cannot be used, in words.
pub fn open(path: &std::path::Path) -> Result<VerifiedModel, String> {
    if path.is_dir() {
        return package::load(path, &PackageLimits::default()).map_err(|error| error.to_string());
    }
    lone::of_file(path).map_err(|error| error.to_string())
}

/// Does a job, here and now.
pub fn answer(job: &Job) -> Answer {
    let engine = match job.engine.find() {
        Ok(engine) => engine,
        Err(error) => {
            return Answer { identity: None, outcome: Outcome::Absent(error.to_string()) };
        }
    };
    let identity = Some(engine.identity().to_owned());
    let refused = |reason: String| Outcome::Refused(reason);
    let outcome = match open(&job.path) {
        Err(reason) => refused(reason),
        Ok(model) if **model.files.digest() != *job.digest => {
            refused(format!("{} was changed meanwhile", job.path.display()))
        }
        Ok(model) => match engine.load(&model, &Limits::default()) {
            Ok(program) => run(&model, &*program, &job.vectors).unwrap_or_else(refused),
            Err(EngineError::UnknownOperators { operators, .. }) => Outcome::Lacks(operators),
            Err(error) => refused(error.to_string()),
        },
    };
    Answer { identity, outcome }
}

fn run(
    model: &VerifiedModel,
    program: &dyn Program,
    vectors: &[Vec<JsonTensor>],
) -> Result<Outcome, String> {
    let mut session = program.session().map_err(|error| error.to_string())?;
    let mut outputs = TensorBuf::default();
    let mut answers = Vec::with_capacity(vectors.len());
    let mut first = None;
    for vector in vectors {
        let read = |tensor: &JsonTensor| tensor.read().map_err(|error| error.to_string());
        let inputs = TensorBuf { tensors: vector.iter().map(read).collect::<Result<_, _>>()? };
        answers.push(match session.infer(&inputs, &mut outputs) {
            Ok(()) => {
                let named = model.manifest.outputs.iter().zip(&outputs.tensors);
                let json = named.map(|(spec, tensor)| JsonTensor::of(&spec.name, tensor));
                VectorAnswer::Outputs(json.collect())
            }
            Err(error) => VectorAnswer::Failed(error.to_string()),
        });
        first.get_or_insert(inputs);
    }
    let median_us = first.map_or(0.0, |inputs| timed(session.as_mut(), &inputs, &mut outputs));
    Ok(Outcome::Ran { answers, median_us })
}

fn timed(session: &mut dyn Session, inputs: &TensorBuf, outputs: &mut TensorBuf) -> f64 {
    let began = Instant::now();
    let mut times = Vec::new();
    while began.elapsed() < TIMED_FOR && times.len() < TIMED_RUNS {
        let one = Instant::now();
        if session.infer(inputs, outputs).is_err() {
            return 0.0;
        }
        times.push(one.elapsed());
    }
    times.sort_unstable();
    times.get(times.len() / 2).map_or(0.0, |median| median.as_secs_f64() * 1e6)
}
