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
use crate::wish::Wishes;

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
    /// Where wishes for another plan go; absent where nobody reads plant files.
    pub wishes: Option<Wishes>,
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

    /// Goes on for the gateway as it is now. Requests under way end with what they began with.
    fn adopt(&self, context: &Context);

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

    /// Has a server go on for the gateway as it is now.
    fn adopt(&self, kind: &str, context: &Context) {
        let servers = self.0.lock();
        servers.iter().filter(|server| server.status().kind == kind).for_each(|server| {
            server.adopt(context);
        });
    }

    /// Gives up charge of a server.
    fn take(&self, kind: &str) -> Option<Box<dyn RunningServer>> {
        let mut servers = self.0.lock();
        let at = servers.iter().position(|server| server.status().kind == kind)?;
        Some(servers.remove(at))
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
    for kind in KINDS {
        start_one(kind, plan, context, running).await?;
    }
    Ok(())
}

/// Every kind of server, in the order of their start.
const KINDS: [&str; 3] = ["opcua", "http", "grpc"];

/// Starts the server of a kind, if the plan has one.
async fn start_one(
    kind: &'static str,
    plan: &ServersPlan,
    context: &Context,
    running: &RunningServers,
) -> Result<(), ServerError> {
    let failed = |problem: String| ServerError { kind, problem };
    match kind {
        "opcua" => {
            let Some(plan) = &plan.opcua else { return Ok(()) };
            let server = opcua::start(plan, context).await;
            running.add(Box::new(server.map_err(|error| failed(error.to_string()))?));
        }
        "http" => {
            let Some(plan) = &plan.http else { return Ok(()) };
            let server = http::start(plan, context.clone()).await;
            running.add(Box::new(server.map_err(|error| failed(error.to_string()))?));
        }
        _ => {
            let Some(plan) = &plan.grpc else { return Ok(()) };
            let server = grpc::start(plan, context.clone()).await;
            running.add(Box::new(server.map_err(|error| failed(error.to_string()))?));
        }
    }
    Ok(())
}

/// Takes the servers to another plan: those that differ in it start anew, the others go on.
///
/// # Errors
/// Where one cannot start; the others were taken there.
pub async fn follow(
    plan: &ServersPlan,
    differs: impl Fn(&str) -> bool,
    context: &Context,
    running: &RunningServers,
) -> Result<(), ServerError> {
    let mut failed = Ok(());
    for kind in KINDS {
        if !differs(kind) {
            running.adopt(kind, context);
            continue;
        }
        if let Some(server) = running.take(kind) {
            server.stop().await;
        }
        if let Err(error) = start_one(kind, plan, context, running).await {
            failed = Err(error);
        }
    }
    failed
}
