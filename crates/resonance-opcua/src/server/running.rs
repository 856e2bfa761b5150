//! Starting and stopping a server.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opcua::crypto::SecurityPolicy;
use opcua::server::node_manager::ServerContext;
use opcua::server::{
    ANONYMOUS_USER_TOKEN_ID, Limits, ServerBuilder, ServerEndpoint, ServerHandle, SubscriptionCache,
};
use opcua::types::{BuildInfo, DateTime, MessageSecurityMode, VariableId, Variant};
use parking_lot::Mutex;
use resonance_plant::{Clock, LastValues};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::address_space::AddressSpace;
use super::admission::Admission;
use super::authentication::Gate;
use super::manager::PlantNodes;
use super::nodes::{DICTIONARIES, Nodes};
use super::options::ServerOptions;
use super::pki;
use super::reverse::{self, Reverse};
use super::sampling::Sampler;
use crate::structures;

/// How long connections may take to close when the server stops.
const STOP_WITHIN: Duration = Duration::from_secs(3);

/// An OPC UA server over last-value columns.
#[derive(Debug)]
pub struct UaServer;

/// A server that listens. Dropped, it stops without waiting for its clients.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    url: String,
    handle: Handle,
    sampler: Arc<Sampler>,
    server: Option<JoinHandle<Result<(), String>>>,
    ticking: JoinHandle<()>,
    /// What looks after admission and after reverse connections.
    minding: Vec<JoinHandle<()>>,
}

/// Samples at once, from the thread that writes the columns: for machines that report every
/// change rather than what stands at each tick of the clock.
#[derive(Clone)]
pub struct Sampling {
    sampler: Arc<Sampler>,
    subscriptions: Arc<SubscriptionCache>,
}

impl Sampling {
    /// Hands every change since the last sample to the subscriptions whose sampling interval is
    /// over. Takes time in proportion to the items watched; call it after each round of writes.
    pub fn sample_now(&self) {
        self.sampler.sample_now(&self.subscriptions);
    }
}

impl std::fmt::Debug for Sampling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sampling")
    }
}

/// Why a server cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address is taken or not ours.
    #[error("cannot listen on {address}: {error}; choose another address or stop what uses it")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// What the system says.
        error: std::io::Error,
    },
    /// The certificate folder cannot be used.
    #[error("certificates in {}: {problem}", folder.display())]
    Pki {
        /// Which folder.
        folder: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// There is no endpoint, or nobody could use one.
    #[error("{0}")]
    Configuration(String),
    /// The OPC UA stack failed.
    #[error("the OPC UA server failed: {0}")]
    Internal(String),
}

impl UaServer {
    /// Starts a server on the current runtime. It answers from `values` as they stand; only one
    /// thread may write them, and it need not know of the server.
    ///
    /// # Errors
    /// Where the options contradict each other, the address is taken, or certificates are
    /// missing and cannot be made.
    pub async fn start(
        options: ServerOptions,
        space: AddressSpace,
        values: Arc<LastValues>,
        clock: Arc<dyn Clock>,
    ) -> Result<Running, ServerError> {
        check(&options)?;
        let listen = options.listen;
        let listening = |error| ServerError::Listen { address: listen, error };
        let listener = TcpListener::bind(listen).await.map_err(listening)?;
        let address = listener.local_addr().map_err(listening)?;
        let url = format!("opc.tcp://{}:{}/", options.host, address.port());

        // Making a certificate and the standard address space takes a while.
        let (tick, builder_url) = (options.tick, url.clone());
        let (clients, reverse_watch) = (options.connect_to.clone(), options.reverse_watch.clone());
        let hello = reverse::reverse_hello(&options.application_uri, &url);
        let built = tokio::task::spawn_blocking(move || {
            build(options, address, &builder_url, space, values, clock)
        });
        let (server, handle, sampler, admission) =
            built.await.map_err(|error| ServerError::Internal(error.to_string()))??;

        let ticking =
            tokio::spawn(run_ticks(Arc::clone(&sampler), Arc::clone(handle.subscriptions()), tick));
        let server = Some(tokio::spawn(server.run_with(listener)));
        let reversed = clients
            .into_iter()
            .map(|client| Reverse::new(client, address, hello.clone(), reverse_watch.clone()))
            .map(|reverse| tokio::spawn(reverse.stand_ready()));
        let minding =
            admission.map(|admission| tokio::spawn(admission.watch())).into_iter().chain(reversed);
        let minding = minding.collect();
        Ok(Running { address, url, handle: Handle(handle), sampler, server, ticking, minding })
    }
}

