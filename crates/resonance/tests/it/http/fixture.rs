//! A gateway's view with a server on it, but no machine: one asset, three models, one deployment.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use resonance_gateway::access::{Access, hash_password};
use resonance_gateway::deployments::{Command, CommandRefused, Deployments};
use resonance_gateway::events::EventLog;
use resonance_gateway::models::{ModelState, Models, Repository, ServedModel};
use resonance_gateway::plan::{HttpServerPlan, UserPlan};
use resonance_gateway::results::Results;
use resonance_gateway::servers::Context;
use resonance_gateway::servers::http::{Running, ServerError};
use resonance_gateway::servers::{grpc, http};
use resonance_gateway::status::{
    Connection, DeploymentState, DeploymentStatus, EventsStatus, HubStatus, LatencySummary,
    SinkStatus, SourceStatus, SpoolStatus, Status,
};
use resonance_inference::package::{GoldenVector, VerifiedModel};
use resonance_inference::{Engine, EngineError, Limits, Manifest, Program};
use resonance_plant::{
    Asset, AssetId, Code, DataType, Event, Interpolation, LastValues, ManualClock, ModelUsed,
    Plant, Point, PointIndex, Principal, Qualifier, Role, Timestamp, Unit, Value,
};
use resonance_proof::{PackageLimits, verify};
use tokio::runtime::Runtime;

use super::client::Client;
use super::programs::{Barrier, held, types, wear};

/// When it is, for the whole of a test: 2026-11-21T08:00:10Z.
pub(crate) const NOW: &str = "2026-11-21T08:00:10Z";

pub(crate) fn now() -> Timestamp {
    Timestamp::parse_rfc3339(NOW).unwrap()
}

/// A running server and what it looks at.
pub(crate) struct Fixture {
    pub(crate) addr: SocketAddr,
    pub(crate) events: Arc<EventLog>,
    pub(crate) results: Results,
    pub(crate) models: Arc<Models>,
    pub(crate) barrier: Arc<Barrier>,
    pub(crate) deployments: Arc<OneDeployment>,
    running: Option<Running>,
    runtime: Runtime,
}

/// The plan of a server for anonymous users who may operate, with small bounds.
pub(crate) fn plan() -> HttpServerPlan {
    HttpServerPlan {
        listen: "127.0.0.1:0".parse().unwrap(),
        tls: None,
        anonymous: Some(Role::Operate),
        body_bytes_max: 1 << 20,
        request_timeout: Duration::from_secs(10),
        requests_max: 8,
    }
}

/// The plan of a server for users only.
pub(crate) fn plan_for_users() -> HttpServerPlan {
    HttpServerPlan { anonymous: None, ..plan() }
}

/// Which server.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Http,
    Grpc,
}

impl Fixture {
    pub(crate) fn start(plan: &HttpServerPlan) -> Self {
        Self::try_start(plan).unwrap()
    }

    pub(crate) fn try_start(plan: &HttpServerPlan) -> Result<Self, ServerError> {
        Self::of(Kind::Http, plan)
    }

    /// The same with a gRPC server.
    pub(crate) fn start_grpc(plan: &HttpServerPlan) -> Self {
        Self::of(Kind::Grpc, plan).unwrap()
    }

    pub(crate) fn of(kind: Kind, plan: &HttpServerPlan) -> Result<Self, ServerError> {
        let barrier = Arc::new(Barrier::default());
        let models = [
            served("wear", wear()),
            served("types", types()),
            served("held", held(Arc::clone(&barrier))),
        ];
        Self::with_models(kind, plan, models, barrier)
    }

