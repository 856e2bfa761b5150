//! Open Inference Protocol v2 over gRPC: its messages, and inference requests and answers in them.
//!
//! Raw contents stay the bytes that arrived until they are copied once into a session's tensors.

use resonance_plant::{ElementType, Signature, Tensor, TensorBuf};

use super::answer::AnswerError;
use super::data::{read_binary, write_binary};
use super::error::{RequestError, shown};
use super::fields::unsupported;
use super::given::{Given, unknown_output};
use super::request::{RANK_MAX, Request, RequestedOutput, prepare};
use super::response::Answer;

#[expect(missing_docs, reason = "made from proto/open_inference.proto, whose comments they carry")]
mod messages {
    include!(concat!(env!("OUT_DIR"), "/inference.rs"));
}

pub use messages::*;

use infer_parameter::ParameterChoice;
use model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use model_infer_response::InferOutputTensor;

/// The parameter by which a request without raw contents asks for an answer with them.
const RAW_OUTPUT: &str = "binary_data_output";

/// Reads a request for a model with this signature into a session's inputs, as
/// [`decode_request`](super::decode_request) does for HTTP: the same mistakes get the same words.
/// Outputs are asked for in raw form where the inputs came so, where the request's parameter
/// `binary_data_output` is true, or where an output is a 16-bit float, for which there is no other.
///
/// # Errors
/// Names the tensor or field that is wrong, and what would be right. The memory taken is a small
/// multiple of the request's length, whatever shapes it claims.
pub fn decode_infer(
    request: &ModelInferRequest,
    signature: &Signature,
    inputs: &mut TensorBuf,
) -> Result<Request, RequestError> {
    prepare(signature, inputs)?;
    known_parameters(&request.parameters)?;
    let raw = &request.raw_input_contents;
    let is_raw = !raw.is_empty();
    if is_raw && raw.len() != request.inputs.len() {
        return Err(RequestError::Binary(format!(
            "\"raw_input_contents\" has {} entries, \"inputs\" has {}; give one for each",
            raw.len(),
            request.inputs.len()
        )));
    }
    let mut given = Given::none(signature);
    for (at, input) in request.inputs.iter().enumerate() {
        known_parameters(&input.parameters)?;
        let fault = |problem: String| RequestError::Input { input: shown(&input.name), problem };
        let element = element_type(input)?;
        let shape = shape(input)?;
        let place = given.admit(&input.name, element, &shape)?;
        let tensor = inputs.tensors.get_mut(place);
        let tensor = tensor.ok_or_else(|| fault("it is not of the model".into()))?;
        match (raw.get(at), &input.contents) {
            (Some(_), Some(contents)) if has_contents(contents) => {
                return Err(fault("it has both \"contents\" and \"raw_input_contents\"".into()));
            }
            (Some(raw), _) => {
                let least = element.size().unwrap_or(4);
                size(tensor, element, &shape, raw.len() / least).map_err(fault)?;
                read_binary(raw, &input.name, tensor)?;
            }
            (None, Some(contents)) => {
                if is_half(element) {
                    let problem = format!("{element} is taken as \"raw_input_contents\" only");
                    return Err(fault(problem));
                }
                size(tensor, element, &shape, count(element, contents)).map_err(fault)?;
                read_contents(contents, tensor).map_err(fault)?;
            }
            (None, None) => {
                return Err(fault("it has neither \"contents\" nor \"raw_input_contents\"".into()));
            }
        }
    }
    given.all()?;
    let asked =
        request.parameters.get(RAW_OUTPUT).and_then(|value| value.parameter_choice.as_ref());
    let is_raw = is_raw || matches!(asked, Some(ParameterChoice::BoolParam(true)));
    let outputs = outputs(&request.outputs, signature, is_raw)?;
    let id = (!request.id.is_empty()).then(|| request.id.clone());
    Ok(Request { id, outputs })
}

