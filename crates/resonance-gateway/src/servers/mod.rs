//! What other systems read: OPC UA, HTTP and gRPC.

pub mod grpc;
pub mod http;
pub mod opcua;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use parking_lot::Mutex;
use resonance_plant::{Clock, EventSink, LastValues, Plant};

use crate::access::Access;
use crate::deployments::Deployments;
use crate::events::EventLog;
use crate::models::Models;
use crate::plan::ServersPlan;
use crate::results::Results;
use crate::status::{ServerStatus, Status};

/// What every server sees of the gateway.
#[derive(Clone)]
pub struct Context {
    /// Assets and points.
    pub plant: Arc<Plant>,
    /// The last value of every point.
    pub values: Arc<LastValues>,
    /// The models.
    pub models: Arc<Models>,
    /// The deployments.
    pub deployments: Arc<dyn Deployments>,
    /// Results, live.
    pub results: Results,
    /// Events, recent and live.
    pub events: Arc<EventLog>,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Who may.
    pub access: Arc<Access>,
    /// The whole gateway at this moment.
    pub status: Arc<dyn Fn() -> Status + Send + Sync>,
}

impl Context {
    /// Events as their recorders see them.
    pub fn event_sink(&self) -> Arc<dyn EventSink> {
        Arc::clone(&self.events) as Arc<dyn EventSink>
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Context")
    }
}

/// A server that runs.
pub trait RunningServer: Send + Sync {
    /// The server at this moment.
    fn status(&self) -> ServerStatus;

    /// Ends it: no new requests, a bounded time for those under way.
    fn stop(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// Every server that runs.
#[derive(Default)]
pub struct RunningServers(Mutex<Vec<Box<dyn RunningServer>>>);

impl std::fmt::Debug for RunningServers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RunningServers({})", self.0.lock().len())
    }
}

impl RunningServers {
    /// Takes charge of a server.
    pub fn add(&self, server: Box<dyn RunningServer>) {
        self.0.lock().push(server);
    }

    /// Each server at this moment.
    pub fn status(&self) -> Vec<ServerStatus> {
        self.0.lock().iter().map(|server| server.status()).collect()
    }

    /// Ends all, the last started first.
    pub async fn stop(&self) {
        loop {
            let last = self.0.lock().pop();
            let Some(server) = last else { return };
            server.stop().await;
        }
    }
}

/// Why a server cannot run.
#[derive(Debug, thiserror::Error)]
#[error("the {kind} server cannot run: {problem}")]
pub struct ServerError {
    /// Which kind.
    pub kind: &'static str,
    /// What is wrong, and what to do.
    pub problem: String,
}

/// Starts the servers of a plan.
///
/// # Errors
/// Where one cannot; those already started run on.
pub async fn start(
    plan: &ServersPlan,
    context: &Context,
    running: &RunningServers,
) -> Result<(), ServerError> {
    if let Some(plan) = &plan.opcua {
        let server = opcua::start(plan, context).await;
        let server =
            server.map_err(|error| ServerError { kind: "opcua", problem: error.to_string() })?;
        running.add(Box::new(server));
    }
    if let Some(plan) = &plan.http {
        let server = http::start(plan, context.clone()).await;
        let server =
            server.map_err(|error| ServerError { kind: "http", problem: error.to_string() })?;
        running.add(Box::new(server));
    }
    if let Some(plan) = &plan.grpc {
        let server = grpc::start(plan, context.clone()).await;
        let server =
            server.map_err(|error| ServerError { kind: "grpc", problem: error.to_string() })?;
        running.add(Box::new(server));
    }
    Ok(())
}
