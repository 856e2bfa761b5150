//! Measures the hot path by itself: decoded blocks into the windows of deployments.
//!
//! ```text
//! cargo run --profile fast -p resonance-bench -- windows [SECONDS]       # one JSON line
//! ```
//! 10,000 points are observed every 100 ms; 100 deployments, each of 32 points × 32 samples, take
//! their window every 100 ms. The model does nothing, so that only the gateway is measured; blocks
//! are filled by the same thread, and their filling is counted with the rest.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use resonance_gateway::deployments::deployment::Deployment;
use resonance_gateway::deployments::fleet::{Fleet, Member};
use resonance_gateway::deployments::lane::Lane;
use resonance_gateway::deployments::shared::Face;
use resonance_gateway::events::EventLog;
use resonance_gateway::hub::core::{Hub, HubCounters, Inlet, Interest};
use resonance_gateway::hub::ingest::{SessionState, Waker, channel};
use resonance_gateway::models::ServedModel;
use resonance_gateway::plan::{Binding, DeploymentPlan, Fallback, Trigger};
use resonance_gateway::results::Results;
use resonance_inference::package::{VerifiedModel, pack};
use resonance_inference::{EngineError, Program, Session};
use resonance_plant::unit::Conversion;
use resonance_plant::{
    Asset, AssetId, Clock, DataType, ElementType, Interpolation, LastValues, ManualClock,
    ModelUsed, Plant, Point, PointIndex, Qualifier, Signature, Status, Tensor, TensorBuf,
    Timestamp, ValueKind,
};
use resonance_proof::PackageLimits;

const POINTS: u32 = 10_000;
const DEPLOYMENTS: usize = 100;
const FEATURES: usize = 32;
const SAMPLES: usize = 32;
const PERIOD_MS: i64 = 100;

/// Measures for this long, and answers one JSON line.
pub(crate) fn windows(seconds: f64) -> serde_json::Value {
    let inferred = Arc::new(AtomicU64::new(0));
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_700_000_000_000)));
    let (sender, hub, fleet) = assemble(&inferred, &clock);
    measure(seconds, sender, hub, fleet, &clock, &inferred)
}

fn measure(
    seconds: f64,
    mut sender: resonance_gateway::hub::ingest::BlockSender,
    mut hub: Hub,
    mut fleet: Fleet,
    clock: &ManualClock,
    inferred: &AtomicU64,
) -> serde_json::Value {
    sender.session(SessionState::Alive);
    let (started, cpu_before) = (Instant::now(), cpu_ns());
    let mut observations = 0_u64;
    while started.elapsed().as_secs_f64() < seconds {
        clock.advance(Duration::from_millis(PERIOD_MS as u64));
        let now = clock.now();
        let mut next = 0;
        while next < POINTS {
            let Some(mut block) = sender.take() else { break };
            block.receive_time = now;
            while next < POINTS
                && block.push(
                    PointIndex(next),
                    ValueKind::Float,
                    f64::from(next),
                    now,
                    Status::GOOD,
                )
            {
                next += 1;
            }
            sender.send(block);
        }
        observations += u64::from(next);
        while hub.take() | fleet.turn(&mut hub) {}
    }
    let cpu_s = (cpu_ns() - cpu_before) as f64 / 1e9;
    serde_json::json!({
        "benchmark": "blocks into windows",
        "points": POINTS,
        "deployments": DEPLOYMENTS,
        "window": format!("{FEATURES} points x {SAMPLES} samples"),
        "observations": observations,
        "windows": inferred.load(Ordering::Relaxed),
        "cpu_s": cpu_s,
        "observations_per_cpu_s": (observations as f64 / cpu_s).round(),
    })
}

/// Processor time of this process, nanoseconds: user and system ticks of `/proc/self/stat` are too
/// coarse, the scheduler's own account of the one busy thread is not.
fn cpu_ns() -> u64 {
    let account = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    account.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0)
}

/// Counts the rows and answers zeros.
struct Nothing(Arc<AtomicU64>, Signature);

impl Program for Nothing {
    fn signature(&self) -> &Signature {
        &self.1
    }
    fn session(&self) -> Result<Box<dyn Session>, EngineError> {
        Ok(Box::new(NothingSession(Arc::clone(&self.0))))
    }
}

struct NothingSession(Arc<AtomicU64>);

impl Session for NothingSession {
    fn infer(&mut self, inputs: &TensorBuf, outputs: &mut TensorBuf) -> Result<(), EngineError> {
        let rows = inputs.tensors.first().and_then(|tensor| tensor.shape.first());
        let rows = rows.copied().unwrap_or(0);
        self.0.fetch_add(rows as u64, Ordering::Relaxed);
        if outputs.tensors.is_empty() {
            let zeros = Tensor::zeros(ElementType::Fp32, &[rows, 1]);
            outputs.tensors.push(zeros.map_err(|e| EngineError::Failed(e.to_string()))?);
            return Ok(());
        }
        outputs.tensors[0]
            .resize(ElementType::Fp32, &[rows, 1])
            .map_err(|error| EngineError::Failed(error.to_string()))
    }
}