impl Running {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// The endpoint URL clients use.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sessions at the moment.
    pub fn sessions(&self) -> u64 {
        let id = VariableId::Server_ServerDiagnostics_ServerDiagnosticsSummary_CurrentSessionCount;
        match self.handle.0.info().summary().get(id).and_then(|value| value.value) {
            Some(Variant::UInt32(sessions)) => u64::from(sessions),
            _ => 0,
        }
    }

    /// Values handed to subscriptions so far, initial values not counted.
    pub fn notifications(&self) -> u64 {
        self.sampler.notified()
    }

    /// For the thread that writes the columns, to have each change reported.
    pub fn sampling(&self) -> Sampling {
        Sampling {
            sampler: Arc::clone(&self.sampler),
            subscriptions: Arc::clone(self.handle.0.subscriptions()),
        }
    }

    /// Calls of services answered: reads, browses and so on; publishing not counted.
    pub fn requests(&self) -> u64 {
        self.sampler.nodes().requests.load(Ordering::Relaxed)
    }

    /// Stops: closes every connection and no longer listens.
    pub async fn stop(mut self) {
        self.end();
        if let Some(mut server) = self.server.take()
            && tokio::time::timeout(STOP_WITHIN, &mut server).await.is_err()
        {
            tracing::warn!(url = %self.url, "an OPC UA client kept its connection open at stop");
            server.abort();
        }
    }
}

impl Running {
    fn end(&self) {
        self.handle.0.cancel();
        self.ticking.abort();
        self.minding.iter().for_each(JoinHandle::abort);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

struct Handle(ServerHandle);

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerHandle")
    }
}

fn check(options: &ServerOptions) -> Result<(), ServerError> {
    let refuse = |problem: &str| Err(ServerError::Configuration(problem.to_owned()));
    if !options.security.none && options.security.encrypted.is_none() {
        return refuse("an OPC UA server needs a certificate folder, or SecurityPolicy None");
    }
    if !options.allow_anonymous && options.users.is_none() {
        return refuse(
            "an OPC UA server without users and without anonymous clients serves nobody",
        );
    }
    if options.tick.is_zero() {
        return refuse("the shortest sampling interval must be longer than zero");
    }
    Ok(())
}

/// How often the stack looks whether a publishing interval is over. It counts the next interval
/// from when it looked, so looking late makes every interval longer: with the sampling tick of
/// 10 ms, 100 ms became 110 ms whenever a timer fired a moment early.
const PUBLISHING_CHECK_MS: u64 = 2;

type Built = (opcua::server::Server, ServerHandle, Arc<Sampler>, Option<Admission>);

fn build(
    options: ServerOptions,
    address: SocketAddr,
    url: &str,
    space: AddressSpace,
    values: Arc<LastValues>,
    clock: Arc<dyn Clock>,
) -> Result<Built, ServerError> {
    let tick_ms = options.tick.as_secs_f64() * 1e3;
    let admission = admission(&options, &clock)?;
    let made: Arc<Mutex<Option<Arc<Sampler>>>> = Arc::default();
    let (hand_over, namespace_uri, period) =
        (Arc::clone(&made), options.namespace_uri.clone(), options.tick);
    let plant_nodes = move |context: ServerContext| {
        let mut types = context.type_tree.write();
        let namespaces = types.namespaces_mut();
        let namespace = namespaces.add_namespace(&namespace_uri);
        let dictionaries = DICTIONARIES.map(|uri| namespaces.add_namespace(uri));
        drop(types);
        let started = DateTime::now();
        let sampling_ms = tick_ms;
        let requests = AtomicU64::new(0);
        let nodes = Arc::new(Nodes {
            space,
            values,
            clock,
            namespace,
            dictionaries,
            sampling_ms,
            started,
            requests,
        });
        let sampler = Arc::new(Sampler::new(Arc::clone(&nodes), period));
        *hand_over.lock() = Some(Arc::clone(&sampler));
        PlantNodes { nodes, namespace_uri, sampler }
    };
    let product = &options.product;
    let mut builder = ServerBuilder::new()
        .application_name(&options.application_name)
        .application_uri(&options.application_uri)
        .product_uri(&product.uri)
        .build_info(BuildInfo {
            product_uri: product.uri.as_str().into(),
            manufacturer_name: product.manufacturer.as_str().into(),
            product_name: product.name.as_str().into(),
            software_version: product.version.as_str().into(),
            build_number: "".into(),
            build_date: DateTime::null(),
        })
        .host(&options.host)
        .port(address.port())
        .discovery_urls(vec![url.to_owned()])
        .limits(limits(tick_ms))
        .subscription_poll_interval_ms(PUBLISHING_CHECK_MS.min(tick_ms.ceil() as u64))
        .max_session_timeout_ms(600_000)
        .diagnostics_enabled(true)
        .create_sample_keypair(false)
        .with_authenticator(Arc::new(Gate {
            allow_anonymous: options.allow_anonymous,
            users: options.users.clone(),
        }))
        .with_node_manager(plant_nodes);
    builder = with_endpoints(builder, &options)?;
    let (server, handle) = builder.build().map_err(ServerError::Internal)?;
    // Requests carry structures before it is known who sends them.
    *handle.info().type_loaders.write() = structures::loaders();
    let sampler = made.lock().take();
    let sampler =
        sampler.ok_or_else(|| ServerError::Internal("the node manager was not made".to_owned()))?;
    Ok((server, handle, sampler, admission))
}

