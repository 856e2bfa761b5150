//! From a plan to a running gateway.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::thread::JoinHandle;

use resonance_inference::package::VerifiedModel;
use resonance_inference::package::manifest::WindowSpec;
use resonance_inference::{Engine, EngineError, Limits};
use resonance_plant::{Clock, Code, Event, EventSink, LastValues, PointIndex, Status, Value};
use tokio::sync::watch;

use super::remotes::Remotes;
use super::running::{Gateway, SinkFace, SourceFace};
use crate::access::{Access, AccessError};
use crate::deployments::deployment::{Deployment, window_of};
use crate::deployments::fleet::{Fleet, Member};
use crate::deployments::lane::Lane;
use crate::deployments::shared::{Face, Faces};
use crate::events::EventLog;
use crate::hub::core::{Hub, HubCounters, Inlet, Interest};
use crate::hub::ingest::{BlockSender, Waker, channel};
use crate::hub::run::{self, Panicked, Told};
use crate::models::{ModelState, Models, Repository, ServedModel, unserved};
use crate::plan::{DeploymentPlan, Fallback, Plan, SinkPlan, SourcePlan, Trigger};
use crate::recording::{Recording, RecordingError};
use crate::results::Results;
use crate::servers;
use crate::sinks;
use crate::sources::{self, Link};
use crate::spool::{Spool, SpoolError};
use crate::status::{DeploymentState, SinkCounters, SourceCounters};
use crate::traces::Tracer;
use crate::wish::Wishes;

/// What a gateway is started with besides its plan.
#[derive(Clone)]
pub struct Options {
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// What runs models, or why nothing does.
    pub engine: Result<Arc<dyn Engine>, EngineError>,
    /// Bounds on models.
    pub limits: Limits,
    /// Where wishes for another plan go; absent where nobody reads plant files.
    pub wishes: Option<Wishes>,
}

