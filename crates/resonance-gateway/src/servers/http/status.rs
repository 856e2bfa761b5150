//! `GET /api/v1/status`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::shared::Shared;
use crate::status::Status;

pub(super) async fn status(State(shared): State<Arc<Shared>>) -> Json<Status> {
    Json((shared.context.status)())
}