fn admission(
    options: &ServerOptions,
    clock: &Arc<dyn Clock>,
) -> Result<Option<Admission>, ServerError> {
    let Some(pki) = options.security.encrypted.as_ref().filter(|pki| !pki.trust_all_clients) else {
        return Ok(None);
    };
    let (folder, doorkeeper) = (pki.folder.clone(), pki.doorkeeper.clone());
    Admission::new(&folder, pki.allow_unknown_revocation, doorkeeper, Arc::clone(clock))
        .map(Some)
        .map_err(|error| ServerError::Pki { folder, problem: error.to_string() })
}

fn with_endpoints(
    mut builder: ServerBuilder,
    options: &ServerOptions,
) -> Result<ServerBuilder, ServerError> {
    use MessageSecurityMode::{Sign, SignAndEncrypt};
    // Which tokens an endpoint takes is the authenticator's to say; the stack wants a name.
    let tokens = [ANONYMOUS_USER_TOKEN_ID.to_owned()];
    if options.security.none {
        builder = builder.add_endpoint("none", ServerEndpoint::new_none("/", &tokens));
    }
    let Some(pki) = &options.security.encrypted else {
        // No endpoint needs certificates, but the stack would make folders for them wherever it
        // is told to: here it cannot.
        return Ok(builder.pki_dir("/dev/null"));
    };
    let identity = pki::prepare(
        &pki.folder,
        &options.application_name,
        &options.application_uri,
        &options.host,
    )?;
    let stack = match pki.trust_all_clients {
        true => pki.folder.clone(),
        false => Admission::stack(&pki.folder),
    };
    builder = builder
        .pki_dir(stack)
        .certificate_path(identity.certificate)
        .private_key_path(identity.key)
        .trust_client_certs(pki.trust_all_clients);
    let policies = [
        ("basic256sha256", SecurityPolicy::Basic256Sha256),
        ("aes128_sha256_rsaoaep", SecurityPolicy::Aes128Sha256RsaOaep),
        ("aes256_sha256_rsapss", SecurityPolicy::Aes256Sha256RsaPss),
    ];
    for (name, policy) in policies {
        for (suffix, mode) in [("sign", Sign), ("sign_encrypt", SignAndEncrypt)] {
            let endpoint = ServerEndpoint::new("/", policy, mode, &tokens);
            builder = builder.add_endpoint(format!("{name}_{suffix}"), endpoint);
        }
    }
    Ok(builder)
}

/// Bounds that let one client watch every point of a large plant, and no client everything.
fn limits(tick_ms: f64) -> Limits {
    let mut limits = Limits { max_sessions: 100, ..Limits::default() };
    limits.max_message_size = 16 * 1024 * 1024;
    limits.max_chunk_count = 512;
    limits.max_array_length = 1_000_000;
    limits.max_string_length = 1024 * 1024;
    limits.max_byte_string_length = 8 * 1024 * 1024;
    let subscriptions = &mut limits.subscriptions;
    subscriptions.max_subscriptions_per_session = 100;
    subscriptions.max_pending_publish_requests = 100;
    subscriptions.max_publish_requests_per_subscription = 20;
    subscriptions.min_sampling_interval_ms = tick_ms;
    subscriptions.min_publishing_interval_ms = tick_ms;
    subscriptions.max_monitored_items_per_sub = 100_000;
    subscriptions.max_monitored_item_queue_size = 1_000;
    subscriptions.max_queued_notifications = 100;
    subscriptions.max_notifications_per_publish = 20_000;
    let operations = &mut limits.operational;
    operations.max_nodes_per_read = 20_000;
    operations.max_nodes_per_browse = 5_000;
    operations.max_references_per_browse_node = 20_000;
    operations.max_monitored_items_per_call = 20_000;
    operations.max_nodes_per_translate_browse_paths_to_node_ids = 20_000;
    operations.max_nodes_per_register_nodes = 20_000;
    limits
}

async fn run_ticks(sampler: Arc<Sampler>, subscriptions: Arc<SubscriptionCache>, tick: Duration) {
    let mut ticks = tokio::time::interval(tick);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        sampler.tick(&subscriptions);
    }
}