/// Why a gateway does not start. What can go wrong with one source, model or sink alone is an
/// event, and the rest runs.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The events file cannot be written.
    #[error("cannot write events to {path}: {error}")]
    Events {
        /// The file.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// The spool cannot be opened.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The recording cannot be opened.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// The users cannot be admitted.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// A server cannot listen.
    #[error(transparent)]
    Server(#[from] servers::ServerError),
    /// The system gives no thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// Starts a gateway: spool, models, hub, servers, sinks, then sources.
///
/// # Errors
/// Where events or spool cannot be written, or a server cannot listen. Nothing runs then.
pub async fn start(plan: Plan, options: Options) -> Result<Gateway, StartError> {
    let clock = Arc::clone(&options.clock);
    let events = Arc::new(open_events(&plan)?);
    let sink_events = Arc::clone(&events) as Arc<dyn EventSink>;
    let access = Access::new(&plan.users, Arc::clone(&clock), Arc::clone(&sink_events))?;
    let sink_ids: Vec<_> = plan.sinks.iter().map(|sink| Arc::clone(&sink.id)).collect();
    let spool = Spool::open(&plan.spool, &sink_ids, Arc::clone(&clock), Arc::clone(&sink_events))?;
    let traces_stop = watch::channel(false).0;
    let (tracer, traces_task) = tracing(&plan, &clock, &sink_events, &traces_stop);
    spool.trace(tracer.clone());
    let results = Results::new(Some(spool.writer())).traced(tracer);
    let recording = plan.recording.as_ref().map(|recording| {
        Recording::start(recording, &plan.plant, Arc::clone(&clock), Arc::clone(&sink_events))
    });
    let (recording, recorder) = recording.transpose()?.unzip();
    let models = load_models(&plan, &options, &sink_events, None);
    let remotes = Remotes::look(&plan, &clock, &sink_events).await;

    let waker = Waker::default();
    let values = Arc::new(LastValues::new(plan.plant.points.len()));
    let hub_counters = Arc::new(HubCounters::default());
    let (links, inlets) = source_links(&plan, &waker, &clock, &sink_events);
    let faces = faces(&plan, &models, &remotes);
    let mut interest = Interest::default();
    let recruits = recruits(&plan, &faces, (&models, &remotes), &spool, &mut interest);
    let (lanes, members) = lanes(recruits, &waker, &sink_events, &clock);
    let hub = Hub::new(
        Arc::clone(&plan.plant),
        Arc::clone(&values),
        inlets,
        &interest,
        members.len(),
        Arc::clone(&hub_counters),
    )
    .recorded(recorder.clone());
    let fleet =
        Fleet::new(members, lanes, results.clone(), Arc::clone(&clock), Arc::clone(&sink_events))
            .recorded(recorder);
    let watch = HubWatch {
        clock: Arc::clone(&clock),
        events: Arc::clone(&sink_events),
        failed: watch::channel(false).0,
    };
    let failed = watch.failed.subscribe();
    let hub_told = Told::default();
    let hub_thread = spawn_hub(hub, fleet, &waker, watch, &hub_told)?;

    let deployments =
        Faces::new(faces.clone(), waker.clone(), Arc::clone(&clock), Arc::clone(&sink_events));
    let mut gateway = Gateway {
        plan: plan.clone(),
        options,
        faces,
        started_at: clock.now(),
        clock: Arc::clone(&clock),
        events: Arc::clone(&events),
        plant: Arc::clone(&plan.plant),
        values,
        results,
        deployments: Arc::new(deployments),
        models: Arc::new(models),
        access: Arc::new(access),
        hub_counters,
        hub_told,
        waker,
        hub_thread: Some(hub_thread),
        recording,
        failed,
        spool: Some(Arc::new(spool)),
        sources: Arc::default(),
        sinks: Arc::default(),
        remote_tasks: Vec::new(),
        remote_stop: watch::channel(false).0,
        source_workers: Vec::new(),
        sink_workers: Vec::new(),
        inlets: plan.sources.iter().map(|source| Some(Arc::clone(&source.id))).collect(),
        servers: Arc::default(),
        traces_stop,
        traces_task,
    };
    gateway.remote_tasks = remotes.watch(&gateway.remote_stop, &gateway.faces, &gateway.waker);
    gateway.sources = Arc::new(links.iter().map(|(link, ..)| SourceFace::of(link)).collect());
    if let Err(error) = gateway.connect(&plan, links).await {
        gateway.stop().await;
        return Err(error);
    }
    sink_events.record(Event::new(clock.now(), Code::GatewayStarted, "gateway", "started"));
    Ok(gateway)
}

/// What takes spans, and the task that sends them. Where it cannot work, the plant runs untraced.
fn tracing(
    plan: &Plan,
    clock: &Arc<dyn Clock>,
    events: &Arc<dyn EventSink>,
    stop: &watch::Sender<bool>,
) -> (Tracer, Option<tokio::task::JoinHandle<()>>) {
    let Some(traces) = &plan.traces else { return (Tracer::default(), None) };
    match Tracer::start(traces, Arc::clone(clock), Arc::clone(events), stop.subscribe()) {
        Ok((tracer, task)) => (tracer, Some(task)),
        Err(error) => {
            let message = error.to_string();
            events.record(Event::new(clock.now(), Code::TracesRefused, "traces", message));
            (Tracer::default(), None)
        }
    }
}

fn open_events(plan: &Plan) -> Result<EventLog, StartError> {
    match &plan.events_file {
        None => Ok(EventLog::in_memory()),
        Some(path) => EventLog::with_file(path)
            .map_err(|error| StartError::Events { path: path.display().to_string(), error }),
    }
}

/// Every model of a plan, loaded and checked, or refused. One that serves already goes on.
pub(super) fn load_models(
    plan: &Plan,
    options: &Options,
    events: &Arc<dyn EventSink>,
    serving: Option<&Models>,
) -> Models {
    let wanted = plan.local_models();
    let report = |code, model: &VerifiedModel, message: String| {
        let subject = format!("model/{}", model.manifest.name);
        events.record(Event::new(options.clock.now(), code, &subject, message));
    };
    let engine = match &options.engine {
        Ok(engine) => Some(engine),
        Err(error) if wanted.is_empty() => {
            tracing::info!("no engine, and no model that needs one: {error}");
            None
        }
        Err(error) => {
            let event = Event::new(
                options.clock.now(),
                Code::EngineUnavailable,
                "engine",
                error.to_string(),
            );
            events.record(event);
            None
        }
    };
    let mut served = Vec::new();
    for model in wanted.into_values() {
        if let Some(serves) = serving.and_then(|models| ready(models, &model))
            && serves.used.digest == *model.files.digest()
        {
            served.push(Arc::clone(serves));
            continue;
        }
        if !model.files.is_signed() {
            let message = format!("{} carries no signature", model.files.digest());
            report(Code::ModelUnsigned, &model, message);
        }
        let engine = match engine {
            Some(engine) => engine,
            None => {
                let reason = "no usable ONNX Runtime library was found";
                served.push(Arc::new(ServedModel::refused(model, "none", reason)));
                continue;
            }
        };
        match ServedModel::load(Arc::clone(&model), engine.as_ref(), &options.limits) {
            Ok(loaded) => {
                let message = format!(
                    "{} {} on {}, trained on {} data",
                    loaded.used.name,
                    loaded.used.version,
                    loaded.used.engine,
                    loaded.used.trained_on
                );
                report(Code::ModelLoaded, &model, message);
                served.push(Arc::new(loaded));
            }
            Err(refused) => {
                report(refused.code(), &model, refused.to_string());
                let reason = refused.to_string();
                served.push(Arc::new(ServedModel::refused(model, engine.identity(), &reason)));
            }
        }
    }
    let repository = Repository::new(
        options.engine.clone(),
        options.limits.clone(),
        users(plan),
        Arc::clone(&options.clock),
        Arc::clone(events),
    );
    Models::new(served).commanded(repository)
}

/// The model as it serves; `None` where it was refused.
pub(super) fn ready<'a>(models: &'a Models, model: &VerifiedModel) -> Option<&'a Arc<ServedModel>> {
    let found = models.find(&model.manifest.name, Some(&model.manifest.version))?;
    (found.state() == ModelState::Ready).then_some(found)
}

