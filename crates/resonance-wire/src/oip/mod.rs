//! Open Inference Protocol v2: over HTTP (inference_rest.md) with the binary tensor data extension,
//! and over gRPC ([`grpc`]).
//!
//! A request is decoded straight into the tensors a session takes: the body is read once, and
//! nothing is kept of it but what the answer needs.

mod answer;
mod data;
mod error;
mod fields;
mod given;
pub mod grpc;
mod json;
mod metadata;
mod request;
mod response;
#[cfg(test)]
mod tests;

pub use answer::{AnswerError, decode_response};
pub use error::{RequestError, ResponseError};
pub use metadata::{
    Live, ModelMetadata, ModelParameters, ModelReady, Ready, ServerMetadata, TensorMetadata,
};
pub use request::{DEPTH_MAX, RANK_MAX, Request, RequestedOutput, decode_request, encode_request};
pub use response::{Answer, encode_error, encode_response};

/// The header that tells where JSON ends and binary tensor data begins, in requests and responses.
pub const JSON_LENGTH_HEADER: &str = "inference-header-content-length";
