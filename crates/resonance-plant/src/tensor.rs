//! What goes into a model and what comes out: element types, signatures and tensors.

use std::fmt;
use std::sync::Arc;

use crate::{Qualifier, QuantityKind, SemanticId, Unit};

/// Element types of the Open Inference Protocol v2.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum ElementType {
    Bool,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Int8,
    Int16,
    Int32,
    Int64,
    Fp16,
    Bf16,
    Fp32,
    Fp64,
    Bytes,
}

impl ElementType {
    /// Every type.
    pub const ALL: [Self; 14] = [
        Self::Bool,
        Self::Uint8,
        Self::Uint16,
        Self::Uint32,
        Self::Uint64,
        Self::Int8,
        Self::Int16,
        Self::Int32,
        Self::Int64,
        Self::Fp16,
        Self::Bf16,
        Self::Fp32,
        Self::Fp64,
        Self::Bytes,
    ];

    /// The protocol's name, such as `FP32`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::Uint8 => "UINT8",
            Self::Uint16 => "UINT16",
            Self::Uint32 => "UINT32",
            Self::Uint64 => "UINT64",
            Self::Int8 => "INT8",
            Self::Int16 => "INT16",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::Fp16 => "FP16",
            Self::Bf16 => "BF16",
            Self::Fp32 => "FP32",
            Self::Fp64 => "FP64",
            Self::Bytes => "BYTES",
        }
    }

    /// The type with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|element| element.name() == name)
    }

    /// Bytes an element takes; `None` for [`ElementType::Bytes`], whose elements vary.
    pub const fn size(self) -> Option<usize> {
        match self {
            Self::Bool | Self::Uint8 | Self::Int8 => Some(1),
            Self::Uint16 | Self::Int16 | Self::Fp16 | Self::Bf16 => Some(2),
            Self::Uint32 | Self::Int32 | Self::Fp32 => Some(4),
            Self::Uint64 | Self::Int64 | Self::Fp64 => Some(8),
            Self::Bytes => None,
        }
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One dimension of a tensor.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Dim {
    /// Always this long.
    Fixed(usize),
    /// As long as the caller likes; written -1.
    Any,
}

impl serde::Serialize for Dim {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Fixed(size) => serializer.serialize_u64(*size as u64),
            Self::Any => serializer.serialize_i64(-1),
        }
    }
}

impl<'de> serde::Deserialize<'de> for Dim {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match i64::deserialize(deserializer)? {
            -1 => Ok(Self::Any),
            size => usize::try_from(size).map(Self::Fixed).map_err(|_| {
                serde::de::Error::custom(format!("a dimension is -1 or not negative, not {size}"))
            }),
        }
    }
}

/// One named tensor of a model.
#[derive(Clone, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
pub struct TensorSpec {
    /// The name in the model.
    pub name: Arc<str>,
    /// What its elements are.
    pub element: ElementType,
    /// Its shape.
    pub shape: Vec<Dim>,
}

impl TensorSpec {
    /// Whether a tensor of this shape fits.
    pub fn accepts_shape(&self, shape: &[usize]) -> bool {
        self.shape.len() == shape.len()
            && self.shape.iter().zip(shape).all(|(dim, size)| match dim {
                Dim::Fixed(fixed) => fixed == size,
                Dim::Any => true,
            })
    }
}

/// `FP32[-1, 30, 24]`.
impl fmt::Display for TensorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[", self.element)?;
        for (at, dim) in self.shape.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            match dim {
                Dim::Fixed(size) => write!(f, "{comma}{size}")?,
                Dim::Any => write!(f, "{comma}-1")?,
            }
        }
        f.write_str("]")
    }
}

/// A model's named tensors.
#[derive(Clone, PartialEq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Signature {
    /// What it takes, in the model's order.
    pub inputs: Vec<TensorSpec>,
    /// What it gives, in the model's order.
    pub outputs: Vec<TensorSpec>,
}

/// What one element, or one group of elements, of a tensor means.
#[derive(Clone, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Meaning {
    /// What it is.
    pub semantic_id: SemanticId,
    /// Which component.
    #[serde(default, skip_serializing_if = "Qualifier::is_none")]
    pub qualifier: Qualifier,
    /// What is measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<QuantityKind>,
    /// In which unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
}

impl Meaning {
    /// What is measured: as it says, or as its unit tells.
    pub fn quantity(&self) -> Option<QuantityKind> {
        self.quantity.or(self.unit.map(Unit::quantity))
    }
}

/// A tensor: row-major elements, little-endian, aligned for every element type.
#[derive(Clone, PartialEq, Debug)]
pub struct Tensor {
    /// What its elements are.
    pub element: ElementType,
    /// Its shape; the product is the number of elements.
    pub shape: Vec<usize>,
    data: Data,
}

#[derive(Clone, PartialEq, Debug)]
enum Data {
    /// Eight-byte words, so that any element is aligned, and the bytes used.
    Words(Vec<u64>, usize),
    /// One entry an element.
    Strings(Vec<Vec<u8>>),
}

