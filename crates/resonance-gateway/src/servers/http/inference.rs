//! `POST /v2/models/{model}[/versions/{version}]/infer`.

use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use resonance_inference::EngineError;
use resonance_plant::Code;
use resonance_wire::oip::{self, Answer};

use super::body;
use super::lane::{Buffers, Lane};
use super::metadata::ModelPath;
use super::refusal::Refusal;
use super::router::{Deadline, In};
use super::shared::Shared;
use crate::models::ModelState;

/// Bytes reserved for an answer; a small answer grows no further.
const ANSWER_BYTES: usize = 1_024;

const JSON_LENGTH: HeaderName = HeaderName::from_static(oip::JSON_LENGTH_HEADER);

/// An answer's body and, where binary tensor data follows its JSON, the JSON's length.
type Encoded = (Vec<u8>, Option<usize>);

pub(super) async fn infer(
    State(shared): State<Arc<Shared>>,
    In(path): In<ModelPath>,
    request: Request<Body>,
) -> Result<Response, Refusal> {
    let deadline = deadline(&request);
    let (parts, content) = request.into_parts();
    let limit = shared.plan.body_bytes_max;
    // Read before anything else is looked at: a refusal then leaves the connection usable.
    let content = body::read(&parts.headers, content, limit, deadline).await?;
    let lane = path.find(&shared)?;
    ready(lane)?;
    let json_length = json_length(&parts.headers)?;
    let (answer, json_length) = if lane.is_quick(content.len()) {
        run(lane, &content, json_length)?
    } else {
        run_elsewhere(&shared, lane, content, json_length).await?
    };
    Ok(respond(answer, json_length))
}

fn deadline(request: &Request<Body>) -> tokio::time::Instant {
    // The gate sets it for every request.
    request.extensions().get::<Deadline>().map_or_else(tokio::time::Instant::now, |at| at.0)
}

fn ready(lane: &Lane) -> Result<(), Refusal> {
    let name = &lane.model.used.name;
    let problem = match lane.model.state() {
        ModelState::Ready => return Ok(()),
        ModelState::Loading => format!("model {name:?} is being loaded; try again"),
        ModelState::Unloaded => format!("model {name:?} was unloaded; load it first"),
        ModelState::Failed => format!("model {name:?} was refused or failed; see the events"),
    };
    Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, Code::InferenceFailed, problem))
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

/// Off the connection's thread, as many at once as there are processors.
async fn run_elsewhere(
    shared: &Shared,
    lane: &Arc<Lane>,
    content: Bytes,
    json_length: Option<usize>,
) -> Result<Encoded, Refusal> {
    let failed =
        |problem| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, Code::InferenceFailed, problem);
    let turn = Arc::clone(&shared.slow).acquire_owned().await;
    let turn = turn.map_err(|_| failed("the server stops"))?;
    let lane = Arc::clone(lane);
    let done = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        run(&lane, &content, json_length)
    });
    done.await.map_err(|_| failed("the inference ended without an answer"))?
}

/// Decodes, infers, encodes.
fn run(lane: &Lane, content: &[u8], json_length: Option<usize>) -> Result<Encoded, Refusal> {
    let began = Instant::now();
    let mut buffers = lane.take();
    let done = run_with(lane, content, json_length, &mut buffers);
    lane.give_back(buffers);
    if done.is_ok() {
        lane.learn(began, content.len());
    }
    done
}

fn run_with(
    lane: &Lane,
    content: &[u8],
    json_length: Option<usize>,
    buffers: &mut Buffers,
) -> Result<Encoded, Refusal> {
    let model = &lane.model;
    let signature = model.signature();
    let Buffers { inputs, outputs } = buffers;
    let request = oip::decode_request(content, json_length, signature, inputs)
        .map_err(|error| Refusal::invalid(error.to_string()))?;
    model.infer(inputs, outputs).map_err(|error| match error {
        EngineError::Input { .. } | EngineError::OverLimit { .. } => {
            Refusal::invalid(error.to_string())
        }
        _ => Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            Code::InferenceFailed,
            format!("model {:?}: {error}", model.used.name),
        ),
    })?;
    let mut out = Vec::with_capacity(ANSWER_BYTES);
    let answer = Answer {
        model_name: &model.used.name,
        model_version: &model.used.version,
        request: &request,
        signature,
        outputs,
    };
    let json_length = oip::encode_response(&answer, &mut out)
        .map_err(|error| Refusal::invalid(error.to_string()))?;
    Ok((out, json_length))
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