fn assemble(
    inferred: &Arc<AtomicU64>,
    clock: &Arc<ManualClock>,
) -> (resonance_gateway::hub::ingest::BlockSender, Hub, Fleet) {
    let model = package();
    let used = Arc::new(ModelUsed {
        name: "nothing".into(),
        version: "1".into(),
        digest: Arc::clone(model.files.digest()),
        engine: "none".into(),
        trained_on: "none".into(),
        fallback: None,
    });
    let program = Box::new(Nothing(Arc::clone(inferred), Signature::default()));
    let served = Arc::new(ServedModel::new(Arc::clone(&model), Arc::clone(&used), program));
    let plant = Arc::new(plant());
    let waker = Waker::default();
    let (sender, receiver) = channel(waker.clone());
    let events = Arc::new(EventLog::in_memory());
    let mut interest = Interest::default();
    let mut members = Vec::new();
    for at in 0..DEPLOYMENTS {
        let plan = plan(at, &model);
        let face = Face::new(
            Arc::clone(&plan.id),
            "line".into(),
            plan.outputs.as_slice().into(),
            Arc::clone(&used),
        );
        let deployment = Deployment::new(&plan, &plant, Arc::new(face), 0);
        interest.inputs.extend(deployment.points().map(|point| (point, at)));
        interest.rings.extend(plan.bindings.iter().map(|binding| (binding.point, SAMPLES + 8)));
        members.push(Member::new(deployment, Some(0), None));
    }
    let lane = Lane::new(served, &waker).expect("a model that does nothing cannot fail");
    inferred.store(0, Ordering::Relaxed);
    let points: Vec<PointIndex> = (0..POINTS).map(PointIndex).collect();
    let values = Arc::new(LastValues::new(plant.points.len()));
    let inlet = Inlet::new(receiver, points.into(), None);
    let counters = Arc::new(HubCounters::default());
    let hub = Hub::new(plant, values, vec![inlet], &interest, DEPLOYMENTS, counters);
    let fleet =
        Fleet::new(members, vec![lane], Results::new(None), Arc::clone(clock) as _, events as _);
    (sender, hub, fleet)
}

fn plan(at: usize, model: &Arc<VerifiedModel>) -> DeploymentPlan {
    let binding = |feature: usize| Binding {
        point: PointIndex(((at * FEATURES + feature) % POINTS as usize) as u32),
        conversion: Conversion::IDENTITY,
        max_age: None,
    };
    DeploymentPlan {
        id: format!("d{at}").into(),
        asset: 0,
        model: Arc::clone(model),
        remote: None,
        bindings: (0..FEATURES).map(binding).collect(),
        outputs: vec![PointIndex(POINTS + at as u32)],
        trigger: Trigger::Change { at_most_every: None },
        max_age: None,
        fallback: Fallback::Fail,
        gate: None,
        part: None,
    }
}

fn plant() -> Plant {
    let point = |at: usize| Point {
        asset: 0,
        name: format!("p{at}").into(),
        data_type: DataType::Float64,
        quantity: None,
        unit: None,
        range: None,
        interpolation: Interpolation::Step,
        semantic_id: None,
        qualifier: Qualifier::default(),
        labels: Arc::from([]),
        description: "".into(),
    };
    let asset = Asset {
        id: AssetId("line".into()),
        equipment_id: "bench/line".into(),
        physical_asset_id: None,
        class: None,
        description: "".into(),
    };
    let points = (0..POINTS as usize + DEPLOYMENTS).map(point).collect();
    Plant { assets: vec![asset], points }
}

/// A package whose model is never read.
fn package() -> Arc<VerifiedModel> {
    use std::fmt::Write;
    let mut manifest = format!(
        "format = 1\nname = \"nothing\"\nversion = \"1\"\ncategory = \"soft_sensor\"\n\
         model = \"model.onnx\"\n[training]\ndata = \"none\"\n\
         [window]\nsamples = {SAMPLES}\nperiod_ms = {PERIOD_MS}\n\
         [[input]]\nname = \"x\"\nelement = \"FP32\"\nshape = [-1, {SAMPLES}, {FEATURES}]\n"
    );
    for feature in 0..FEATURES {
        let _ = writeln!(manifest, "[[input.feature]]\nsemantic_id = \"urn:bench:{feature}\"");
    }
    manifest += "[[output]]\nname = \"y\"\nelement = \"FP32\"\nshape = [-1, 1]\n\
                 [[output.value]]\nname = \"y\"\nsemantic_id = \"urn:bench:y\"\n";
    let zeros = vec!["0"; SAMPLES * FEATURES].join(",");
    let golden = format!(
        "{{\"vectors\": [{{\"inputs\": [{{\"name\": \"x\", \"datatype\": \"FP32\", \
         \"shape\": [1, {SAMPLES}, {FEATURES}], \"data\": [{zeros}]}}], \
         \"outputs\": [{{\"name\": \"y\", \"datatype\": \"FP32\", \"shape\": [1, 1], \
         \"data\": [0]}}]}}]}}"
    );
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text);
    write("model.toml", &manifest).expect("a written manifest");
    write("golden.json", &golden).expect("written vectors");
    write("model.onnx", "never read").expect("a written file");
    let packed = pack(folder.path(), &[], &PackageLimits::default());
    Arc::new(packed.expect("a package without mistakes").model)
}
