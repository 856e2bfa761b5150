//! From the row of an output tensor to the values of a result.

use std::sync::Arc;

use resonance_plant::result::Uncertainty;
use resonance_plant::{ElementType, Tensor, TensorBuf, Value};

use crate::package::manifest::{Manifest, OutputElement};
use crate::preprocessing::row_range;

/// What a model said for one value of a result.
#[derive(Clone, Debug, PartialEq)]
pub struct Extracted {
    /// The value: a class number where there are labels, text where the tensor holds strings.
    pub value: Value,
    /// The name of the class.
    pub label: Option<Arc<str>>,
    /// The interval around the value, as the package states it.
    pub uncertainty: Option<Uncertainty>,
    /// Whether it can be used as it is.
    pub soundness: Soundness,
}

/// Whether a value is one that the package lets its model give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Soundness {
    /// It is.
    Sound,
    /// It lies outside the range that the package states.
    OutOfRange,
    /// It is NaN, infinite, or a class that has no label: no value at all.
    Unusable,
}

/// Where the values of a result lie among the output tensors.
#[derive(Clone, Debug)]
pub struct OutputPlan {
    values: Vec<(usize, OutputElement)>,
}

impl OutputPlan {
    /// The plan of a model: every value of every output, in the manifest's order.
    pub fn new(manifest: &Manifest) -> Self {
        let outputs = manifest.outputs.iter().enumerate();
        let values = outputs
            .flat_map(|(at, output)| output.values.iter().map(move |value| (at, value.clone())));
        Self { values: values.collect() }
    }

    /// Number of values in a result.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether results carry no values.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// What each value is, in order.
    pub fn elements(&self) -> impl Iterator<Item = &OutputElement> {
        self.values.iter().map(|(_, element)| element)
    }

    /// Value number `value` of the answer for row `row` of the batch. `None` where the tensors
    /// have no such row or element.
    pub fn extract(&self, outputs: &TensorBuf, value: usize, row: usize) -> Option<Extracted> {
        let (output, element) = self.values.get(value)?;
        extract(element, outputs.tensors.get(*output)?, row)
    }
}

fn extract(element: &OutputElement, tensor: &Tensor, row: usize) -> Option<Extracted> {
    let range = row_range(tensor, row)?;
    let at = range.start.checked_add(element.element).filter(|at| range.contains(at))?;
    if tensor.element == ElementType::Bytes {
        return Some(text(element, tensor.strings().get(at)?));
    }
    let number = tensor.number(at)?;
    if !element.labels.is_empty() {
        return Some(class(element, number));
    }
    let value = match tensor.element {
        ElementType::Bool => Value::Boolean(number != 0.0),
        ElementType::Int64 => Value::Int(*tensor.as_slice::<i64>().get(at)?),
        ElementType::Uint64 => Value::Uint(*tensor.as_slice::<u64>().get(at)?),
        ElementType::Fp16 | ElementType::Bf16 | ElementType::Fp32 | ElementType::Fp64 => {
            Value::Float(number)
        }
        _ => Value::Int(number as i64),
    };
    let soundness = match element.range {
        _ if !number.is_finite() => Soundness::Unusable,
        Some([low, high]) if number < low || number > high => Soundness::OutOfRange,
        _ => Soundness::Sound,
    };
    let uncertainty = element.interval.filter(|_| number.is_finite()).map(|interval| Uncertainty {
        low: number - interval.half_width,
        high: number + interval.half_width,
        coverage: interval.coverage,
    });
    Some(Extracted { value, label: None, uncertainty, soundness })
}

/// A class number. Models that give it as a real number mean the nearest whole one.
fn class(element: &OutputElement, number: f64) -> Extracted {
    let nearest = number.round();
    let is_class = nearest >= 0.0 && nearest < element.labels.len() as f64;
    let label = is_class.then(|| Arc::clone(&element.labels[nearest as usize]));
    let value = if nearest.is_finite() { Value::Int(nearest as i64) } else { Value::Float(number) };
    let soundness = if is_class { Soundness::Sound } else { Soundness::Unusable };
    Extracted { value, label, uncertainty: None, soundness }
}

