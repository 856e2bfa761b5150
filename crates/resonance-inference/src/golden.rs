//! Whether a program reproduces the golden vectors of its package. No engine serves before.

use resonance_plant::{Tensor, TensorBuf};

use crate::package::VerifiedModel;
use crate::package::manifest::Tolerance;
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
            let found = compare(expected, actual, manifest.tolerance);
            if let Some((at, allowed)) = found.first {
                return Err(GoldenMismatch::Value(Box::new(Deviation {
                    vector: vector.name.clone(),
                    output: output.into(),
                    at,
                    expected: written(expected, at),
                    actual: written(actual, at),
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

#[derive(Default)]
struct Comparison {
    /// The first element that deviates, and by how much it might.
    first: Option<(usize, f64)>,
    deviating: usize,
    worst_share: f64,
    worst_deviation: f64,
}

fn compare(expected: &Tensor, actual: &Tensor, tolerance: Tolerance) -> Comparison {
    let mut found = Comparison::default();
    let mut differs = |at, allowed| {
        found.first = found.first.or(Some((at, allowed)));
        found.deviating += 1;
    };
    if !is_real(expected) {
        let size = expected.element.size();
        let (one, other) = (expected.bytes(), actual.bytes());
        for at in 0..expected.len() {
            let equal = match size {
                Some(size) => one[at * size..(at + 1) * size] == other[at * size..(at + 1) * size],
                None => expected.strings()[at] == actual.strings()[at],
            };
            if !equal {
                differs(at, 0.0);
            }
        }
        return found;
    }
    let (mut share, mut worst) = (0.0_f64, 0.0_f64);
    for at in 0..expected.len() {
        // Both tensors have this many elements, so neither number is absent.
        let golden = expected.number(at).unwrap_or(f64::NAN);
        let answer = actual.number(at).unwrap_or(f64::NAN);
        if golden == answer || (golden.is_nan() && answer.is_nan()) {
            continue;
        }
        let allowed = tolerance.absolute + tolerance.relative * golden.abs();
        let deviation = (golden - answer).abs();
        // Comparing this way round, NaN and infinite deviations fail.
        if golden.is_finite() && deviation <= allowed {
            worst = worst.max(deviation);
            share = share.max(if allowed > 0.0 { deviation / allowed } else { 0.0 });
        } else {
            differs(at, allowed);
        }
    }
    found.worst_share = share;
    found.worst_deviation = worst;
    found
}

fn is_real(tensor: &Tensor) -> bool {
    use resonance_plant::ElementType::{Bf16, Fp16, Fp32, Fp64};
    matches!(tensor.element, Fp16 | Bf16 | Fp32 | Fp64)
}

fn written(tensor: &Tensor, at: usize) -> String {
    // An f32 in its own digits, not in those of its f64.
    if let Some(number) = tensor.as_slice::<f32>().get(at)
        && tensor.element == resonance_plant::ElementType::Fp32
    {
        return number.to_string();
    }
    match tensor.number(at) {
        Some(number) => number.to_string(),
        None => tensor
            .strings()
            .get(at)
            .map_or_else(String::new, |text| format!("{:?}", String::from_utf8_lossy(text))),
    }
}

#[cfg(test)]
mod tests {
    use resonance_plant::ElementType;

    use super::*;

    fn floats(numbers: &[f64]) -> Tensor {
        Tensor::from_bytes(ElementType::Fp64, &[numbers.len()], bytemuck::cast_slice(numbers))
            .unwrap()
    }

    fn first(expected: &[f64], actual: &[f64]) -> Option<usize> {
        let tolerance = Tolerance { absolute: 0.1, relative: 0.01 };
        compare(&floats(expected), &floats(actual), tolerance).first.map(|(at, _)| at)
    }

    #[test]
    fn tolerance_is_absolute_plus_relative() {
        assert_eq!(first(&[0.0, 100.0], &[0.09, 101.09]), None);
        assert_eq!(first(&[0.0, 100.0], &[0.09, 101.11]), Some(1));
        let found = compare(
            &floats(&[100.0]),
            &floats(&[100.55]),
            Tolerance { absolute: 0.1, relative: 0.01 },
        );
        assert!((found.worst_share - 0.5).abs() < 1e-9, "{}", found.worst_share);
    }

    #[test]
    fn nan_and_infinities_must_be_reproduced() {
        let (nan, inf) = (f64::NAN, f64::INFINITY);
        assert_eq!(first(&[nan, inf, -inf], &[nan, inf, -inf]), None);
        for (golden, answer) in [(nan, 1.0), (1.0, nan), (inf, 1.0), (1.0, inf), (inf, -inf)] {
            assert_eq!(first(&[golden], &[answer]), Some(0), "{golden} {answer}");
        }
    }

    #[test]
    fn whole_numbers_and_text_must_be_equal() {
        let ints = |x: i64| Tensor::from_bytes(ElementType::Int64, &[1], &x.to_le_bytes()).unwrap();
        let wide = Tolerance { absolute: 5.0, relative: 1.0 };
        assert!(compare(&ints(3), &ints(4), wide).first.is_some());
        assert!(compare(&ints(i64::MAX), &ints(i64::MAX), wide).first.is_none());
        let text = |text: &str| Tensor::from_strings(&[1], vec![text.into()]).unwrap();
        assert!(compare(&text("a"), &text("b"), wide).first.is_some());
    }
}
