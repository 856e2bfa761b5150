//! `POST /v2/models/{model}[/versions/{version}]/infer`.

use std::sync::Arc;

use axum::body::{self, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use axum::response::{IntoResponse, Response};
use resonance_plant::{Signature, TensorBuf};
use resonance_wire::oip::{self, Answer, RequestError, ResponseError};

use super::body::read;
use super::metadata::ModelPath;
use super::refusal::Refusal;
use super::router::{Deadline, In};
use super::run::{self, Form};
use super::shared::Shared;
use super::threads::Load;

/// Bytes reserved for an answer; a small answer grows no further.
const ANSWER_BYTES: usize = 1_024;

const JSON_LENGTH: HeaderName = HeaderName::from_static(oip::JSON_LENGTH_HEADER);

/// An answer's body and, where binary tensor data follows its JSON, the JSON's length.
type Encoded = (Vec<u8>, Option<usize>);

pub(super) async fn infer(
    State(shared): State<Arc<Shared>>,
    In(path): In<ModelPath>,
    request: Request<body::Body>,
) -> Result<Response, Refusal> {
    let deadline = deadline(&request);
    let (parts, content) = request.into_parts();
    let limit = shared.plan.body_bytes_max;
    // Read before anything else is looked at: a refusal then leaves the connection usable.
    let content = read(&parts.headers, content, limit, deadline).await?;
    let lane = path.find(&shared)?;
    let body = Body { content, json_length: json_length(&parts.headers)? };
    let load = parts.extensions.get::<Arc<Load>>().map(Arc::as_ref);
    let (answer, json_length) = run::infer(&shared, lane, load, body).await?;
    Ok(respond(answer, json_length))
}

fn deadline(request: &Request<body::Body>) -> tokio::time::Instant {
    // The gate sets it for every request.
    request.extensions().get::<Deadline>().map_or_else(tokio::time::Instant::now, |at| at.0)
}

fn json_length(headers: &HeaderMap) -> Result<Option<usize>, Refusal> {
    let Some(value) = headers.get(JSON_LENGTH) else { return Ok(None) };
    match value.to_str().ok().and_then(|value| value.trim().parse().ok()) {
        Some(length) => Ok(Some(length)),
        None => Err(Refusal::invalid(
            "the header Inference-Header-Content-Length must be a whole number of bytes",
        )),
    }
}

/// A request that came as JSON, with or without binary tensor data after it.
struct Body {
    content: Bytes,
    json_length: Option<usize>,
}

impl Form for Body {
    type Answer = Encoded;

    fn bytes(&self) -> usize {
        self.content.len()
    }

    fn decode(
        &self,
        signature: &Signature,
        inputs: &mut TensorBuf,
    ) -> Result<oip::Request, RequestError> {
        oip::decode_request(&self.content, self.json_length, signature, inputs)
    }

    fn encode(answer: &Answer<'_>) -> Result<Encoded, ResponseError> {
        let mut out = Vec::with_capacity(ANSWER_BYTES);
        let json_length = oip::encode_response(answer, &mut out)?;
        Ok((out, json_length))
    }
}

fn respond(answer: Vec<u8>, json_length: Option<usize>) -> Response {
    let mut response = answer.into_response();
    let headers = response.headers_mut();
    let media = match json_length {
        None => "application/json",
        Some(length) => {
            headers.insert(JSON_LENGTH, HeaderValue::from(length));
            "application/octet-stream"
        }
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response
}
