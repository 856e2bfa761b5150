//! Inference requests (inference_rest.md, Inference Request JSON Object).

use std::borrow::Cow;

use resonance_plant::{ElementType, Signature, Tensor, TensorBuf, TensorSpec};

use super::data;
use super::error::{RequestError, shown};
use super::fields::{
    element_type, field, input_parameters, once, optional, read_id, request_parameters,
    requested_output, shape, string,
};
use super::given::{Given, unknown_output};
use super::json::Reader;

/// How deep fields that a request may carry but that mean nothing here may nest.
pub const DEPTH_MAX: usize = 64;

/// The most dimensions a tensor may have.
pub const RANK_MAX: usize = 32;

/// A request, but for its tensors.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Request {
    /// The id to give back.
    pub id: Option<String>,
    /// The outputs asked for, in the order of the answer.
    pub outputs: Vec<RequestedOutput>,
}

/// An output asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RequestedOutput {
    /// Its place in the model's signature.
    pub index: usize,
    /// As binary tensor data, not as JSON.
    pub binary: bool,
}

/// Decodes a request for a model with this signature. `json_length` is the value of the header
/// [`JSON_LENGTH_HEADER`](super::JSON_LENGTH_HEADER): where it is given, binary tensor data
/// follows the JSON. `inputs` gets one tensor for each input of the signature, in its order, its
/// memory reused; after an error its contents are unspecified.
///
/// # Errors
/// Names the field, tensor or byte that is wrong, and what would be right. The memory taken is a
/// small multiple of the body's length, whatever shapes it claims.
pub fn decode_request(
    body: &[u8],
    json_length: Option<usize>,
    signature: &Signature,
    inputs: &mut TensorBuf,
) -> Result<Request, RequestError> {
    decode(body, json_length, signature, inputs, false, |decoder, reader| decoder.request(reader))
}

/// Decodes an answer as if its outputs were a request's inputs; those that `signature` does not
/// know are read over.
pub(super) fn read_answer(
    body: &[u8],
    json_length: Option<usize>,
    signature: &Signature,
    outputs: &mut TensorBuf,
) -> Result<(), RequestError> {
    decode(body, json_length, signature, outputs, true, |decoder, reader| decoder.answer(reader))
}

/// Decodes tensors; `read` reads the JSON around them.
fn decode<T>(
    body: &[u8],
    json_length: Option<usize>,
    signature: &Signature,
    inputs: &mut TensorBuf,
    skips_unknown: bool,
    read: impl FnOnce(&mut Decoder<'_, '_>, &mut Reader<'_>) -> Result<T, RequestError>,
) -> Result<T, RequestError> {
    let length = json_length.unwrap_or(body.len());
    let Some((json, binary)) = body.split_at_checked(length) else {
        return Err(RequestError::Binary(format!(
            "the header Inference-Header-Content-Length says {length}, the body has {} bytes",
            body.len()
        )));
    };
    prepare(signature, inputs)?;
    let mut decoder = Decoder {
        signature,
        inputs,
        given: Given::none(signature),
        binary: json_length.map(|_| binary),
        skips_unknown,
    };
    let request = read(&mut decoder, &mut Reader::new(json, DEPTH_MAX)?)?;
    if let Some(left) = decoder.binary.filter(|left| !left.is_empty()) {
        return Err(RequestError::Binary(format!(
            "{} bytes follow the data that the inputs' \"binary_data_size\" account for",
            left.len()
        )));
    }
    decoder.given.all()?;
    Ok(request)
}

/// One tensor an input, of its type.
pub(super) fn prepare(signature: &Signature, inputs: &mut TensorBuf) -> Result<(), RequestError> {
    inputs.tensors.truncate(signature.inputs.len());
    for spec in signature.inputs.iter().skip(inputs.tensors.len()) {
        let empty = Tensor::zeros(spec.element, &[0]).map_err(|error| input_error(spec, error))?;
        inputs.tensors.push(empty);
    }
    Ok(())
}

fn input_error(spec: &TensorSpec, problem: impl std::fmt::Display) -> RequestError {
    RequestError::Input { input: spec.name.to_string(), problem: problem.to_string() }
}

struct Decoder<'s, 'b> {
    signature: &'s Signature,
    inputs: &'s mut TensorBuf,
    given: Given<'s>,
    /// Binary tensor data that no input took yet; `None` where the request says it has none.
    binary: Option<&'b [u8]>,
    /// Tensors that the signature does not know are read over, not refused.
    skips_unknown: bool,
}

/// An input as far as it was read.
#[derive(Default)]
struct Input<'a> {
    name: Option<Cow<'a, str>>,
    element: Option<ElementType>,
    shape: Option<Vec<usize>>,
    binary_size: Option<usize>,
    /// Where `data` begins, if it came before the input's name, type and shape.
    data_at: Option<Reader<'a>>,
    /// The input's place in the signature once its data was read.
    read: Option<usize>,
}

