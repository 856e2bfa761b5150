//! Tensors in JSON, as the Open Inference Protocol v2 writes them: row-major, flat or nested.
//!
//! Beyond the protocol, `"NaN"`, `"Infinity"` and `"-Infinity"` stand for the numbers that JSON
//! cannot write.

use std::sync::Arc;

use resonance_plant::{ElementType, Tensor, tensor::TensorError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JsonTensor {
    /// Its name in the model.
    pub name: Arc<str>,
    /// What its elements are.
    pub datatype: ElementType,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its elements.
    pub data: Value,
}

/// Why JSON is no tensor.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum JsonTensorError {
    /// An element is no value of the type.
    #[error("tensor {tensor:?}: element {at} is {found}, which is no {element}")]
    Element {
        /// Which tensor.
        tensor: String,
        /// Which element.
        at: usize,
        /// What stands there, shortened.
        found: String,
        /// The element type.
        element: ElementType,
    },
    /// Shape and data disagree.
    #[error("tensor {tensor:?}: {source}")]
    Shape {
        /// Which tensor.
        tensor: String,
        /// In what they disagree.
        #[source]
        source: TensorError,
    },
}

impl JsonTensor {
    /// A tensor as JSON, its data flat.
    pub fn of(name: &Arc<str>, tensor: &Tensor) -> Self {
        let data = (0..tensor.len()).map(|at| element_to_json(tensor, at)).collect();
        let (datatype, shape) = (tensor.element, tensor.shape.clone());
        Self { name: Arc::clone(name), datatype, shape, data: Value::Array(data) }
    }

    /// The tensor.
    ///
    /// # Errors
    /// Where an element is no value of the type, or the shape asks for more or fewer.
    pub fn read(&self) -> Result<Tensor, JsonTensorError> {
        let mut flat = Vec::new();
        flatten(&self.data, &mut flat);
        let tensor = self.name.to_string();
        let shape_error = |source| JsonTensorError::Shape { tensor: tensor.clone(), source };
        let wanted = self.shape.iter().try_fold(1_usize, |all, size| all.checked_mul(*size));
        if wanted != Some(flat.len()) {
            // Checked before memory is taken: a shape alone may claim anything.
            return Err(shape_error(TensorError::Length {
                shape: self.shape.clone(),
                element: self.datatype,
                what: "elements",
                expected: wanted.unwrap_or(usize::MAX),
                actual: flat.len(),
            }));
        }
        let mut read = Tensor::zeros(self.datatype, &self.shape).map_err(shape_error)?;
        for (at, value) in flat.into_iter().enumerate() {
            if !element_from_json(&mut read, at, value) {
                let found = value.to_string().chars().take(40).collect();
                let element = self.datatype;
                return Err(JsonTensorError::Element { tensor, at, found, element });
            }
        }
        Ok(read)
    }
}

/// Depth is bounded by serde_json's own recursion limit.
fn flatten<'a>(value: &'a Value, flat: &mut Vec<&'a Value>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| flatten(value, flat)),
        other => flat.push(other),
    }
}

fn element_from_json(tensor: &mut Tensor, at: usize, value: &Value) -> bool {
    fn put<T: bytemuck::Pod>(tensor: &mut Tensor, at: usize, value: Option<T>) -> bool {
        value.is_some_and(|value| {
            tensor.as_mut_slice::<T>().get_mut(at).map(|slot| *slot = value).is_some()
        })
    }
    fn int<T: TryFrom<i64> + TryFrom<u64>>(value: &Value) -> Option<T> {
        let unsigned = || value.as_u64().and_then(|value| T::try_from(value).ok());
        value.as_i64().and_then(|value| T::try_from(value).ok()).or_else(unsigned)
    }
    match tensor.element {
        ElementType::Bool => put(tensor, at, boolean(value).map(u8::from)),
        ElementType::Uint8 => put(tensor, at, int::<u8>(value)),
        ElementType::Uint16 => put(tensor, at, int::<u16>(value)),
        ElementType::Uint32 => put(tensor, at, int::<u32>(value)),
        ElementType::Uint64 => put(tensor, at, int::<u64>(value)),
        ElementType::Int8 => put(tensor, at, int::<i8>(value)),
        ElementType::Int16 => put(tensor, at, int::<i16>(value)),
        ElementType::Int32 => put(tensor, at, int::<i32>(value)),
        ElementType::Int64 => put(tensor, at, int::<i64>(value)),
        ElementType::Fp16 => put(tensor, at, real(value, 65_504.0).map(half::f16::from_f64)),
        ElementType::Bf16 => {
            put(tensor, at, real(value, f64::from(half::bf16::MAX)).map(half::bf16::from_f64))
        }
        ElementType::Fp32 => put(tensor, at, real(value, f64::from(f32::MAX)).map(|x| x as f32)),
        ElementType::Fp64 => put(tensor, at, real(value, f64::MAX)),
        ElementType::Bytes => match (tensor.strings_mut().get_mut(at), value) {
            (Some(slot), Value::String(text)) => {
                *slot = text.as_bytes().to_vec();
                true
            }
            _ => false,
        },
    }
}