/// Which deployments use which model, themselves or as their fallback.
fn users(plan: &Plan) -> BTreeMap<Arc<str>, Vec<Arc<str>>> {
    let mut users: BTreeMap<Arc<str>, Vec<Arc<str>>> = BTreeMap::new();
    for deployment in &plan.deployments {
        let fallback = match &deployment.fallback {
            Fallback::FallBackTo(model) => Some(model),
            Fallback::Fail | Fallback::HoldLast => None,
        };
        let own = Some(&deployment.model).filter(|_| deployment.remote.is_none());
        for model in own.into_iter().chain(fallback) {
            let name = Arc::clone(&model.manifest.name);
            users.entry(name).or_default().push(Arc::clone(&deployment.id));
        }
    }
    users
}

pub(super) type SourceLink = (Link, BlockSender, SourcePlan);

fn source_links(
    plan: &Plan,
    waker: &Waker,
    clock: &Arc<dyn Clock>,
    events: &Arc<dyn EventSink>,
) -> (Vec<SourceLink>, Vec<Inlet>) {
    plan.sources.iter().map(|source| source_link(source, waker, clock, events)).unzip()
}

/// What a source is started with, and its way into the hub.
pub(super) fn source_link(
    source: &SourcePlan,
    waker: &Waker,
    clock: &Arc<dyn Clock>,
    events: &Arc<dyn EventSink>,
) -> (SourceLink, Inlet) {
    let (sender, receiver) = channel(waker.clone());
    let link = Link {
        id: Arc::clone(&source.id),
        points: Arc::clone(&source.points),
        clock: Arc::clone(clock),
        events: Arc::clone(events),
        counters: Arc::new(SourceCounters::default()),
    };
    let offset = source.kind.keeps_machine_time().then(|| Arc::clone(&link.counters));
    ((link, sender, source.clone()), Inlet::new(receiver, numbers(source), offset))
}

/// The numbers of a source's points.
pub(super) fn numbers(source: &SourcePlan) -> Arc<[PointIndex]> {
    source.points.iter().map(|point| point.point).collect()
}

pub(super) fn faces(plan: &Plan, models: &Models, remotes: &Remotes) -> Vec<Arc<Face>> {
    let face = |(at, deployment): (usize, &DeploymentPlan)| {
        let asset = plan
            .plant
            .assets
            .get(deployment.asset)
            .map_or_else(|| Arc::from(""), |asset| Arc::clone(&asset.id.0));
        let own = match deployment.remote {
            None => ready(models, &deployment.model),
            Some(_) => remotes.of_deployment(at),
        };
        let used = own
            .map_or_else(|| Arc::new(unserved(&deployment.model)), |model| Arc::clone(&model.used));
        let outputs = deployment.outputs.as_slice().into();
        Arc::new(Face::new(Arc::clone(&deployment.id), asset, outputs, used))
    };
    plan.deployments.iter().enumerate().map(face).collect()
}

