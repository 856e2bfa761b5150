//! `/api/v1/deployments`: their states, and commands to them.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use resonance_plant::{Code, Principal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::refusal::Refusal;
use super::router::In;
use super::shared::Shared;
use crate::access::shown;
use crate::deployments::{Command, CommandRefused};
use crate::status::DeploymentStatus;

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct List {
    deployments: Vec<DeploymentStatus>,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct DeploymentPath {
    /// The name in the plant file.
    deployment: String,
}

pub(super) async fn list(State(shared): State<Arc<Shared>>) -> Json<List> {
    Json(List { deployments: shared.context.deployments.status() })
}

pub(super) async fn suspend(
    State(shared): State<Arc<Shared>>,
    Extension(principal): Extension<Principal>,
    In(path): In<DeploymentPath>,
) -> Result<StatusCode, Refusal> {
    command(&shared, &path.deployment, Command::Suspend, principal)
}

pub(super) async fn resume(
    State(shared): State<Arc<Shared>>,
    Extension(principal): Extension<Principal>,
    In(path): In<DeploymentPath>,
) -> Result<StatusCode, Refusal> {
    command(&shared, &path.deployment, Command::Resume, principal)
}

/// 204: the command was taken.
fn command(
    shared: &Shared,
    deployment: &str,
    command: Command,
    principal: Principal,
) -> Result<StatusCode, Refusal> {
    match shared.context.deployments.command(deployment, command, principal) {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(CommandRefused::Unknown(_)) => {
            Err(Refusal::unknown(format!("there is no deployment {:?}", shown(deployment))))
        }
        Err(refused @ CommandRefused::State(_)) => {
            Err(Refusal::new(StatusCode::CONFLICT, Code::ControlRefused, refused.to_string()))
        }
    }
}
