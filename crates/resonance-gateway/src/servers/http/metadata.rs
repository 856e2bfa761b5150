//! Health and metadata of the server and its models, under `/v2`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use resonance_wire::oip::{Live, ModelMetadata, ModelReady, Ready, ServerMetadata};
use serde::Deserialize;

use super::lane::Lane;
use super::refusal::Refusal;
use super::router::In;
use super::shared::Shared;
use crate::access::shown;
use crate::models::ModelState;

/// `{model}` or `{model}/versions/{version}`.
#[derive(Debug, Deserialize)]
pub(super) struct ModelPath {
    model: String,
    version: Option<String>,
}

impl ModelPath {
    /// The name, as it was asked for.
    pub(super) fn name(&self) -> &str {
        &self.model
    }

    /// The model, in the version asked for.
    pub(super) fn find<'a>(&self, shared: &'a Shared) -> Result<&'a Arc<Lane>, Refusal> {
        find(shared, &self.model, self.version.as_deref())
    }
}

/// The model with this name, in the version asked for.
pub(in crate::servers) fn find<'a>(
    shared: &'a Shared,
    model: &str,
    version: Option<&str>,
) -> Result<&'a Arc<Lane>, Refusal> {
    let Some(lane) = shared.lanes.get(model) else {
        let known: Vec<&str> = shared.lanes.keys().take(20).map(|name| &**name).collect();
        return Err(Refusal::unknown(format!(
            "there is no model {:?}; there are: {}",
            shown(model),
            known.join(", ")
        )));
    };
    let served = &lane.model.used.version;
    match version {
        Some(wanted) if *wanted != **served => Err(Refusal::unknown(format!(
            "model {:?} has no version {:?}; it is served in version {served:?}",
            lane.model.used.name,
            shown(wanted)
        ))),
        _ => Ok(lane),
    }
}

/// What this server does beyond the protocol, by the names that clients know.
pub(in crate::servers) const EXTENSIONS: &[&str] =
    &["binary_tensor_data", "model_repository", "statistics"];

pub(super) async fn server() -> impl IntoResponse {
    Json(ServerMetadata {
        name: "resonance",
        version: env!("CARGO_PKG_VERSION"),
        extensions: EXTENSIONS,
    })
}

pub(super) async fn live() -> impl IntoResponse {
    Json(Live { live: true })
}

/// Ready when every model is.
pub(super) async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    let ready = all_ready(&shared);
    (status_of(ready), Json(Ready::new(ready))).into_response()
}

/// Whether every model answers, but for those that someone unloaded.
pub(in crate::servers) fn all_ready(shared: &Shared) -> bool {
    let mut states = shared.lanes.values().map(|lane| lane.model.state());
    states.all(|state| matches!(state, ModelState::Ready | ModelState::Unloaded))
}

pub(super) async fn model_ready(
    State(shared): State<Arc<Shared>>,
    In(path): In<ModelPath>,
) -> Result<Response, Refusal> {
    let model = &path.find(&shared)?.model;
    let ready = model.state() == ModelState::Ready;
    Ok((status_of(ready), Json(ModelReady { name: &model.used.name, ready })).into_response())
}

pub(super) async fn model(
    State(shared): State<Arc<Shared>>,
    In(path): In<ModelPath>,
) -> Result<Response, Refusal> {
    let model = &path.find(&shared)?.model;
    let (used, signature) = (&model.used, model.signature());
    let versions = [&*used.version];
    let metadata = ModelMetadata::onnx(&used.name, &versions, signature, &used.trained_on);
    Ok(Json(metadata).into_response())
}

/// Clients tell by the status, orchestrators too.
fn status_of(ready: bool) -> StatusCode {
    if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}
