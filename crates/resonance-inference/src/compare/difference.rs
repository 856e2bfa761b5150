//! How far one tensor lies from another.

use resonance_plant::{ElementType, Tensor};
use serde::Serialize;

use crate::package::manifest::Tolerance;

/// How a tensor differs from the one that was expected, of the same type and shape.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Difference {
    /// The first element beyond the tolerance, and by how much it might differ.
    pub first: Option<(usize, f64)>,
    /// Elements beyond the tolerance.
    pub deviating: usize,
    /// The largest difference within the tolerance, as a share of it; 0 to 1.
    pub worst_share: f64,
    /// The largest difference within the tolerance.
    pub worst_deviation: f64,
    /// The largest difference of all; absent where no number differs.
    pub greatest: Option<Greatest>,
    /// The largest difference as a share of what was expected.
    pub greatest_relative: Option<Greatest>,
}

/// A difference and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Greatest {
    /// Which element.
    pub at: usize,
    /// How much; infinite where a number stands against NaN or an infinity, and as a share of
    /// an expected zero.
    pub by: f64,
}

/// Compares element by element: real numbers may differ by `absolute + relative * |expected|`;
/// whole numbers, booleans and text must be equal, as must infinities; NaN equals NaN.
pub fn difference(expected: &Tensor, actual: &Tensor, tolerance: Tolerance) -> Difference {
    if is_real(expected) {
        between_reals(expected, actual, tolerance)
    } else {
        between_labels(expected, actual)
    }
}

pub(super) fn is_real(tensor: &Tensor) -> bool {
    use ElementType::{Bf16, Fp16, Fp32, Fp64};
    matches!(tensor.element, Fp16 | Bf16 | Fp32 | Fp64)
}

fn between_labels(expected: &Tensor, actual: &Tensor) -> Difference {
    let mut found = Difference::default();
    let size = expected.element.size();
    let (one, other) = (expected.bytes(), actual.bytes());
    for at in 0..expected.len() {
        let equal = match size {
            Some(size) => one[at * size..(at + 1) * size] == other[at * size..(at + 1) * size],
            None => expected.strings()[at] == actual.strings()[at],
        };
        if equal {
            continue;
        }
        found.first = found.first.or(Some((at, 0.0)));
        found.deviating += 1;
        if let (Some(one), Some(other)) = (expected.number(at), actual.number(at)) {
            found.note(at, one, (one - other).abs());
        }
    }
    found
}

fn between_reals(expected: &Tensor, actual: &Tensor, tolerance: Tolerance) -> Difference {
    let mut found = Difference::default();
    for at in 0..expected.len() {
        // Both tensors have this many elements, so neither number is absent.
        let wanted = expected.number(at).unwrap_or(f64::NAN);
        let answer = actual.number(at).unwrap_or(f64::NAN);
        if wanted == answer || (wanted.is_nan() && answer.is_nan()) {
            continue;
        }
        let allowed = tolerance.absolute + tolerance.relative * wanted.abs();
        let by = (wanted - answer).abs();
        found.note(at, wanted, if by.is_nan() { f64::INFINITY } else { by });
        // Comparing this way round, NaN and infinite deviations fail.
        if wanted.is_finite() && by <= allowed {
            found.worst_deviation = found.worst_deviation.max(by);
            let share = if allowed > 0.0 { by / allowed } else { 0.0 };
            found.worst_share = found.worst_share.max(share);
        } else {
            found.first = found.first.or(Some((at, allowed)));
            found.deviating += 1;
        }
    }
    found
}

impl Difference {
    fn note(&mut self, at: usize, expected: f64, by: f64) {
        let greater = |known: Option<Greatest>, by: f64| match known {
            Some(known) if known.by >= by => Some(known),
            _ => Some(Greatest { at, by }),
        };
        self.greatest = greater(self.greatest, by);
        let share = by / expected.abs();
        let share = if share.is_nan() { f64::INFINITY } else { share };
        self.greatest_relative = greater(self.greatest_relative, share);
    }
}

/// An element as messages show it.
pub fn element(tensor: &Tensor, at: usize) -> String {
    // An f32 in its own digits, not in those of its f64; large whole numbers exactly.
    let exact = match tensor.element {
        ElementType::Fp32 => tensor.as_slice::<f32>().get(at).map(ToString::to_string),
        ElementType::Int64 => tensor.as_slice::<i64>().get(at).map(ToString::to_string),
        ElementType::Uint64 => tensor.as_slice::<u64>().get(at).map(ToString::to_string),
        _ => None,
    };
    let number = || tensor.number(at).map(|number| number.to_string());
    let text = || {
        let text = tensor.strings().get(at)?;
        Some(format!("{:?}", String::from_utf8_lossy(text)))
    };
    exact.or_else(number).or_else(text).unwrap_or_default()
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
        difference(&floats(expected), &floats(actual), tolerance).first.map(|(at, _)| at)
    }

    #[test]
    fn tolerance_is_absolute_plus_relative() {
        assert_eq!(first(&[0.0, 100.0], &[0.09, 101.09]), None);
        assert_eq!(first(&[0.0, 100.0], &[0.09, 101.11]), Some(1));
        let found = difference(
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
        assert!(difference(&ints(3), &ints(4), wide).first.is_some());
        assert!(difference(&ints(i64::MAX), &ints(i64::MAX), wide).first.is_none());
        let text = |text: &str| Tensor::from_strings(&[1], vec![text.into()]).unwrap();
        assert!(difference(&text("a"), &text("b"), wide).first.is_some());
    }
}