/// The answer to a request that [`decode_infer`] read.
pub fn encode_infer(answer: &Answer<'_>) -> ModelInferResponse {
    let mut response = ModelInferResponse {
        model_name: answer.model_name.to_owned(),
        model_version: answer.model_version.to_owned(),
        id: answer.request.id.clone().unwrap_or_default(),
        ..ModelInferResponse::default()
    };
    for requested in &answer.request.outputs {
        let spec = answer.signature.outputs.get(requested.index);
        let tensor = answer.outputs.tensors.get(requested.index);
        let (Some(spec), Some(tensor)) = (spec, tensor) else { continue };
        if requested.binary {
            let mut raw = Vec::new();
            write_binary(tensor, &mut raw);
            response.raw_output_contents.push(raw.into());
        }
        response.outputs.push(InferOutputTensor {
            name: spec.name.to_string(),
            datatype: tensor.element.name().to_owned(),
            shape: tensor.shape.iter().map(|size| *size as i64).collect(),
            contents: (!requested.binary).then(|| contents(tensor)),
            ..InferOutputTensor::default()
        });
    }
    response
}

/// A request for these tensors, the client's side: raw contents, all outputs asked for.
pub fn encode_ask(model: &str, version: &str, inputs: &[(&str, &Tensor)]) -> ModelInferRequest {
    let mut request = ModelInferRequest {
        model_name: model.to_owned(),
        model_version: version.to_owned(),
        ..ModelInferRequest::default()
    };
    for (name, tensor) in inputs {
        let mut raw = Vec::new();
        write_binary(tensor, &mut raw);
        request.raw_input_contents.push(raw.into());
        request.inputs.push(InferInputTensor {
            name: (*name).to_owned(),
            datatype: tensor.element.name().to_owned(),
            shape: tensor.shape.iter().map(|size| *size as i64).collect(),
            ..InferInputTensor::default()
        });
    }
    request
}

/// Reads an answer of a model with this signature, as
/// [`decode_response`](super::decode_response) does for HTTP: with the same errors and bounds.
///
/// # Errors
/// Names the output that is absent, or not of the signature's type and shape, or whose data is
/// not as long as its shape says.
pub fn decode_answer(
    answer: ModelInferResponse,
    signature: &Signature,
    outputs: &mut TensorBuf,
) -> Result<(), AnswerError> {
    let given = Signature { inputs: signature.outputs.clone(), outputs: Vec::new() };
    let mut raw = answer.raw_output_contents;
    if !raw.is_empty() && raw.len() != answer.outputs.len() {
        return Err(AnswerError::Malformed(format!(
            "\"raw_output_contents\" has {} entries, \"outputs\" has {}",
            raw.len(),
            answer.outputs.len()
        )));
    }
    // Outputs that the package does not name are left out, with their bytes.
    let is_known: Vec<bool> = answer
        .outputs
        .iter()
        .map(|output| given.inputs.iter().any(|spec| *spec.name == *output.name))
        .collect();
    let mut known = is_known.iter();
    raw.retain(|_| known.next().copied().unwrap_or(false));
    let inputs = answer.outputs.into_iter().zip(is_known).filter(|(_, is_known)| *is_known);
    let inputs = inputs.map(|(output, _)| InferInputTensor {
        name: output.name,
        datatype: output.datatype,
        shape: output.shape,
        contents: output.contents,
        ..InferInputTensor::default()
    });
    let asked = ModelInferRequest {
        inputs: inputs.collect(),
        raw_input_contents: raw,
        ..ModelInferRequest::default()
    };
    decode_infer(&asked, &given, outputs)?;
    Ok(())
}

/// Refuses what a request asks for beyond the protocol and this product does not have.
fn known_parameters(
    parameters: &std::collections::BTreeMap<String, InferParameter>,
) -> Result<(), RequestError> {
    for key in parameters.keys() {
        if let Some(problem) = unsupported(key) {
            return Err(RequestError::Parameter { parameter: shown(key), problem });
        }
    }
    Ok(())
}

