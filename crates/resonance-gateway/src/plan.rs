//! A plant file after every name in it was resolved: what the gateway runs.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use resonance_inference::package::VerifiedModel;
use resonance_plant::{Plant, PointIndex, Role};

use crate::recording::RecordingPlan;
use crate::remote::RemoteConfig;
use crate::sinks::http::HttpConfig;
use crate::sinks::mqtt::MqttConfig;
use crate::sinks::payload::Format;
use crate::sources::SourcePoint;
use crate::sources::image::ImageConfig;
use crate::sources::mtconnect::MtconnectConfig;
use crate::sources::opcua::OpcUaConfig;
use crate::sources::opcua::config::TimeFrom;
use crate::sources::replay::ReplayConfig;
use crate::sources::replay::config::ReplayTime;
use crate::spool::When;
use crate::traces::TracesPlan;

/// Everything the gateway needs to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Assets and points; outputs of deployments come after the points of sources.
    pub plant: Arc<Plant>,
    /// What is read.
    pub sources: Vec<SourcePlan>,
    /// What is judged.
    pub deployments: Vec<DeploymentPlan>,
    /// Packages that this process runs and serves over the inference API, whether deployed or not,
    /// by name.
    pub models: Vec<Arc<VerifiedModel>>,
    /// Where results are pushed.
    pub sinks: Vec<SinkPlan>,
    /// Who may read and ask.
    pub servers: ServersPlan,
    /// Who is known.
    pub users: Vec<UserPlan>,
    /// Where the stages of results' ways are told; absent: nowhere.
    pub traces: Option<TracesPlan>,
    /// Where results wait.
    pub spool: SpoolPlan,
    /// Where events are written as JSON lines; absent: only kept in memory.
    pub events_file: Option<PathBuf>,
    /// Where windows and observations are kept; absent: nowhere.
    pub recording: Option<RecordingPlan>,
}

impl Plan {
    /// The models of deployments that this process runs, those fallen back to included.
    pub fn deployed_here(&self) -> impl Iterator<Item = &Arc<VerifiedModel>> {
        self.deployments.iter().flat_map(|deployment| {
            let other = match &deployment.fallback {
                Fallback::FallBackTo(model) => Some(model),
                Fallback::Fail | Fallback::HoldLast => None,
            };
            let own = Some(&deployment.model).filter(|_| deployment.remote.is_none());
            own.into_iter().chain(other)
        })
    }

    /// Every model that this process runs, by name.
    pub fn local_models(&self) -> BTreeMap<Arc<str>, Arc<VerifiedModel>> {
        let all = self.models.iter().chain(self.deployed_here());
        all.map(|model| (Arc::clone(&model.manifest.name), Arc::clone(model))).collect()
    }
}

/// A source and its points.
#[derive(Clone, Debug)]
pub struct SourcePlan {
    /// The name in the plant file.
    pub id: Arc<str>,
    /// What kind, and how.
    pub kind: SourceKind,
    /// Its points.
    pub points: Arc<[SourcePoint]>,
}

/// Every kind of source.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceKind {
    /// Images of parts.
    Image(ImageConfig),
    /// An MTConnect agent.
    Mtconnect(MtconnectConfig),
    /// An OPC UA server.
    Opcua(OpcUaConfig),
    /// A recording.
    Replay(ReplayConfig),
}

impl SourceKind {
    /// Whether observations carry the machine's own time rather than that of their receipt.
    pub fn keeps_machine_time(&self) -> bool {
        match self {
            Self::Image(_) => true,
            Self::Mtconnect(config) => config.time != TimeFrom::Receive,
            Self::Opcua(config) => config.time != TimeFrom::Receive,
            Self::Replay(config) => config.time == ReplayTime::Recorded,
        }
    }
}

/// A deployment: a model bound to points.
#[derive(Clone, Debug)]
pub struct DeploymentPlan {
    /// The name in the plant file.
    pub id: Arc<str>,
    /// Which asset its results are about: the place in the plant.
    pub asset: usize,
    /// The model.
    pub model: Arc<VerifiedModel>,
    /// The server that runs it; absent: this process.
    pub remote: Option<RemoteConfig>,
    /// For every feature of every input, in order: where its samples come from.
    pub bindings: Vec<Binding>,
    /// For every output element of every output, in order: the point that carries it.
    pub outputs: Vec<PointIndex>,
    /// When to infer.
    pub trigger: Trigger,
    /// The oldest an input may be, for points that are reported cyclically. `None`: freshness
    /// follows the session alone.
    pub max_age: Option<Duration>,
    /// What happens when the model cannot answer.
    pub fallback: Fallback,
    /// When results are given at all.
    pub gate: Option<Gate>,
    /// The point that names the part which a result is about.
    pub part: Option<PointIndex>,
}

/// One feature's origin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Binding {
    /// Which point.
    pub point: PointIndex,
    /// From the point's unit to the model's.
    pub conversion: resonance_plant::unit::Conversion,
    /// The oldest this input may be, where the point says so itself.
    pub max_age: Option<Duration>,
}

