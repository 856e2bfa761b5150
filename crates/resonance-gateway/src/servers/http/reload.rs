//! `/api/v1/plant/reload`: another plan while the gateway runs.

use std::sync::Arc;

use axum::extract::State;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Query};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::{Extension, Json};
use resonance_plant::{Code, Principal};
use schemars::JsonSchema;
use serde::Deserialize;

use super::refusal::Refusal;
use super::shared::Shared;
use crate::supervisor::Changes;
use crate::wish::Wanted;

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Asked {
    /// `preview` changes nothing and tells what `reload` would change; `rollback` goes back to the
    /// plan before the last change. Absent: `reload`.
    wanted: Option<Wanted>,
}

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        Query::from_request_parts(parts, state)
            .await
            .map(|Query(asked)| asked)
            .map_err(|error: QueryRejection| Refusal::invalid(error.body_text()))
    }
}

/// 409: the plan cannot be gone over to, and the present one stays.
pub(super) async fn reload(
    State(shared): State<Arc<Shared>>,
    Extension(principal): Extension<Principal>,
    asked: Asked,
) -> Result<Json<Changes>, Refusal> {
    let refused = |detail: String| Refusal::new(StatusCode::CONFLICT, Code::ControlRefused, detail);
    let Some(wishes) = &shared.context.wishes else {
        return Err(refused("this gateway was started without a plant file".into()));
    };
    // A client that goes away must not leave a change half told: it is made, and is an event.
    let (wishes, wanted) = (wishes.clone(), asked.wanted.unwrap_or_default());
    match tokio::spawn(async move { wishes.wish(wanted, principal).await }).await {
        Ok(Ok(Ok(changes))) => Ok(Json(changes)),
        Ok(Ok(Err(problem))) => {
            Err(Refusal::new(StatusCode::CONFLICT, Code::PlantReloadFailed, problem))
        }
        Ok(Err(unheard)) => Err(refused(unheard.to_string())),
        Err(_) => Err(refused("the change could not be asked for".into())),
    }
}
