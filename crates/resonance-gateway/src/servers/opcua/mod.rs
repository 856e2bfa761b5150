//! OPC UA server over the last values: assets with their points, and deployments with their
//! state. It answers from the hub's own columns; deployments have a small board of their own.

mod board;
mod certificates;
mod clients;
mod space;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use resonance_opcua::server::{
    self as ua, AddressSpaceError, DEFAULT_TICK, Pki, Product, Security, ServerOptions, UaServer,
};
use resonance_plant::{Code, Event, EventSink, Value};
use tokio::task::JoinHandle;

use self::certificates::Door;
use super::{Context, RunningServer};
use crate::expiry::Expiry;
use crate::plan::OpcUaServerPlan;
use crate::status::ServerStatus;

/// The namespace of all nodes of a plant.
pub const NAMESPACE: &str = "urn:resonance:plant";

/// The OPC UA server of a gateway, listening.
#[derive(Debug)]
pub struct Running {
    server: ua::Running,
    refused: Arc<AtomicU64>,
    expiry: Arc<Expiry>,
    background: [JoinHandle<()>; 2],
}

/// Why the OPC UA server cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The plant file asks for what must not be.
    #[error("{key}: {problem}")]
    Configuration {
        /// Which key.
        key: &'static str,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A name in the plant cannot be a node.
    #[error("{0}")]
    Names(#[from] AddressSpaceError),
    /// The server itself.
    #[error("{0}")]
    Server(#[from] ua::ServerError),
}

/// Starts the server on the current runtime.
///
/// # Errors
/// Where the plan admits everyone from elsewhere, a name cannot be a node id, the address is
/// taken or the certificate folder cannot be used.
pub async fn start(plan: &OpcUaServerPlan, context: &Context) -> Result<Running, ServerError> {
    check(plan)?;
    let board = board::Board::new(&context.deployments.status(), &context.models);
    let space = space::address_space(&context.plant, &board)?;
    let refused = Arc::new(AtomicU64::new(0));
    let users = context.access.has_users().then(|| {
        let access = Arc::clone(&context.access);
        Arc::new(clients::Users::new(access, Arc::clone(&refused))) as Arc<dyn ua::Authenticator>
    });
    if users.is_none() && !plan.allow_anonymous {
        return Err(ServerError::Configuration {
            key: "allow_anonymous",
            problem: "there are no users, so nobody could connect; add [[users]], or set \
                      allow_anonymous = true on a loopback address"
                .to_owned(),
        });
    }
    let door = Arc::new(Door { context: context.clone(), refused: Arc::clone(&refused) });
    let expiry = Arc::new(Expiry::new("server/opcua".to_owned()));
    let options = ServerOptions {
        listen: plan.listen,
        connect_to: plan.connect_to.clone(),
        reverse_watch: Some(Arc::new(clients::Called(context.clone()))),
        host: plan.host.clone(),
        application_name: "Resonance".to_owned(),
        application_uri: format!("urn:{}:resonance:gateway", plan.host),
        namespace_uri: NAMESPACE.to_owned(),
        product: Product::default(),
        security: Security {
            none: plan.allow_none,
            encrypted: Some(Pki {
                folder: plan.pki.clone(),
                allow_unknown_revocation: plan.allow_unknown_revocation,
                doorkeeper: Some(door),
                trust_all_clients: false,
            }),
        },
        allow_anonymous: plan.allow_anonymous,
        users,
        tick: DEFAULT_TICK,
    };
    let values = Arc::clone(&context.values);
    let server = UaServer::start(options, space, values, Arc::clone(&context.clock)).await?;

    let listening = Event::new(
        context.clock.now(),
        Code::ServerListening,
        "server/opcua",
        format!("OPC UA at {}", server.url()),
    );
    context.events.record(listening.with("url", Value::Text(server.url().into())));
    let background = [
        tokio::spawn(board.follow(context.clone())),
        tokio::spawn(certificates::watch(plan.pki.clone(), context.clone(), Arc::clone(&expiry))),
    ];
    Ok(Running { server, refused, expiry, background })
}

impl Running {
    /// The endpoint URL clients use.
    pub fn url(&self) -> &str {
        self.server.url()
    }
}

impl RunningServer for Running {
    fn status(&self) -> ServerStatus {
        ServerStatus {
            kind: "opcua",
            url: self.server.url().to_owned(),
            clients: self.server.sessions(),
            requests: self.server.requests(),
            delivered: self.server.notifications(),
            refused: self.refused.load(Ordering::Relaxed),
            certificate_until: self.expiry.first(),
        }
    }

    /// What it serves is the same, in the same columns: where anything differs, it starts anew.
    fn adopt(&self, _: &Context) {}

    fn stop(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            for task in &self.background {
                task.abort();
            }
            self.server.stop().await;
        })
    }
}

fn check(plan: &OpcUaServerPlan) -> Result<(), ServerError> {
    let only_loopback = [
        ("allow_anonymous", plan.allow_anonymous, "clients without a user"),
        ("allow_none", plan.allow_none, "clients without encryption"),
    ];
    for (key, is_set, who) in only_loopback {
        let mut addresses = std::iter::once(&plan.listen).chain(&plan.connect_to);
        let elsewhere = addresses.find(|address| !address.ip().is_loopback());
        if let Some(address) = elsewhere.filter(|_| is_set) {
            return Err(ServerError::Configuration {
                key,
                problem: format!(
                    "{who} are admitted on loopback only, and {address} is not; set it to false \
                     or keep to 127.0.0.1"
                ),
            });
        }
    }
    Ok(())
}