/// Why a tensor cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    /// The product of the shape overflows.
    #[error("shape {0:?} has more elements than memory can hold")]
    TooLarge(Vec<usize>),
    /// Data and shape disagree.
    #[error("shape {shape:?} of {element} needs {expected} {what}, not {actual}")]
    Length {
        /// The shape asked for.
        shape: Vec<usize>,
        /// The element type asked for.
        element: ElementType,
        /// Bytes or elements.
        what: &'static str,
        /// How many the shape needs.
        expected: usize,
        /// How many there are.
        actual: usize,
    },
}

impl Tensor {
    /// A tensor of zeros (or empty strings).
    ///
    /// # Errors
    /// [`TensorError::TooLarge`] where the size overflows.
    pub fn zeros(element: ElementType, shape: &[usize]) -> Result<Self, TensorError> {
        let mut tensor = Self { element, shape: Vec::new(), data: Data::Words(Vec::new(), 0) };
        tensor.resize(element, shape)?;
        Ok(tensor)
    }

    /// A tensor with these little-endian bytes, copied once.
    ///
    /// # Errors
    /// Where shape and length disagree, or the element type is [`ElementType::Bytes`].
    pub fn from_bytes(
        element: ElementType,
        shape: &[usize],
        bytes: &[u8],
    ) -> Result<Self, TensorError> {
        let mut tensor = Self::zeros(element, shape)?;
        let expected = tensor.bytes().len();
        if element == ElementType::Bytes || expected != bytes.len() {
            let shape = shape.to_vec();
            return Err(TensorError::Length {
                shape,
                element,
                what: "bytes",
                expected,
                actual: bytes.len(),
            });
        }
        tensor.bytes_mut().copy_from_slice(bytes);
        Ok(tensor)
    }

    /// A tensor of strings.
    ///
    /// # Errors
    /// Where shape and count disagree.
    pub fn from_strings(shape: &[usize], strings: Vec<Vec<u8>>) -> Result<Self, TensorError> {
        let expected = elements(shape)?;
        if expected != strings.len() {
            let (shape, element) = (shape.to_vec(), ElementType::Bytes);
            return Err(TensorError::Length {
                shape,
                element,
                what: "elements",
                expected,
                actual: strings.len(),
            });
        }
        Ok(Self {
            element: ElementType::Bytes,
            shape: shape.to_vec(),
            data: Data::Strings(strings),
        })
    }

    /// Gives the tensor another type and shape, keeping its memory. Contents are unspecified.
    ///
    /// # Errors
    /// [`TensorError::TooLarge`] where the size overflows.
    pub fn resize(&mut self, element: ElementType, shape: &[usize]) -> Result<(), TensorError> {
        let count = elements(shape)?;
        match (element.size(), &mut self.data) {
            (Some(size), Data::Words(words, used)) => {
                *used = size_in_bytes(shape, count, size)?;
                words.resize(used.div_ceil(8), 0);
            }
            (Some(size), data) => {
                let used = size_in_bytes(shape, count, size)?;
                *data = Data::Words(vec![0; used.div_ceil(8)], used);
            }
            (None, Data::Strings(strings)) => strings.resize(count, Vec::new()),
            (None, data) => *data = Data::Strings(vec![Vec::new(); count]),
        }
        self.element = element;
        self.shape.clear();
        self.shape.extend_from_slice(shape);
        Ok(())
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        match &self.data {
            Data::Words(_, used) => used / self.element.size().unwrap_or(1),
            Data::Strings(strings) => strings.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements as bytes; empty for strings.
    pub fn bytes(&self) -> &[u8] {
        match &self.data {
            Data::Words(words, used) => &bytemuck::cast_slice(words)[..*used],
            Data::Strings(_) => &[],
        }
    }

    /// The elements as bytes, to be written; empty for strings.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        match &mut self.data {
            Data::Words(words, used) => &mut bytemuck::cast_slice_mut(words)[..*used],
            Data::Strings(_) => &mut [],
        }
    }

    /// The elements as numbers of type `T`; empty if `T` has another size than the elements.
    pub fn as_slice<T: bytemuck::Pod>(&self) -> &[T] {
        match self.element.size() {
            Some(size) if size == size_of::<T>() => bytemuck::cast_slice(self.bytes()),
            _ => &[],
        }
    }

    /// As [`Tensor::as_slice`], to be written.
    pub fn as_mut_slice<T: bytemuck::Pod>(&mut self) -> &mut [T] {
        match self.element.size() {
            Some(size) if size == size_of::<T>() => bytemuck::cast_slice_mut(self.bytes_mut()),
            _ => &mut [],
        }
    }

    /// The elements of a string tensor; empty for numbers.
    pub fn strings(&self) -> &[Vec<u8>] {
        match &self.data {
            Data::Words(..) => &[],
            Data::Strings(strings) => strings,
        }
    }

    /// As [`Tensor::strings`], to be written.
    pub fn strings_mut(&mut self) -> &mut [Vec<u8>] {
        match &mut self.data {
            Data::Words(..) => &mut [],
            Data::Strings(strings) => strings,
        }
    }

