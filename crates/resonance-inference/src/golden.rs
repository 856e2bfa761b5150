//! Whether a program reproduces the golden vectors of its package. No engine serves before.

use resonance_plant::TensorBuf;

use crate::compare::{difference, element};
use crate::package::VerifiedModel;
use crate::{EngineError, Program};

/// How well a program reproduced its golden vectors.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct GoldenReport {
    /// Vectors run.
    pub vectors: usize,
    /// Elements compared.
    pub elements: usize,
    /// The largest deviation as a share of what the tolerance allows; 0 to 1.
    pub worst_share: f64,
    /// The largest deviation, in its output's own scale.
    pub worst_deviation: f64,
}

/// Why a program may not serve.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum GoldenMismatch {
    /// An element deviates by more than the package tolerates.
    #[error("{0}")]
    Value(Box<Deviation>),
    /// An output has another type or shape.
    #[error("vector {vector:?}: {output:?} is {actual}, not {expected}")]
    Shape {
        /// Which vector.
        vector: String,
        /// Which output.
        output: String,
        /// What the golden vector says.
        expected: String,
        /// What the program says.
        actual: String,
    },
    /// The engine failed.
    #[error("vector {vector:?}: {source}")]
    Engine {
        /// Which vector.
        vector: String,
        /// What happened.
        #[source]
        source: EngineError,
    },
}

/// An answer that is not the golden one.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error(
    "vector {vector:?}: element {at} of {output:?} is {actual}, not {expected} within \
     {allowed:.2e}; {deviating} of {elements} elements deviate"
)]
pub struct Deviation {
    /// Which vector.
    pub vector: String,
    /// Which output.
    pub output: String,
    /// The first element that deviates.
    pub at: usize,
    /// What the golden vector says.
    pub expected: String,
    /// What the program says.
    pub actual: String,
    /// How far they may lie apart.
    pub allowed: f64,
    /// Elements of this output that deviate.
    pub deviating: usize,
    /// Elements of this output.
    pub elements: usize,
}

/// Runs every golden vector of a package and compares what its manifest tolerates: an element
/// may differ by `absolute + relative * |golden|`. Whole numbers, booleans and text must be
/// equal, as must infinities; NaN reproduces NaN.
///
/// # Errors
/// The first vector that is not reproduced.
pub fn verify_golden(
    program: &dyn Program,
    model: &VerifiedModel,
) -> Result<GoldenReport, GoldenMismatch> {
    let manifest = &model.manifest;
    let mut report = GoldenReport::default();
    let mut answers = TensorBuf::default();
    let engine = |vector: &str, source| GoldenMismatch::Engine { vector: vector.into(), source };
    let mut session = program.session().map_err(|source| engine("-", source))?;
    for vector in model.golden.iter() {
        session
            .infer(&vector.inputs, &mut answers)
            .map_err(|source| engine(&vector.name, source))?;
        for (number, expected) in &vector.outputs {
            let output = manifest.outputs.get(*number).map_or("", |output| &*output.name);
            let shape = |actual: String| GoldenMismatch::Shape {
                vector: vector.name.clone(),
                output: output.into(),
                expected: format!("{}{:?}", expected.element, expected.shape),
                actual,
            };
            let actual = answers.tensors.get(*number).ok_or_else(|| shape("absent".into()))?;
            if (actual.element, &actual.shape) != (expected.element, &expected.shape) {
                return Err(shape(format!("{}{:?}", actual.element, actual.shape)));
            }
            let found = difference(expected, actual, manifest.tolerance);
            if let Some((at, allowed)) = found.first {
                return Err(GoldenMismatch::Value(Box::new(Deviation {
                    vector: vector.name.clone(),
                    output: output.into(),
                    at,
                    expected: element(expected, at),
                    actual: element(actual, at),
                    allowed,
                    deviating: found.deviating,
                    elements: expected.len(),
                })));
            }
            report.elements += expected.len();
            report.worst_share = report.worst_share.max(found.worst_share);
            report.worst_deviation = report.worst_deviation.max(found.worst_deviation);
        }
        report.vectors += 1;
    }
    Ok(report)
}