/// A deployment on its way into the fleet, with the models it may use.
pub(super) struct Recruit {
    deployment: Deployment,
    own: Option<Arc<ServedModel>>,
    fallback: Option<Arc<ServedModel>>,
}

pub(super) fn recruits(
    plan: &Plan,
    faces: &[Arc<Face>],
    (models, remotes): (&Models, &Remotes),
    spool: &Spool,
    interest: &mut Interest,
) -> Vec<Recruit> {
    let mut recruits = Vec::new();
    let sampling_ms: HashMap<PointIndex, u32> = plan
        .sources
        .iter()
        .flat_map(|source| source.points.iter())
        .filter_map(|point| Some((point.point, point.sampling_ms?)))
        .collect();
    for (at, (deployment, face)) in plan.deployments.iter().zip(faces).enumerate() {
        let sequence = spool.last_sequence(&deployment.id);
        let member = Deployment::new(deployment, &plan.plant, Arc::clone(face), sequence);
        interest.inputs.extend(member.points().map(|point| (point, at)));
        interest.gates.extend(member.gate_point().map(|point| (point, at)));
        if let Some(input) = member.points().next() {
            interest.clocks.extend(deployment.outputs.iter().map(|output| (*output, input)));
        }
        if let Trigger::Event(point) = deployment.trigger {
            interest.events.push((point, at));
        }
        let rings = deployment.bindings.iter().map(|binding| binding.point);
        let window = window_of(&deployment.model.manifest);
        interest.rings.extend(rings.map(|point| {
            let sampling_ms = sampling_ms.get(&point).copied().unwrap_or(SAMPLING_MS_DEFAULT);
            (point, ring_samples(window, sampling_ms))
        }));
        let fallback = match &deployment.fallback {
            Fallback::FallBackTo(model) => ready(models, model).cloned(),
            Fallback::Fail | Fallback::HoldLast => None,
        };
        let own = match deployment.remote {
            None => ready(models, &deployment.model).cloned(),
            Some(_) => remotes.of_deployment(at).cloned(),
        };
        recruits.push(Recruit { deployment: member, own, fallback });
    }
    recruits
}

/// What is taken for a point whose sampling the plant file leaves to its source.
const SAMPLING_MS_DEFAULT: u32 = 100;

/// Room for a window's samples, and for the observations between two of them.
fn ring_samples(window: WindowSpec, sampling_ms: u32) -> usize {
    let samples = window.samples.max(1) as usize;
    let per_step = window.period_ms.map_or(1, |period| period.div_ceil(sampling_ms.max(1)).max(1));
    samples * per_step as usize * 5 / 4 + 2
}

/// One lane for each model that is deployed, and each deployment with the places of its lanes.
pub(super) fn lanes(
    recruits: Vec<Recruit>,
    waker: &Waker,
    events: &Arc<dyn EventSink>,
    clock: &Arc<dyn Clock>,
) -> (Vec<Lane>, Vec<Member>) {
    let mut lanes: Vec<Lane> = Vec::new();
    let mut lane_of = |served: Option<Arc<ServedModel>>| -> Option<usize> {
        let served = served?;
        if let Some(at) = lanes.iter().position(|lane| Arc::ptr_eq(&lane.served, &served)) {
            return Some(at);
        }
        match Lane::new(Arc::clone(&served), waker) {
            Ok(lane) => {
                lanes.push(lane);
                Some(lanes.len() - 1)
            }
            Err(error) => {
                let subject = format!("model/{}", served.used.name);
                let event =
                    Event::new(clock.now(), Code::ModelRefused, &subject, error.to_string());
                events.record(event);
                None
            }
        }
    };
    let mut members = Vec::new();
    for Recruit { deployment, own, fallback } in recruits {
        let (lane, fallback_lane) = (lane_of(own), lane_of(fallback));
        let (state, reason) = match lane.or(fallback_lane) {
            Some(_) => (DeploymentState::Ready, "waiting for inputs"),
            None => (DeploymentState::Faulted, "its model was refused"),
        };
        deployment.face.set_state(state, reason);
        members.push(Member::new(deployment, lane, fallback_lane));
    }
    (lanes, members)
}