fn boolean(value: &Value) -> Option<bool> {
    value.as_bool().or_else(|| match value.as_u64() {
        Some(0) => Some(false),
        Some(1) => Some(true),
        _ => None,
    })
}

/// A real number no larger than the type holds; the three that JSON lacks as text.
fn real(value: &Value, max: f64) -> Option<f64> {
    match value {
        Value::Number(_) => value.as_f64().filter(|number| number.abs() <= max),
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

fn element_to_json(tensor: &Tensor, at: usize) -> Value {
    match tensor.element {
        ElementType::Bool => Value::Bool(tensor.number(at).is_some_and(|number| number != 0.0)),
        ElementType::Int64 => tensor.as_slice::<i64>().get(at).copied().into(),
        ElementType::Uint64 => tensor.as_slice::<u64>().get(at).copied().into(),
        // The shortest text that reads back as the same f32, not the 17 digits of its f64.
        ElementType::Fp32 => tensor.as_slice::<f32>().get(at).map_or(Value::Null, |number| {
            number.to_string().parse().map_or(Value::Null, real_to_json)
        }),
        ElementType::Fp16 | ElementType::Bf16 | ElementType::Fp64 => {
            tensor.number(at).map_or(Value::Null, real_to_json)
        }
        ElementType::Bytes => tensor
            .strings()
            .get(at)
            .map_or(Value::Null, |text| String::from_utf8_lossy(text).into_owned().into()),
        _ => tensor.number(at).map_or(Value::Null, |number| Value::from(number as i64)),
    }
}

fn real_to_json(number: f64) -> Value {
    serde_json::Number::from_f64(number).map_or_else(
        || {
            let text = if number.is_nan() {
                "NaN"
            } else if number > 0.0 {
                "Infinity"
            } else {
                "-Infinity"
            };
            text.into()
        },
        Value::Number,
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(datatype: &str, shape: &[usize], data: Value) -> Result<Tensor, String> {
        let tensor = json!({"name": "x", "datatype": datatype, "shape": shape, "data": data});
        let tensor: JsonTensor = serde_json::from_value(tensor).unwrap();
        tensor.read().map_err(|error| error.to_string())
    }

    #[test]
    fn every_type_round_trips() {
        for (datatype, data) in [
            ("BOOL", json!([true, false])),
            ("UINT8", json!([0, 255])),
            ("UINT16", json!([0, 65535])),
            ("UINT32", json!([0, 4_294_967_295_u32])),
            ("UINT64", json!([0, u64::MAX])),
            ("INT8", json!([-128, 127])),
            ("INT16", json!([-32768, 32767])),
            ("INT32", json!([i32::MIN, i32::MAX])),
            ("INT64", json!([i64::MIN, i64::MAX])),
            ("FP16", json!([1.5, "NaN"])),
            ("BF16", json!([-2.0, "Infinity"])),
            ("FP32", json!([0.1, "-Infinity"])),
            ("FP64", json!([0.1, 1e300])),
            ("BYTES", json!(["ok", "köln"])),
        ] {
            let tensor = read(datatype, &[1, 2], data.clone()).unwrap();
            assert_eq!(JsonTensor::of(&"x".into(), &tensor).data, data, "{datatype}");
        }
    }

    #[test]
    fn nested_data_is_flattened() {
        let tensor = read("INT8", &[2, 2], json!([[1, 2], [3, 4]])).unwrap();
        assert_eq!(tensor.as_slice::<i8>(), [1, 2, 3, 4]);
    }

    #[test]
    fn values_that_do_not_fit_are_named() {
        for (datatype, value, says) in [
            ("UINT8", json!(256), "element 0 is 256, which is no UINT8"),
            ("INT32", json!(1.5), "element 0 is 1.5, which is no INT32"),
            ("FP16", json!(1e6), "element 0 is 1000000.0, which is no FP16"),
            ("FP32", json!("one"), "element 0 is \"one\", which is no FP32"),
            ("FP32", json!(null), "element 0 is null"),
            ("BOOL", json!(2), "element 0 is 2, which is no BOOL"),
            ("BYTES", json!(2), "element 0 is 2, which is no BYTES"),
        ] {
            let error = read(datatype, &[1], json!([value])).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        let error = read("FP32", &[usize::MAX, 3], json!([1])).unwrap_err();
        assert!(error.contains("needs"), "{error}");
    }
}
