//! Tensors into the library and out of it.

use resonance_plant::{ElementType, Tensor};
use tract_onnx::prelude::tract_ndarray::{ArrayD, IxDyn};
use tract_onnx::prelude::{DatumType, IntoTensor, Tensor as TractTensor, TractError, TractResult};

/// The library's name of an element type; `None` where it has none.
pub(super) fn datum_type(element: ElementType) -> Option<DatumType> {
    Some(match element {
        ElementType::Bool => DatumType::Bool,
        ElementType::Uint8 => DatumType::U8,
        ElementType::Uint16 => DatumType::U16,
        ElementType::Uint32 => DatumType::U32,
        ElementType::Uint64 => DatumType::U64,
        ElementType::Int8 => DatumType::I8,
        ElementType::Int16 => DatumType::I16,
        ElementType::Int32 => DatumType::I32,
        ElementType::Int64 => DatumType::I64,
        ElementType::Fp16 => DatumType::F16,
        ElementType::Fp32 => DatumType::F32,
        ElementType::Fp64 => DatumType::F64,
        ElementType::Bytes => DatumType::String,
        ElementType::Bf16 => return None,
    })
}

/// The element type of what the library made; shapes of tensors are whole numbers to ONNX.
fn element_type(datum: DatumType) -> Option<ElementType> {
    Some(match datum.unquantized() {
        DatumType::Bool => ElementType::Bool,
        DatumType::U8 => ElementType::Uint8,
        DatumType::U16 => ElementType::Uint16,
        DatumType::U32 => ElementType::Uint32,
        DatumType::U64 => ElementType::Uint64,
        DatumType::I8 => ElementType::Int8,
        DatumType::I16 => ElementType::Int16,
        DatumType::I32 => ElementType::Int32,
        DatumType::I64 | DatumType::TDim => ElementType::Int64,
        DatumType::F16 => ElementType::Fp16,
        DatumType::F32 => ElementType::Fp32,
        DatumType::F64 => ElementType::Fp64,
        DatumType::String => ElementType::Bytes,
        _ => return None,
    })
}

/// A tensor of the library's with the elements of ours.
pub(super) fn lend(tensor: &Tensor) -> TractResult<TractTensor> {
    let Some(datum) = datum_type(tensor.element) else {
        return Err(TractError::msg(format!("it has no {}", tensor.element)));
    };
    if tensor.element == ElementType::Bytes {
        let text = |bytes: &Vec<u8>| String::from_utf8(bytes.clone());
        let strings = tensor.strings().iter().map(text).collect::<Result<Vec<_>, _>>()?;
        return Ok(ArrayD::from_shape_vec(IxDyn(&tensor.shape), strings)?.into_tensor());
    }
    let mut lent = TractTensor::zero_dt(datum, &tensor.shape)?;
    if tensor.is_empty() {
        return Ok(lent);
    }
    let bytes = lent.as_bytes_mut();
    if tensor.element == ElementType::Bool {
        // Any other byte than 0 and 1 is no bool.
        for (to, from) in bytes.iter_mut().zip(tensor.bytes()) {
            *to = u8::from(*from != 0);
        }
    } else {
        bytes.copy_from_slice(tensor.bytes());
    }
    Ok(lent)
}

/// Why an output cannot be taken over.
pub(super) enum Untaken {
    /// The library's own words.
    Library(String),
    /// More elements than allowed.
    TooLarge(u64),
}

/// Copies what the library made into a tensor of ours, its memory reused.
pub(super) fn take(
    made: &TractTensor,
    tensor: &mut Tensor,
    elements_max: usize,
) -> Result<(), Untaken> {
    let library = |error: String| Untaken::Library(error);
    let elements = made.len();
    if elements > elements_max {
        return Err(Untaken::TooLarge(elements as u64));
    }
    let datum = made.datum_type();
    let Some(element) = element_type(datum) else {
        return Err(library(format!("its answer has the element type {datum:?}")));
    };
    tensor.resize(element, made.shape()).map_err(|error| library(error.to_string()))?;
    if elements == 0 {
        return Ok(());
    }
    if datum == DatumType::String {
        let strings =
            made.to_plain_array_view::<String>().map_err(|error| library(error.to_string()))?;
        for (to, from) in tensor.strings_mut().iter_mut().zip(strings.iter()) {
            to.clear();
            to.extend_from_slice(from.as_bytes());
        }
        return Ok(());
    }
    let plain = if datum == DatumType::TDim {
        made.cast_to::<i64>().map_err(|error| library(error.to_string()))?
    } else {
        std::borrow::Cow::Borrowed(made)
    };
    let (to, from) = (tensor.bytes_mut(), plain.as_bytes());
    if to.len() != from.len() {
        return Err(library(format!("its answer has {} bytes, not {}", from.len(), to.len())));
    }
    to.copy_from_slice(from);
    Ok(())
}
