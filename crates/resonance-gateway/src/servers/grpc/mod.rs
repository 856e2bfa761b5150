//! gRPC: the Open Inference Protocol v2 with the model repository and statistics extensions.
//!
//! Connections, users, bounds and refusals are those of [`super::http`]; here is only what gRPC
//! says in its own way.

mod answer;
mod calls;
mod deadline;
mod metadata;
mod status;

use super::Context;
use super::http::{Running, ServerError, listener};
use crate::plan::HttpServerPlan;

pub(in crate::servers) use answer::answer;
pub(in crate::servers) use calls::Calls;

/// Starts the server on this runtime.
///
/// # Errors
/// Where the plan is not safe, the certificate cannot be used or the address not listened on; an
/// event says so too.
pub async fn start(plan: &HttpServerPlan, context: Context) -> Result<Running, ServerError> {
    listener::start_surface(super::http::shared::Surface::Grpc, plan, context).await
}
