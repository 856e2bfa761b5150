//! Answers as a client reads them (inference_rest.md, Inference Response JSON Object).

use resonance_plant::{Signature, TensorBuf};

use super::error::RequestError;
use super::request::read_answer;

/// An answer that is refused: always the server's fault, always with the particulars.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// It is not what the protocol says.
    #[error("the answer is not understood: {0}")]
    Malformed(String),
    /// An output is not what the model gives.
    #[error("output {output:?}: {problem}")]
    Output {
        /// Which output.
        output: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// An output is absent.
    #[error("output {output:?} is missing; it must be {expected}")]
    Missing {
        /// Which output.
        output: String,
        /// Its element type and shape.
        expected: String,
    },
}

impl From<RequestError> for AnswerError {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Input { input, problem } => Self::Output { output: input, problem },
            RequestError::MissingInput { input, expected } => {
                Self::Missing { output: input, expected }
            }
            RequestError::Json { offset, problem } => {
                Self::Malformed(format!("no valid JSON at byte {offset}: {problem}"))
            }
            RequestError::TooDeep { offset, limit } => {
                Self::Malformed(format!("it nests deeper than {limit} levels at byte {offset}"))
            }
            other => Self::Malformed(other.to_string()),
        }
    }
}

/// Decodes the answer of a model with this signature, as
/// [`decode_request`](super::decode_request) does requests: `outputs` gets one tensor for each
/// output of the signature, in its order. Further outputs are read over.
///
/// # Errors
/// Names the output that is absent, or not of the signature's type and shape, or whose data is
/// not as long as its shape says. The memory taken is a small multiple of the body's length.
pub fn decode_response(
    body: &[u8],
    json_length: Option<usize>,
    signature: &Signature,
    outputs: &mut TensorBuf,
) -> Result<(), AnswerError> {
    let given = Signature { inputs: signature.outputs.clone(), outputs: Vec::new() };
    Ok(read_answer(body, json_length, &given, outputs)?)
}

#[cfg(test)]
mod tests {
    use resonance_plant::{Dim, ElementType, Tensor, TensorSpec};

    use super::super::{Answer, Request, RequestedOutput, encode_response};
    use super::*;

    fn signature() -> Signature {
        let spec = |name: &str, element| TensorSpec {
            name: name.into(),
            element,
            shape: vec![Dim::Any, Dim::Fixed(1)],
        };
        let outputs = vec![spec("y", ElementType::Fp32), spec("class", ElementType::Int64)];
        Signature { inputs: Vec::new(), outputs }
    }

    fn outputs() -> TensorBuf {
        let y = Tensor::from_bytes(ElementType::Fp32, &[2, 1], &[0, 0, 128, 63, 0, 0, 0, 64]);
        let class = Tensor::from_bytes(ElementType::Int64, &[2, 1], &[7; 16]);
        TensorBuf { tensors: vec![y.unwrap(), class.unwrap()] }
    }

    fn read(body: &[u8], json_length: Option<usize>) -> Result<TensorBuf, String> {
        let mut read = TensorBuf::default();
        decode_response(body, json_length, &signature(), &mut read)
            .map(|()| read)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn what_a_server_encodes_a_client_reads() {
        for binary in [false, true] {
            let asked = (0..2).map(|index| RequestedOutput { index, binary }).collect();
            let answer = Answer {
                model_name: "m",
                model_version: "1",
                request: &Request { id: Some("7".into()), outputs: asked },
                signature: &signature(),
                outputs: &outputs(),
            };
            let mut body = Vec::new();
            let length = encode_response(&answer, &mut body).unwrap();
            assert_eq!(read(&body, length), Ok(outputs()), "binary: {binary}");
            for cut in 0..body.len() {
                assert!(read(&body[..cut], length).is_err(), "cut at {cut}");
            }
        }
    }

    #[test]
    fn a_server_that_lies_about_shapes_is_told_so() {
        let answer = |y: &str| {
            let class = r#"{"name":"class","datatype":"INT64","shape":[2,1],"data":[0,1]}"#;
            format!(r#"{{"model_name":"m","outputs":[{y},{class}]}}"#)
        };
        for (y, says) in [
            (
                r#"{"name":"y","datatype":"FP32","shape":[2,2],"data":[1,2,3,4]}"#,
                "output \"y\": it must be FP32[-1, 1], not FP32[2, 2]",
            ),
            (r#"{"name":"y","datatype":"FP64","shape":[2,1],"data":[1,2]}"#, "not FP64[2, 1]"),
            (r#"{"name":"y","datatype":"FP32","shape":[3,1],"data":[1,2]}"#, "needs 3"),
            (
                r#"{"name":"y","datatype":"FP32","shape":[1,1],"data":[1,2]}"#,
                "more than the 1 elements",
            ),
            (
                r#"{"name":"y","datatype":"FP32","shape":[1099511627776,1],"data":[1]}"#,
                "less data than shape",
            ),
            (
                r#"{"name":"z","datatype":"FP32","shape":[2,1],"data":[1,2]}"#,
                "output \"y\" is missing; it must be FP32[-1, 1]",
            ),
        ] {
            let error = read(answer(y).as_bytes(), None).unwrap_err();
            assert!(error.contains(says), "{y}: {error}");
        }
        assert!(read(b"{\"outputs\":[]}", None).unwrap_err().contains("\"y\" is missing"));
        assert!(read(b"{}", None).unwrap_err().contains("\"outputs\""));
        assert!(read(b"<html>", None).unwrap_err().contains("no valid JSON at byte 0"));
    }

    #[test]
    fn outputs_that_the_package_does_not_name_are_read_over() {
        let body = br#"{"outputs":[
            {"name":"more","datatype":"FP32","shape":[9],"parameters":{"binary_data_size":3}},
            {"name":"y","datatype":"FP32","shape":[1,1],"parameters":{"binary_data_size":4}},
            {"data":[[1]],"name":"other","datatype":"BYTES","shape":[1]},
            {"name":"class","datatype":"INT64","shape":[1,1],"data":[3]}]}"#;
        let json = body.len();
        let whole = [&body[..], b"abc", &1.5_f32.to_le_bytes()].concat();
        let outputs = read(&whole, Some(json)).unwrap();
        assert_eq!(outputs.tensors[0].as_slice::<f32>(), [1.5]);
        assert_eq!(outputs.tensors[1].as_slice::<i64>(), [3]);
    }
}