    /// Element `at` as a real number. `None` past the end and for strings.
    pub fn number(&self, at: usize) -> Option<f64> {
        match self.element {
            ElementType::Bool => {
                self.as_slice::<u8>().get(at).map(|x| f64::from(u8::from(*x != 0)))
            }
            ElementType::Uint8 => self.as_slice::<u8>().get(at).map(|x| f64::from(*x)),
            ElementType::Uint16 => self.as_slice::<u16>().get(at).map(|x| f64::from(*x)),
            ElementType::Uint32 => self.as_slice::<u32>().get(at).map(|x| f64::from(*x)),
            ElementType::Uint64 => self.as_slice::<u64>().get(at).map(|x| *x as f64),
            ElementType::Int8 => self.as_slice::<i8>().get(at).map(|x| f64::from(*x)),
            ElementType::Int16 => self.as_slice::<i16>().get(at).map(|x| f64::from(*x)),
            ElementType::Int32 => self.as_slice::<i32>().get(at).map(|x| f64::from(*x)),
            ElementType::Int64 => self.as_slice::<i64>().get(at).map(|x| *x as f64),
            ElementType::Fp16 => self.as_slice::<half::f16>().get(at).map(|x| x.to_f64()),
            ElementType::Bf16 => self.as_slice::<half::bf16>().get(at).map(|x| x.to_f64()),
            ElementType::Fp32 => self.as_slice::<f32>().get(at).map(|x| f64::from(*x)),
            ElementType::Fp64 => self.as_slice::<f64>().get(at).copied(),
            ElementType::Bytes => None,
        }
    }

    /// Writes element `at` from a real number, rounded and saturated to the element type.
    /// Returns false past the end and for strings.
    pub fn set_number(&mut self, at: usize, value: f64) -> bool {
        fn put<T: bytemuck::Pod>(tensor: &mut Tensor, at: usize, value: T) -> bool {
            tensor.as_mut_slice::<T>().get_mut(at).map(|slot| *slot = value).is_some()
        }
        match self.element {
            ElementType::Bool => put(self, at, u8::from(value != 0.0)),
            ElementType::Uint8 => put(self, at, value.round() as u8),
            ElementType::Uint16 => put(self, at, value.round() as u16),
            ElementType::Uint32 => put(self, at, value.round() as u32),
            ElementType::Uint64 => put(self, at, value.round() as u64),
            ElementType::Int8 => put(self, at, value.round() as i8),
            ElementType::Int16 => put(self, at, value.round() as i16),
            ElementType::Int32 => put(self, at, value.round() as i32),
            ElementType::Int64 => put(self, at, value.round() as i64),
            ElementType::Fp16 => put(self, at, half::f16::from_f64(value)),
            ElementType::Bf16 => put(self, at, half::bf16::from_f64(value)),
            ElementType::Fp32 => put(self, at, value as f32),
            ElementType::Fp64 => put(self, at, value),
            ElementType::Bytes => false,
        }
    }
}

fn elements(shape: &[usize]) -> Result<usize, TensorError> {
    shape
        .iter()
        .try_fold(1_usize, |product, size| product.checked_mul(*size))
        .filter(|count| *count <= isize::MAX as usize / 8)
        .ok_or_else(|| TensorError::TooLarge(shape.to_vec()))
}

fn size_in_bytes(shape: &[usize], count: usize, size: usize) -> Result<usize, TensorError> {
    count.checked_mul(size).ok_or_else(|| TensorError::TooLarge(shape.to_vec()))
}

/// A model's inputs or outputs, in the order of its signature. Kept and reused by a session.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct TensorBuf {
    /// One tensor for each of the signature.
    pub tensors: Vec<Tensor>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_type_round_trips_a_number() {
        for element in ElementType::ALL {
            let mut tensor = Tensor::zeros(element, &[2, 3]).unwrap();
            assert_eq!(tensor.len(), 6);
            if element != ElementType::Bytes {
                assert!(tensor.set_number(5, 1.0));
                assert_eq!(
                    (tensor.number(5), tensor.number(4)),
                    (Some(1.0), Some(0.0)),
                    "{element}"
                );
            }
            assert!(!tensor.set_number(6, 1.0));
        }
    }

    #[test]
    fn shapes_that_overflow_are_refused() {
        let shape = [usize::MAX, 2];
        assert_eq!(
            Tensor::zeros(ElementType::Fp64, &shape),
            Err(TensorError::TooLarge(shape.to_vec()))
        );
        assert!(Tensor::from_bytes(ElementType::Fp32, &[2], &[0; 7]).is_err());
        assert!(Tensor::from_strings(&[2], vec![Vec::new()]).is_err());
    }

    #[test]
    fn resize_keeps_memory() {
        let mut tensor = Tensor::zeros(ElementType::Fp32, &[64, 32]).unwrap();
        let before = tensor.bytes().as_ptr();
        tensor.resize(ElementType::Fp32, &[1, 32]).unwrap();
        tensor.resize(ElementType::Fp32, &[64, 32]).unwrap();
        assert_eq!(tensor.bytes().as_ptr(), before);
    }
}