fn element_type(input: &InferInputTensor) -> Result<ElementType, RequestError> {
    ElementType::from_name(&input.datatype).ok_or_else(|| {
        let known: Vec<&str> = ElementType::ALL.iter().map(|element| element.name()).collect();
        let problem =
            format!("datatype {:?} is none of {}", shown(&input.datatype), known.join(", "));
        RequestError::Input { input: shown(&input.name), problem }
    })
}

fn shape(input: &InferInputTensor) -> Result<Vec<usize>, RequestError> {
    let fault = |problem| RequestError::Input { input: shown(&input.name), problem };
    if input.shape.len() > RANK_MAX {
        return Err(fault(format!("its shape has more than {RANK_MAX} dimensions")));
    }
    let one = |size: &i64| {
        let problem = || format!("a dimension of its shape is {size}; it must not be negative");
        usize::try_from(*size).map_err(|_| fault(problem()))
    };
    input.shape.iter().map(one).collect()
}

/// Gives a tensor its type and shape; refused where the shape has more elements than came.
fn size(
    tensor: &mut Tensor,
    element: ElementType,
    shape: &[usize],
    elements_max: usize,
) -> Result<(), String> {
    let elements = shape.iter().try_fold(1_usize, |count, dim| count.checked_mul(*dim));
    if elements.is_none_or(|elements| elements > elements_max) {
        return Err(format!("there is less data than shape {shape:?} needs"));
    }
    tensor.resize(element, shape).map_err(|error| error.to_string())
}

fn has_contents(contents: &InferTensorContents) -> bool {
    ElementType::ALL.iter().any(|element| count(*element, contents) > 0)
}

fn is_half(element: ElementType) -> bool {
    matches!(element, ElementType::Fp16 | ElementType::Bf16)
}

/// The elements in the one list that fits the type.
fn count(element: ElementType, contents: &InferTensorContents) -> usize {
    match element {
        ElementType::Bool => contents.bool_contents.len(),
        ElementType::Int8 | ElementType::Int16 | ElementType::Int32 => contents.int_contents.len(),
        ElementType::Int64 => contents.int64_contents.len(),
        ElementType::Uint8 | ElementType::Uint16 | ElementType::Uint32 => {
            contents.uint_contents.len()
        }
        ElementType::Uint64 => contents.uint64_contents.len(),
        ElementType::Fp32 => contents.fp32_contents.len(),
        ElementType::Fp64 => contents.fp64_contents.len(),
        ElementType::Bytes => contents.bytes_contents.len(),
        ElementType::Fp16 | ElementType::Bf16 => 0,
    }
}

/// Copies typed contents into a tensor that has its type and shape already.
fn read_contents(contents: &InferTensorContents, tensor: &mut Tensor) -> Result<(), String> {
    let element = tensor.element;
    let came = count(element, contents);
    if came != tensor.len() {
        let shape = &tensor.shape;
        return Err(format!(
            "its contents for {element} hold {came} elements, shape {shape:?} needs {}",
            tensor.len()
        ));
    }
    match element {
        ElementType::Bool => {
            let from = contents.bool_contents.iter();
            tensor.as_mut_slice::<u8>().iter_mut().zip(from).for_each(|(to, x)| *to = u8::from(*x));
            Ok(())
        }
        ElementType::Int8 => narrowed::<i32, i8>(&contents.int_contents, tensor),
        ElementType::Int16 => narrowed::<i32, i16>(&contents.int_contents, tensor),
        ElementType::Int32 => copied(&contents.int_contents, tensor),
        ElementType::Int64 => copied(&contents.int64_contents, tensor),
        ElementType::Uint8 => narrowed::<u32, u8>(&contents.uint_contents, tensor),
        ElementType::Uint16 => narrowed::<u32, u16>(&contents.uint_contents, tensor),
        ElementType::Uint32 => copied(&contents.uint_contents, tensor),
        ElementType::Uint64 => copied(&contents.uint64_contents, tensor),
        ElementType::Fp32 => copied(&contents.fp32_contents, tensor),
        ElementType::Fp64 => copied(&contents.fp64_contents, tensor),
        ElementType::Bytes => {
            for (to, text) in tensor.strings_mut().iter_mut().zip(&contents.bytes_contents) {
                to.clear();
                to.extend_from_slice(text);
            }
            Ok(())
        }
        // There is no list for these: the caller has refused them.
        ElementType::Fp16 | ElementType::Bf16 => Ok(()),
    }
}