impl<'b> Decoder<'_, 'b> {
    fn request(&mut self, reader: &mut Reader<'_>) -> Result<Request, RequestError> {
        reader.expect(b'{', "expected an object")?;
        let mut first = true;
        let (mut id, mut inputs_seen) = (None, None);
        let (mut parameters, mut requested) = (None, None);
        while let Some(key) = reader.key(&mut first)? {
            match &*key {
                "id" => {
                    once(&id, "id", reader)?;
                    id = Some(optional(reader, read_id)?);
                }
                "inputs" => {
                    once(&inputs_seen, "inputs", reader)?;
                    inputs_seen = Some(());
                    self.inputs(reader)?;
                }
                "outputs" => {
                    once(&requested, "outputs", reader)?;
                    requested = Some(optional(reader, |reader| self.outputs(reader))?);
                }
                "parameters" => {
                    once(&parameters, "parameters", reader)?;
                    parameters = Some(optional(reader, request_parameters)?);
                }
                _ => reader.skip()?,
            }
        }
        reader.end()?;
        if inputs_seen.is_none() {
            return Err(field("inputs", reader, "it is missing"));
        }
        let parameters = parameters.flatten().unwrap_or_default();
        let requested = requested.flatten().filter(|outputs| !outputs.is_empty());
        let all = (0..self.signature.outputs.len()).map(|index| (index, None)).collect();
        let outputs = requested.unwrap_or(all).into_iter().map(|(index, binary)| RequestedOutput {
            index,
            binary: binary.unwrap_or(parameters.binary_data_output),
        });
        Ok(Request { id: id.flatten(), outputs: outputs.collect() })
    }

    /// The object around an answer's outputs.
    fn answer(&mut self, reader: &mut Reader<'_>) -> Result<(), RequestError> {
        reader.expect(b'{', "expected an object")?;
        let mut first = true;
        let mut seen = None;
        while let Some(key) = reader.key(&mut first)? {
            if &*key == "outputs" {
                once(&seen, "outputs", reader)?;
                seen = Some(());
                self.inputs(reader)?;
            } else {
                reader.skip()?;
            }
        }
        reader.end()?;
        seen.ok_or_else(|| field("outputs", reader, "it is missing"))
    }

    /// Whether a tensor of this name is to be read over.
    fn skips(&self, input: &Input<'_>) -> bool {
        let known =
            |name: &Cow<'_, str>| self.signature.inputs.iter().any(|spec| *spec.name == **name);
        self.skips_unknown && input.name.as_ref().is_some_and(|name| !known(name))
    }

    fn inputs(&mut self, reader: &mut Reader<'_>) -> Result<(), RequestError> {
        if reader.peek() != Some(b'[') {
            return Err(field("inputs", reader, "it must be an array"));
        }
        reader.expect(b'[', "expected an array")?;
        let mut first = true;
        while reader.element(&mut first)? {
            self.input(reader)?;
        }
        Ok(())
    }

    fn input<'a>(&mut self, reader: &mut Reader<'a>) -> Result<(), RequestError> {
        if reader.peek() != Some(b'{') {
            return Err(field("inputs", reader, "each input must be an object"));
        }
        reader.expect(b'{', "expected an object")?;
        let mut first = true;
        let mut input = Input::default();
        while let Some(key) = reader.key(&mut first)? {
            match &*key {
                "name" => {
                    once(&input.name, "name", reader)?;
                    input.name = Some(string(reader, "name")?);
                }
                "datatype" => {
                    once(&input.element, "datatype", reader)?;
                    input.element = Some(element_type(reader)?);
                }
                "shape" => {
                    once(&input.shape, "shape", reader)?;
                    input.shape = Some(shape(reader)?);
                }
                "data" => self.input_data(&mut input, reader)?,
                "parameters" => {
                    optional(reader, |reader| input_parameters(reader, &mut input.binary_size))?;
                }
                _ => reader.skip()?,
            }
        }
        self.finish(input, reader)
    }

    /// Reads `data` at once where it is known what it must be, else remembers its place.
    fn input_data<'a>(
        &mut self,
        input: &mut Input<'a>,
        reader: &mut Reader<'a>,
    ) -> Result<(), RequestError> {
        if input.read.is_some() || input.data_at.is_some() {
            return Err(field("data", reader, "it is given twice"));
        }
        if self.skips(input) {
            return reader.skip();
        }
        if input.name.is_some() && input.element.is_some() && input.shape.is_some() {
            input.read = Some(self.json_data(input, reader)?);
            return Ok(());
        }
        reader.peek();
        input.data_at = Some(reader.clone());
        reader.skip()
    }

    fn finish(&mut self, mut input: Input<'_>, reader: &Reader<'_>) -> Result<(), RequestError> {
        if self.skips(&input) {
            return self.skip_binary(&input);
        }
        if let Some(mut data_at) = input.data_at.take() {
            input.read = Some(self.json_data(&input, &mut data_at)?);
        }
        let fault = |problem: &str| {
            let input = shown(input.name.as_deref().unwrap_or_default());
            Err(RequestError::Input { input, problem: problem.into() })
        };
        match (input.read, input.binary_size) {
            (Some(_), Some(_)) => fault("it has both \"data\" and \"binary_data_size\""),
            (Some(_), None) => Ok(()),
            (None, Some(size)) => {
                let at = self.admit(&input, reader)?;
                self.binary_data(at, &input, size)
            }
            (None, None) => {
                self.admit(&input, reader)?;
                fault("it has neither \"data\" nor the parameter \"binary_data_size\"")
            }
        }
    }

    fn skip_binary(&mut self, input: &Input<'_>) -> Result<(), RequestError> {
        let (Some(size), Some(binary)) = (input.binary_size, self.binary) else { return Ok(()) };
        let Some((_, rest)) = binary.split_at_checked(size) else {
            let name = shown(input.name.as_deref().unwrap_or_default());
            let problem = format!("{size} bytes of it are announced, {} are left", binary.len());
            return Err(RequestError::Input { input: name, problem });
        };
        self.binary = Some(rest);
        Ok(())
    }

    /// The input's place in the signature, once it is known to fit.
    fn admit(&mut self, input: &Input<'_>, reader: &Reader<'_>) -> Result<usize, RequestError> {
        let Some(name) = &input.name else {
            return Err(field("name", reader, "an input has none"));
        };
        let fault = |problem| RequestError::Input { input: shown(name), problem };
        let Some(element) = input.element else {
            return Err(fault("\"datatype\" is missing".into()));
        };
        let Some(shape) = &input.shape else {
            return Err(fault("\"shape\" is missing".into()));
        };
        self.given.admit(name, element, shape)
    }

    fn json_data(
        &mut self,
        input: &Input<'_>,
        reader: &mut Reader<'_>,
    ) -> Result<usize, RequestError> {
        let at = self.admit(input, reader)?;
        let name = input.name.as_deref().unwrap_or_default();
        // An element and its comma take two bytes at least, a string three: a shape that claims
        // more than the body can hold gets no memory.
        let least = if input.element == Some(ElementType::Bytes) { 3 } else { 2 };
        let tensor = self.tensor(at, input, reader.remaining() / least + 1)?;
        data::read_json(reader, name, tensor)?;
        Ok(at)
    }

    fn binary_data(
        &mut self,
        at: usize,
        input: &Input<'_>,
        size: usize,
    ) -> Result<(), RequestError> {
        let name = input.name.as_deref().unwrap_or_default();
        let fault = |problem| RequestError::Input { input: shown(name), problem };
        let Some(binary) = self.binary else {
            return Err(fault(
                "\"binary_data_size\" needs the header Inference-Header-Content-Length".into(),
            ));
        };
        let Some((mine, rest)) = binary.split_at_checked(size) else {
            return Err(fault(format!(
                "\"binary_data_size\" is {size}, {} bytes of binary data are left",
                binary.len()
            )));
        };
        self.binary = Some(rest);
        let least = input.element.and_then(ElementType::size).unwrap_or(4);
        let tensor = self.tensor(at, input, size / least)?;
        data::read_binary(mine, name, tensor)
    }

    /// The tensor of an admitted input with its type and shape; refused where the shape has more
    /// elements than there can be data for.
    fn tensor(
        &mut self,
        at: usize,
        input: &Input<'_>,
        elements_max: usize,
    ) -> Result<&mut Tensor, RequestError> {
        let fault = |problem| {
            let input = shown(input.name.as_deref().unwrap_or_default());
            RequestError::Input { input, problem }
        };
        let shape = input.shape.as_deref().unwrap_or_default();
        let elements = shape.iter().try_fold(1_usize, |count, dim| count.checked_mul(*dim));
        if elements.is_none_or(|elements| elements > elements_max) {
            return Err(fault(format!("there is less data than shape {shape:?} needs")));
        }
        let element = input.element.unwrap_or(ElementType::Bytes);
        let tensor = self
            .inputs
            .tensors
            .get_mut(at)
            .ok_or_else(|| fault("it is not of the model".into()))?;
        tensor.resize(element, shape).map_err(|error| fault(error.to_string()))?;
        Ok(tensor)
    }

    /// The outputs asked for: their places and, where they say so, whether in binary.
    fn outputs(&self, reader: &mut Reader<'_>) -> Result<Vec<(usize, Option<bool>)>, RequestError> {
        if reader.peek() != Some(b'[') {
            return Err(field("outputs", reader, "it must be an array"));
        }
        reader.expect(b'[', "expected an array")?;
        let mut outputs: Vec<(usize, Option<bool>)> = Vec::new();
        let mut first = true;
        while reader.element(&mut first)? {
            let (name, binary) = requested_output(reader)?;
            let specs = &self.signature.outputs;
            let Some(index) = specs.iter().position(|spec| *spec.name == *name) else {
                return Err(unknown_output(&name, self.signature));
            };
            if outputs.iter().any(|(other, _)| *other == index) {
                let problem = "it is asked for twice".into();
                return Err(RequestError::Output { output: shown(&name), problem });
            }
            outputs.push((index, binary));
        }
        Ok(outputs)
    }
}

/// Encodes a request for these tensors: the client's side, for probes and remote engines. Inputs
/// go as binary tensor data where `binary`, and all outputs are asked for likewise. Returns the
/// body and, where binary data follows the JSON, the JSON's length.
///
/// # Errors
/// Names the first input that JSON cannot carry.
pub fn encode_request(
    id: Option<&str>,
    inputs: &[(&str, &Tensor)],
    binary: bool,
) -> Result<(Vec<u8>, Option<usize>), super::ResponseError> {
    let mut out = Vec::with_capacity(256);
    out.push(b'{');
    if let Some(id) = id {
        out.extend_from_slice(b"\"id\":");
        data::write_value(id, &mut out);
        out.push(b',');
    }
    if binary {
        out.extend_from_slice(b"\"parameters\":{\"binary_data_output\":true},");
    }
    out.extend_from_slice(b"\"inputs\":[");
    for (at, (name, tensor)) in inputs.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        super::response::write_tensor(name, tensor, binary, &mut out)?;
    }
    out.extend_from_slice(b"]}");
    let json_length = out.len();
    if binary {
        inputs.iter().for_each(|(_, tensor)| data::write_binary(tensor, &mut out));
    }
    Ok((out, binary.then_some(json_length)))
}
