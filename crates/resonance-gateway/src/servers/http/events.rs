//! `GET /api/v1/events`: the last events.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use resonance_plant::Event;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::refusal::Refusal;
use super::shared::Shared;

/// Events given where the request does not say how many.
const LIMIT_DEFAULT: usize = 100;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    /// The most events to give; the log itself keeps a bounded number.
    limit: Option<usize>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Recent {
    /// Oldest first.
    events: Vec<Arc<Event>>,
}

pub(super) async fn recent(
    State(shared): State<Arc<Shared>>,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Json<Recent>, Refusal> {
    let Query(filter) = filter.map_err(|error| Refusal::invalid(error.body_text()))?;
    let limit = filter.limit.unwrap_or(LIMIT_DEFAULT);
    Ok(Json(Recent { events: shared.context.events.recent(limit) }))
}