/// Runs hub and deployments on a thread. Should they panic, every value turns bad, an event says
/// so, and whoever waits for [`Gateway::failed`] is told.
fn spawn_hub(
    hub: Hub,
    fleet: Fleet,
    waker: &Waker,
    watch: HubWatch,
    told: &Told,
) -> Result<JoinHandle<()>, std::io::Error> {
    let (waker, told) = (waker.clone(), told.clone());
    std::thread::Builder::new().name("hub".into()).spawn(move || {
        let clock = Arc::clone(&watch.clock);
        if let Err(Panicked(values)) = run::run(hub, fleet, &waker, clock.as_ref(), &told) {
            watch.tell(&values);
        }
    })
}

/// What is left to do when the hub is gone.
struct HubWatch {
    clock: Arc<dyn Clock>,
    events: Arc<dyn EventSink>,
    failed: watch::Sender<bool>,
}

impl HubWatch {
    fn tell(&self, values: &LastValues) {
        for point in 0..values.len() {
            // The hub was the columns' only writer, and it is gone.
            values.write_status(PointIndex(point as u32), Status::BAD_INTERNAL_ERROR);
        }
        let message = "the hub ended unexpectedly; nothing is observed or judged any more";
        self.events.record(Event::new(self.clock.now(), Code::GatewayFailed, "gateway", message));
        self.failed.send_replace(true);
    }
}

/// A thread that talks to a peer, and how it is told to end.
#[derive(Debug)]
pub(super) struct Worker {
    /// The source or sink.
    pub(super) id: Arc<str>,
    pub(super) stop: watch::Sender<bool>,
    pub(super) thread: JoinHandle<()>,
}

pub(super) fn spawn_source((link, sender, plan): SourceLink) -> Result<Worker, std::io::Error> {
    let source = sources::build(&plan);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (stop, stopped) = watch::channel(false);
    let id = Arc::clone(&plan.id);
    let thread = std::thread::Builder::new().name(format!("source-{id}")).spawn(move || {
        let (events, clock, id) =
            (Arc::clone(&link.events), Arc::clone(&link.clock), Arc::clone(&link.id));
        if let Err(error) = runtime.block_on(source.run(link, sender, stopped)) {
            let subject = format!("source/{id}");
            let event = Event::new(clock.now(), Code::SourceRefused, &subject, error.to_string());
            events.record(event.with("final", Value::Boolean(true)));
        }
    })?;
    Ok(Worker { id, stop, thread })
}

impl SourceFace {
    pub(super) fn of(link: &Link) -> Self {
        Self {
            id: Arc::clone(&link.id),
            points: link.points.len(),
            counters: Arc::clone(&link.counters),
        }
    }
}

impl Gateway {
    /// Starts what talks to the world: sinks, servers, then sources.
    async fn connect(&mut self, plan: &Plan, links: Vec<SourceLink>) -> Result<(), StartError> {
        let mut faces = Vec::new();
        for sink in &plan.sinks {
            faces.push(self.start_sink(sink, Arc::default())?);
        }
        self.sinks = Arc::new(faces);
        servers::start(&plan.servers, &self.context(), &self.servers).await?;
        for link in links {
            self.source_workers.push(spawn_source(link)?);
        }
        Ok(())
    }

    /// Starts a sink, which goes on where it acknowledged last.
    pub(super) fn start_sink(
        &mut self,
        sink: &SinkPlan,
        counters: Arc<SinkCounters>,
    ) -> Result<SinkFace, StartError> {
        let id = Arc::clone(&sink.id);
        let face = SinkFace { id: Arc::clone(&id), counters: Arc::clone(&counters) };
        let Some(spool) = &self.spool else { return Ok(face) };
        let (events, clock) =
            (Arc::clone(&self.events) as Arc<dyn EventSink>, Arc::clone(&self.clock));
        let delivery = sinks::Delivery {
            id: Arc::clone(&id),
            cursor: spool.cursor(&id, Arc::clone(&counters))?.choosing(sink.kind.when()),
            clock: Arc::clone(&clock),
            events: Arc::clone(&events),
            counters,
        };
        let (stop, stopped) = watch::channel(false);
        let running = sinks::build(sink).run(delivery, stopped);
        // On a thread of its own: a sink waits for answers one by one, and each time another
        // thread had to be woken would count.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let name = format!("sink-{id}");
        let subject = format!("sink/{id}");
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            if let Err(error) = runtime.block_on(running) {
                let now = clock.now();
                events.record(Event::new(now, Code::SinkRefused, &subject, error.to_string()));
            }
        })?;
        self.sink_workers.push(Worker { id, stop, thread });
        Ok(face)
    }
}