fn copied<T: bytemuck::Pod>(from: &[T], tensor: &mut Tensor) -> Result<(), String> {
    tensor.as_mut_slice::<T>().iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    Ok(())
}

/// Elements that travel in a wider type than theirs.
fn narrowed<Wide, T>(from: &[Wide], tensor: &mut Tensor) -> Result<(), String>
where
    Wide: Copy + std::fmt::Display,
    T: bytemuck::Pod + TryFrom<Wide>,
{
    let element = tensor.element;
    for (at, (to, from)) in tensor.as_mut_slice::<T>().iter_mut().zip(from).enumerate() {
        *to = T::try_from(*from).map_err(|_| {
            format!("element {at} of its contents is {from}, which is out of range of {element}")
        })?;
    }
    Ok(())
}

/// The outputs asked for, in one form: a client that finds any raw contents looks for nothing else.
fn outputs(
    asked: &[InferRequestedOutputTensor],
    signature: &Signature,
    is_raw: bool,
) -> Result<Vec<RequestedOutput>, RequestError> {
    let mut places = Vec::with_capacity(asked.len().max(signature.outputs.len()));
    for output in asked {
        known_parameters(&output.parameters)?;
        let found = signature.outputs.iter().position(|spec| *spec.name == *output.name);
        let Some(index) = found else {
            return Err(unknown_output(&output.name, signature));
        };
        if places.contains(&index) {
            let problem = "it is asked for twice".into();
            return Err(RequestError::Output { output: shown(&output.name), problem });
        }
        places.push(index);
    }
    if asked.is_empty() {
        places.extend(0..signature.outputs.len());
    }
    let half = |index: &usize| {
        let spec = signature.outputs.get(*index);
        spec.is_some_and(|spec| is_half(spec.element))
    };
    let binary = is_raw || places.iter().any(half);
    Ok(places.into_iter().map(|index| RequestedOutput { index, binary }).collect())
}

/// A tensor's elements in the one list that fits its type; 16-bit floats have none.
fn contents(tensor: &Tensor) -> InferTensorContents {
    let mut contents = InferTensorContents::default();
    match tensor.element {
        ElementType::Bool => {
            contents.bool_contents = tensor.as_slice::<u8>().iter().map(|x| *x != 0).collect();
        }
        ElementType::Int8 => contents.int_contents = widened::<i8, _>(tensor),
        ElementType::Int16 => contents.int_contents = widened::<i16, _>(tensor),
        ElementType::Int32 => contents.int_contents = tensor.as_slice().to_vec(),
        ElementType::Int64 => contents.int64_contents = tensor.as_slice().to_vec(),
        ElementType::Uint8 => contents.uint_contents = widened::<u8, _>(tensor),
        ElementType::Uint16 => contents.uint_contents = widened::<u16, _>(tensor),
        ElementType::Uint32 => contents.uint_contents = tensor.as_slice().to_vec(),
        ElementType::Uint64 => contents.uint64_contents = tensor.as_slice().to_vec(),
        ElementType::Fp32 => contents.fp32_contents = tensor.as_slice().to_vec(),
        ElementType::Fp64 => contents.fp64_contents = tensor.as_slice().to_vec(),
        ElementType::Bytes => {
            let texts = tensor.strings().iter();
            contents.bytes_contents = texts.map(|text| text.clone().into()).collect();
        }
        ElementType::Fp16 | ElementType::Bf16 => {}
    }
    contents
}

fn widened<T: bytemuck::Pod, Wide: From<T>>(tensor: &Tensor) -> Vec<Wide> {
    tensor.as_slice::<T>().iter().map(|x| Wide::from(*x)).collect()
}