    pub(crate) fn with_models(
        kind: Kind,
        plan: &HttpServerPlan,
        models: impl IntoIterator<Item = Arc<ServedModel>>,
        barrier: Arc<Barrier>,
    ) -> Result<Self, ServerError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let events = Arc::new(EventLog::in_memory());
        let results = Results::new(None);
        let models = Arc::new(Models::new(models).commanded(repository(&events)));
        let deployments = Arc::new(OneDeployment::default());
        let context = context(&events, &results, &models, &deployments);
        let running = runtime.block_on(async {
            match kind {
                Kind::Http => http::start(plan, context).await,
                Kind::Grpc => grpc::start(plan, context).await,
            }
        })?;
        Ok(Self {
            addr: running.addr,
            events,
            results,
            models,
            barrier,
            deployments,
            running: Some(running),
            runtime,
        })
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.addr)
    }

    pub(crate) fn status(&self) -> resonance_gateway::status::ServerStatus {
        self.running.as_ref().unwrap().status()
    }

    /// Stops the server and says how long it took.
    pub(crate) fn stop(&mut self) -> Duration {
        let began = Instant::now();
        self.runtime.block_on(self.running.take().unwrap().stop());
        began.elapsed()
    }

    pub(crate) fn set_state(&self, model: &str, state: ModelState) {
        self.models.find(model, None).unwrap().set_state(state);
    }

    /// Waits until this many inferences of `held` are under way.
    pub(crate) fn wait_for_held(&self, inferences: u64) {
        wait_until(|| self.barrier.arrived.load(Ordering::SeqCst) >= inferences);
    }

    /// The last event with this code, once it is there.
    pub(crate) fn event(&self, code: Code) -> Arc<Event> {
        let mut found = None;
        wait_until(|| {
            found = self.events.recent(1_000).into_iter().rev().find(|event| event.code == code);
            found.is_some()
        });
        found.unwrap()
    }
}

/// A session that hangs must not hang the test's end.
impl Drop for Fixture {
    fn drop(&mut self) {
        self.barrier.open();
    }
}