/// A class by its name: with labels, its number is the value, so that it means the same as when
/// the model gives numbers.
fn text(element: &OutputElement, bytes: &[u8]) -> Extracted {
    let text = String::from_utf8_lossy(bytes);
    let known = element.labels.iter().position(|label| **label == *text);
    let (value, label, soundness) = match known {
        Some(class) => {
            let label = Arc::clone(&element.labels[class]);
            (Value::Int(class as i64), Some(label), Soundness::Sound)
        }
        None if element.labels.is_empty() => {
            (Value::Text(text.as_ref().into()), None, Soundness::Sound)
        }
        None => (Value::Text(text.as_ref().into()), None, Soundness::Unusable),
    };
    Extracted { value, label, uncertainty: None, soundness }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(keys: &str) -> OutputElement {
        toml::from_str(&format!("name = 'v'\nsemantic_id = 'urn:x:y'\n{keys}")).unwrap()
    }

    fn floats(shape: &[usize], numbers: &[f32]) -> Tensor {
        Tensor::from_bytes(ElementType::Fp32, shape, bytemuck::cast_slice(numbers)).unwrap()
    }

    #[test]
    fn rows_and_elements_are_told_apart() {
        let tensor = floats(&[2, 2], &[1.0, 2.0, 3.0, 4.0]);
        let second = element("element = 1");
        assert_eq!(extract(&second, &tensor, 1).unwrap().value, Value::Float(4.0));
        assert_eq!(extract(&second, &tensor, 2), None);
        assert_eq!(extract(&element("element = 2"), &tensor, 0), None);
        assert_eq!(extract(&second, &floats(&[0, 2], &[]), 0), None);
    }

    #[test]
    fn intervals_and_ranges_are_the_package_s() {
        let rul = element("range = [0.0, 125.0]\ninterval = {half_width = 5.0, coverage = 0.9}");
        let tensor = floats(&[3], &[20.0, 130.0, f32::NAN]);
        let good = extract(&rul, &tensor, 0).unwrap();
        let around = Uncertainty { low: 15.0, high: 25.0, coverage: 0.9 };
        assert_eq!((good.uncertainty, good.soundness), (Some(around), Soundness::Sound));
        assert_eq!(extract(&rul, &tensor, 1).unwrap().soundness, Soundness::OutOfRange);
        let nan = extract(&rul, &tensor, 2).unwrap();
        assert_eq!((nan.uncertainty, nan.soundness), (None, Soundness::Unusable));
    }

    #[test]
    fn classes_have_names_by_number_and_by_text() {
        let state = element("labels = ['ok', 'worn']");
        let numbers =
            Tensor::from_bytes(ElementType::Int64, &[3, 1], bytemuck::cast_slice(&[1_i64, 2, -1]))
                .unwrap();
        let worn = extract(&state, &numbers, 0).unwrap();
        assert_eq!((worn.value, worn.label.as_deref()), (Value::Int(1), Some("worn")));
        for row in [1, 2] {
            assert_eq!(extract(&state, &numbers, row).unwrap().soundness, Soundness::Unusable);
        }
        let names = Tensor::from_strings(&[2], vec![b"worn".into(), b"lost".into()]).unwrap();
        let worn = extract(&state, &names, 0).unwrap();
        assert_eq!((worn.value, worn.label.as_deref()), (Value::Int(1), Some("worn")));
        assert_eq!(extract(&state, &names, 1).unwrap().soundness, Soundness::Unusable);
        let free = extract(&element(""), &names, 1).unwrap();
        assert_eq!((free.value, free.soundness), (Value::Text("lost".into()), Soundness::Sound));
    }
}