/// When a deployment infers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trigger {
    /// Whenever an input was observed, at most once a block and at most this often.
    Change {
        /// The least time between two inferences.
        at_most_every: Option<Duration>,
    },
    /// At a fixed period.
    Every(Duration),
    /// Whenever this point is observed to change its value.
    Event(PointIndex),
}

/// What a deployment does when its model cannot answer.
#[derive(Clone, Debug)]
pub enum Fallback {
    /// No result; the deployment is Faulted until the model answers again.
    Fail,
    /// The last answer again, with status UncertainLastUsableValue.
    HoldLast,
    /// Another model with the same features and outputs, or the same model where a remote server
    /// runs the deployment's own; this process runs it.
    FallBackTo(Arc<VerifiedModel>),
}

/// The condition under which results are given: a point has one of some values.
#[derive(Clone, Debug, PartialEq)]
pub struct Gate {
    /// Which point.
    pub point: PointIndex,
    /// When it is open.
    pub condition: GateCondition,
    /// How long the condition must have held: the machine warms up.
    pub settle: Duration,
}

/// When a gate is open.
#[derive(Clone, Debug, PartialEq)]
pub enum GateCondition {
    /// The number is within these bounds, both included.
    Within(f64, f64),
    /// The value's text, label or number is one of these.
    OneOf(Vec<Arc<str>>),
}

/// A sink.
#[derive(Clone, Debug)]
pub struct SinkPlan {
    /// The name in the plant file.
    pub id: Arc<str>,
    /// What kind, and how.
    pub kind: SinkKind,
}

/// Every kind of sink.
#[derive(Clone, Debug, PartialEq)]
pub enum SinkKind {
    /// A system that takes results over HTTP.
    Http(HttpConfig),
    /// An MQTT 5 broker.
    Mqtt(MqttConfig),
}

impl SinkKind {
    /// In which form it sends them.
    pub fn format(&self) -> Format {
        match self {
            Self::Http(config) => config.format,
            Self::Mqtt(config) => config.format,
        }
    }

    /// Which results it sends; `None`: every one.
    pub fn when(&self) -> Option<&When> {
        match self {
            Self::Http(config) => config.when.as_ref(),
            Self::Mqtt(config) => config.when.as_ref(),
        }
    }
}

/// The servers; each absent unless configured.
#[derive(Clone, Debug, Default)]
pub struct ServersPlan {
    /// OPC UA.
    pub opcua: Option<OpcUaServerPlan>,
    /// HTTP: inference API, server-sent events, status.
    pub http: Option<HttpServerPlan>,
    /// gRPC: inference API. It stands on HTTP/2, and everything said of HTTP holds for it.
    pub grpc: Option<HttpServerPlan>,
}

/// The OPC UA server.
#[derive(Clone, Debug, PartialEq)]
pub struct OpcUaServerPlan {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Clients to which it makes the connections (reverse connect).
    pub connect_to: Vec<SocketAddr>,
    /// The host name clients use, in endpoint URLs and in the certificate.
    pub host: String,
    /// Admits clients without a user, as `view`. Refused unless `listen` and `connect_to` are loopback.
    pub allow_anonymous: bool,
    /// Also offers SecurityPolicy None. Refused unless `listen` and `connect_to` are loopback.
    pub allow_none: bool,
    /// The folder of the server's own certificate and of the client certificates it trusts.
    pub pki: PathBuf,
    /// Admits clients of trusted authorities of which no valid revocation list is at hand.
    pub allow_unknown_revocation: bool,
}

/// The HTTP server, or the gRPC server.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpServerPlan {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Certificate chain and key, PEM. Absent only on loopback.
    pub tls: Option<TlsPlan>,
    /// Admits requests without a user, with this role. Refused unless `listen` is loopback.
    pub anonymous: Option<Role>,
    /// The largest request body, or message of a call, bytes.
    pub body_bytes_max: usize,
    /// A request's body must have arrived after this time.
    pub request_timeout: Duration,
    /// Requests under way at once.
    pub requests_max: usize,
}

/// A server's certificate and key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsPlan {
    /// PEM file with the certificate chain.
    pub certificate: PathBuf,
    /// PEM file with the key.
    pub key: PathBuf,
}

/// A user.
#[derive(Clone, PartialEq, Eq)]
pub struct UserPlan {
    /// The name.
    pub name: Arc<str>,
    /// What the user may do.
    pub role: Role,
    /// The password's Argon2id hash, PHC string format.
    pub password_hash: Option<Arc<str>>,
    /// The certificate (DER) that proves who it is over OPC UA.
    pub certificate: Option<Arc<[u8]>>,
}

impl std::fmt::Debug for UserPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "UserPlan({}, {:?})", self.name, self.role)
    }
}

/// The result spool.
#[derive(Clone, Debug, PartialEq)]
pub struct SpoolPlan {
    /// The SQLite file.
    pub path: PathBuf,
    /// The most it may hold, bytes of results.
    pub bytes_max: u64,
    /// The longest a result is kept for a sink that is behind.
    pub age_max: Duration,
    /// What gives way when it is full.
    pub drop: DropPolicy,
}

/// What gives way when the spool is full.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum DropPolicy {
    /// The oldest results; the newest matter most.
    #[default]
    Oldest,
    /// The newest results; what is kept has no holes.
    Newest,
}