/// Waits for another thread, within bounds.
pub(crate) fn wait_until(mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn context(
    events: &Arc<EventLog>,
    results: &Results,
    models: &Arc<Models>,
    deployments: &Arc<OneDeployment>,
) -> Context {
    let clock = Arc::new(ManualClock::at(now()));
    let user = |name: &str, role, password: &str| UserPlan {
        name: name.into(),
        role,
        password_hash: Some(hash_password(password.as_bytes()).unwrap().into()),
        certificate: None,
    };
    let users = [
        user("vera", Role::View, "see"),
        user("otto", Role::Operate, "do"),
        user("enno", Role::Engineer, "change"),
    ];
    let access = Access::new(&users, clock.clone(), events.clone()).unwrap();
    let plant = Arc::new(plant());
    let values = Arc::new(LastValues::new(plant.points.len()));
    let measured = now().minus(Duration::from_millis(2_500));
    let good = resonance_plant::Status::GOOD;
    values.write_value(PointIndex(0), &Value::Float(41.5), measured, measured, good);
    values.write_value(PointIndex(1), &Value::Int(1), measured, measured, good);
    let watched = Arc::clone(deployments);
    Context {
        plant,
        values,
        models: Arc::clone(models),
        deployments: deployments.clone(),
        results: results.clone(),
        events: Arc::clone(events),
        clock,
        access: Arc::new(access),
        wishes: None,
        status: Arc::new(move || Status {
            at: now(),
            started_at: now(),
            recording: None,
            traces: None,
            version: "0.0.0",
            sources: vec![source()],
            hub: HubStatus { observations: 7, ..HubStatus::default() },
            deployments: watched.status(),
            sinks: vec![sink()],
            servers: Vec::new(),
            spool: SpoolStatus::default(),
            events: EventsStatus::default(),
        }),
    }
}

/// A source whose name a text format must escape.
fn source() -> SourceStatus {
    SourceStatus {
        id: "press \"7\" \\ west".into(),
        connection: Connection::Connected,
        points: 3,
        observations: 1 << 53,
        gaps: 2,
        backfilled: 0,
        sequence_gaps: 0,
        overflows: 0,
        refused: 0,
        unfiltered: 0,
        times_replaced: 0,
        reconnects: 1,
        clock_offset_us: -1_500,
        certificate_until: None,
        last_message: None,
    }
}

fn sink() -> SinkStatus {
    SinkStatus {
        id: "mes".into(),
        connection: Connection::Connecting,
        delivered: 5,
        failed: 4,
        waiting: 3,
        dropped: 0,
        refused: 2,
        left_out: 1,
    }
}

/// Takes commands to the models; `wear` is used by the deployment of that name.
fn repository(events: &Arc<EventLog>) -> Repository {
    let users = BTreeMap::from([(Arc::from("wear"), vec![Arc::from("wear")])]);
    let clock = Arc::new(ManualClock::at(now()));
    Repository::new(Ok(Arc::new(Programs)), Limits::default(), users, clock, events.clone())
}

/// Loads `types` and `wear`'s likes by the name of `turned`, and nothing else.
struct Programs;

impl Engine for Programs {
    fn identity(&self) -> &str {
        "none"
    }

    fn load(&self, model: &VerifiedModel, _: &Limits) -> Result<Box<dyn Program>, EngineError> {
        match &*model.manifest.name {
            "types" => Ok(types()),
            "turned" => Ok(wear()),
            other => Err(EngineError::Failed(format!("{other} is not for me"))),
        }
    }
}

fn plant() -> Plant {
    let point = |name: &str, data_type, unit: Option<&str>, labels: &[&str]| Point {
        asset: 0,
        name: name.into(),
        data_type,
        quantity: None,
        unit: unit.and_then(Unit::from_code),
        range: None,
        interpolation: Interpolation::default(),
        semantic_id: None,
        qualifier: Qualifier::default(),
        labels: labels.iter().map(|label| (*label).into()).collect(),
        description: "".into(),
    };
    let asset = Asset {
        id: AssetId("mill".into()),
        equipment_id: "acme/north/hall-1/line-2/mill".into(),
        physical_asset_id: Some("SN-7".into()),
        class: None,
        description: "".into(),
    };
    Plant {
        assets: vec![asset],
        points: vec![
            point("temperature", DataType::Float64, Some("CEL"), &[]),
            point("mode", DataType::Int32, None, &["manual", "automatic"]),
            point("load", DataType::Float64, Some("P1"), &[]),
        ],
    }
}

/// A served model of this program.
pub(crate) fn served(name: &str, program: Box<dyn Program>) -> Arc<ServedModel> {
    served_with(name, program, Arc::new([]))
}

/// The same of a package with golden vectors, which are not looked at here. Its outputs are those
/// of `wear`.
pub(crate) fn served_with(
    name: &str,
    program: Box<dyn Program>,
    golden: Arc<[GoldenVector]>,
) -> Arc<ServedModel> {
    let folder = tempfile::tempdir().unwrap();
    let manifest: Manifest = toml::from_str(&format!(
        "format = 1\nname = \"{name}\"\nversion = \"3\"\ncategory = \"soft_sensor\"\n\
         model = \"model.onnx\"\ninput = []\n\
         output = [{{ name = \"wear\", element = \"FP32\", shape = [-1] }}]\n\
         [training]\ndata = \"none\"\n[files]\n"
    ))
    .unwrap();
    let limits = PackageLimits::default();
    let files =
        verify(folder.path(), ("model.toml", Arc::from([])), &BTreeMap::new(), &limits).unwrap();
    let used = ModelUsed {
        name: name.into(),
        version: "3".into(),
        digest: Arc::clone(files.digest()),
        engine: "none".into(),
        trained_on: "none".into(),
        fallback: None,
    };
    let model = VerifiedModel { manifest: Arc::new(manifest), files, golden };
    Arc::new(ServedModel::new(Arc::new(model), Arc::new(used), program))
}

/// A deployment `wear` that keeps the commands it was given; suspended, it cannot be again.
#[derive(Debug, Default)]
pub(crate) struct OneDeployment {
    pub(crate) commands: Mutex<Vec<(Command, Principal)>>,
}

impl Deployments for OneDeployment {
    fn status(&self) -> Vec<DeploymentStatus> {
        vec![DeploymentStatus {
            id: "wear".into(),
            asset: "mill".into(),
            outputs: Arc::from([]),
            model: "wear".into(),
            model_version: "3".into(),
            trained_on: "none".into(),
            state: DeploymentState::Active,
            reason: String::new(),
            triggers: 1,
            inferences: 1,
            results: 1,
            overruns: 0,
            failures: 0,
            over_budget: 0,
            latency: LatencySummary { p50_us: 250, p99_us: 1_000, max_us: 2_000_000 },
            inference: LatencySummary::default(),
        }]
    }

    fn command(
        &self,
        deployment: &str,
        command: Command,
        principal: Principal,
    ) -> Result<(), CommandRefused> {
        if deployment != "wear" {
            return Err(CommandRefused::Unknown(deployment.into()));
        }
        let mut commands = self.commands.lock();
        if commands.last().is_some_and(|(last, _)| *last == command) {
            return Err(CommandRefused::State("suspended already".into()));
        }
        commands.push((command, principal));
        Ok(())
    }
}
