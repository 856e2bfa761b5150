//! The model repository and statistics extensions: `/v2/repository/...`, `/v2/models/.../stats`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::{Extension, Json};
use resonance_plant::{Code, Principal};
use serde::{Deserialize, Serialize};

use super::body;
use super::metadata::ModelPath;
use super::refusal::Refusal;
use super::router::{Deadline, In};
use super::shared::Shared;
use crate::access::shown;
use crate::models::{ModelCommand, ModelCommandRefused, ModelFigures, ModelState};

/// The largest body of a request here; none has much to say.
const BODY_BYTES_MAX: usize = 64 << 10;

#[derive(Debug, Serialize)]
pub(super) struct Entry {
    name: Arc<str>,
    version: Arc<str>,
    state: &'static str,
    reason: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct IndexRequest {
    /// Only models that answer.
    ready: bool,
}

/// Every model with its state.
pub(super) async fn index(
    State(shared): State<Arc<Shared>>,
    request: Request<Body>,
) -> Result<Json<Vec<Entry>>, Refusal> {
    let IndexRequest { ready } = asked(request).await?;
    let models = shared.lanes.values().map(|lane| &lane.model);
    let models = models.filter(|model| !ready || model.state() == ModelState::Ready);
    let entries = models.map(|model| {
        let (state, reason) = model.standing();
        let (name, version) = (Arc::clone(&model.used.name), Arc::clone(&model.used.version));
        Entry { name, version, state, reason }
    });
    Ok(Json(entries.collect()))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CommandRequest {
    parameters: serde_json::Map<String, serde_json::Value>,
}

/// Lets a model answer. 200: it does.
pub(super) async fn load(
    State(shared): State<Arc<Shared>>,
    Extension(principal): Extension<Principal>,
    In(path): In<ModelPath>,
    request: Request<Body>,
) -> Result<StatusCode, Refusal> {
    let CommandRequest { parameters } = asked(request).await?;
    no_parameters(parameters.keys().map(String::as_str))?;
    command(&shared, path.name(), ModelCommand::Load, principal).await?;
    Ok(StatusCode::OK)
}

/// Lets a model answer no more. 200: its memory is free.
pub(super) async fn unload(
    State(shared): State<Arc<Shared>>,
    Extension(principal): Extension<Principal>,
    In(path): In<ModelPath>,
    request: Request<Body>,
) -> Result<StatusCode, Refusal> {
    let CommandRequest { .. } = asked(request).await?;
    command(&shared, path.name(), ModelCommand::Unload, principal).await?;
    Ok(StatusCode::OK)
}

/// A model is what its package says: nothing about it can be given with the command.
pub(in crate::servers) fn no_parameters<'a>(
    mut given: impl Iterator<Item = &'a str>,
) -> Result<(), Refusal> {
    match given.next() {
        None => Ok(()),
        Some(parameter) => Err(Refusal::invalid(format!(
            "parameter {:?}: a model is loaded as its package in the plant file says; leave \
             parameters out",
            shown(parameter)
        ))),
    }
}

/// Obeys a command to a model, off the connection's thread. It goes on to its end where whoever
/// gave it goes away meanwhile: half a command is none.
pub(in crate::servers) async fn command(
    shared: &Arc<Shared>,
    model: &str,
    command: ModelCommand,
    principal: Principal,
) -> Result<(), Refusal> {
    let (models, name) = (Arc::clone(&shared.context.models), model.to_owned());
    let done = tokio::task::spawn_blocking(move || match models.repository() {
        Some(repository) => repository.command(&models, &name, command, &principal),
        None => Err(ModelCommandRefused::Unknown(shown(&name))),
    });
    let failed = |problem: &str| {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, Code::InferenceFailed, problem)
    };
    let refused = match done.await {
        Err(_) => return Err(failed("the command ended without an answer")),
        Ok(Ok(())) => return Ok(()),
        Ok(Err(refused)) => refused,
    };
    let detail = refused.to_string();
    Err(match refused {
        ModelCommandRefused::Unknown(_) => Refusal::unknown(detail),
        ModelCommandRefused::InUse { .. } => {
            Refusal::new(StatusCode::CONFLICT, Code::ControlRefused, detail)
        }
        ModelCommandRefused::Refused { refused, .. } => {
            Refusal::new(StatusCode::CONFLICT, refused.code(), detail)
        }
    })
}

#[derive(Debug, Serialize)]
pub(super) struct Figures {
    model_stats: Vec<ModelView>,
}

#[derive(Debug, Serialize)]
struct ModelView {
    name: Arc<str>,
    version: Arc<str>,
    #[serde(flatten)]
    figures: ModelFigures,
    /// Clients look for it; inferences here are not batched across requests.
    batch_stats: [(); 0],
}

fn view(model: &crate::models::ServedModel) -> ModelView {
    let (name, version) = (Arc::clone(&model.used.name), Arc::clone(&model.used.version));
    ModelView { name, version, figures: model.statistics.read(), batch_stats: [] }
}

/// Every model's statistics.
pub(super) async fn all_statistics(State(shared): State<Arc<Shared>>) -> Json<Figures> {
    let model_stats = shared.lanes.values().map(|lane| view(&lane.model)).collect();
    Json(Figures { model_stats })
}

/// One model's statistics.
pub(super) async fn statistics(
    State(shared): State<Arc<Shared>>,
    In(path): In<ModelPath>,
) -> Result<Json<Figures>, Refusal> {
    let model_stats = vec![view(&path.find(&shared)?.model)];
    Ok(Json(Figures { model_stats }))
}

/// What a request's body asks for; an empty one asks for nothing in particular.
async fn asked<T: Default + serde::de::DeserializeOwned>(
    request: Request<Body>,
) -> Result<T, Refusal> {
    // The gate sets it for every request.
    let deadline = request.extensions().get::<Deadline>();
    let deadline = deadline.map_or_else(tokio::time::Instant::now, |at| at.0);
    let (parts, content) = request.into_parts();
    let content = body::read(&parts.headers, content, BODY_BYTES_MAX, deadline).await?;
    if content.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(&content)
        .map_err(|error| Refusal::invalid(format!("the body is not as it must be: {error}")))
}
