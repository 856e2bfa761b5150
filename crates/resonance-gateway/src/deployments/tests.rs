//! Hub and deployments together, in virtual time, with a model whose answers are known.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use resonance_inference::package::VerifiedModel;
use resonance_inference::package::pack;
use resonance_inference::{EngineError, Program, Session};
use resonance_plant::result::FallbackUsed;
use resonance_plant::unit::Conversion;
use resonance_plant::{
    Asset, AssetId, Clock, DataType, Interpolation, LastValues, ManualClock, ModelUsed, Plant,
    Point, PointIndex, Principal, Qualifier, QuantityKind, ResultRecord, Role, Signature, Status,
    Tensor, TensorBuf, Timestamp, Unit, Value, ValueKind,
};
use resonance_proof::PackageLimits;
use tokio::sync::broadcast::Receiver;

use super::deployment::Deployment;
use super::fleet::{Fleet, Member};
use super::lane::Lane;
use super::shared::{Face, Faces};
use super::{Command, Deployments};
use crate::events::EventLog;
use crate::hub::core::{Hub, HubCounters, Inlet, Interest};
use crate::hub::ingest::{BlockSender, Gap, GapReason, SessionState, Waker, channel};
use crate::models::{ModelState, ServedModel};
use crate::plan::{Binding, DeploymentPlan, Fallback, Gate, GateCondition, Trigger};
use crate::results::Results;
use crate::status::{DeploymentState, SourceCounters};

mod fallback;
mod pace;
mod succession;
mod trouble;
mod validity;

const POWER: PointIndex = PointIndex(0);
const STATE: PointIndex = PointIndex(1);

const MANIFEST: &str = r#"
format = 1
name = "NAME"
version = "1.0.0"
category = "soft_sensor"
model = "model.onnx"
valid_for_ms = 10000
latency_budget_us = 5000

[training]
data = "none"

[window]
samples = 3
period_ms = 100

[[input]]
name = "x"
element = "FP32"
shape = [-1, 3]

[[input.feature]]
semantic_id = "urn:test:power"
quantity = "power"
unit = "WTT"

[[output]]
name = "y"
element = "FP32"
shape = [-1, 1]

[[output.value]]
name = "sum"
semantic_id = "urn:test:sum"
qualifier = "X"
unit = "WTT"
quantity = "power"
"#;

const GOLDEN: &str = r#"{"vectors": [{
  "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}],
  "outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 1], "data": [6]}]}]}"#;

pub(crate) fn package(name: &str) -> Arc<VerifiedModel> {
    package_of(&MANIFEST.replace("NAME", name), GOLDEN)
}

fn package_of(manifest: &str, golden: &str) -> Arc<VerifiedModel> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("model.toml"), manifest).unwrap();
    std::fs::write(folder.path().join("golden.json"), golden).unwrap();
    std::fs::write(folder.path().join("model.onnx"), "not read here").unwrap();
    Arc::new(pack(folder.path(), &[], &PackageLimits::default()).unwrap().model)
}

/// Answers each row's sum; fails, panics or takes its time on demand; takes note of the rows of
/// each call.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    fails: AtomicBool,
    panics: AtomicBool,
    takes_ms: AtomicU64,
    calls: AtomicUsize,
    rows: Mutex<Vec<usize>>,
}

struct SumProgram(Arc<Sums>, Signature);

impl Program for SumProgram {
    fn signature(&self) -> &Signature {
        &self.1
    }
    fn session(&self) -> Result<Box<dyn Session>, EngineError> {
        Ok(Box::new(SumSession(Arc::clone(&self.0))))
    }
}

struct SumSession(Arc<Sums>);

impl Session for SumSession {
    fn infer(&mut self, inputs: &TensorBuf, outputs: &mut TensorBuf) -> Result<(), EngineError> {
        self.0.calls.fetch_add(1, Ordering::Relaxed);
        if self.0.fails.load(Ordering::Relaxed) {
            return Err(EngineError::Failed("asked to fail".into()));
        }
        assert!(!self.0.panics.load(Ordering::Relaxed), "asked to panic");
        std::thread::sleep(Duration::from_millis(self.0.takes_ms.load(Ordering::Relaxed)));
        let rows = inputs.tensors[0].shape[0];
        self.0.rows.lock().push(rows);
        let sums: Vec<u8> = inputs.tensors[0]
            .as_slice::<f32>()
            .chunks(3)
            .flat_map(|row| row.iter().sum::<f32>().to_le_bytes())
            .collect();
        let element = resonance_plant::ElementType::Fp32;
        outputs.tensors = vec![Tensor::from_bytes(element, &[rows, 1], &sums).unwrap()];
        Ok(())
    }
}

pub(crate) fn served(model: &Arc<VerifiedModel>, sums: &Arc<Sums>) -> Arc<ServedModel> {
    let used = ModelUsed {
        name: Arc::clone(&model.manifest.name),
        version: "1.0.0".into(),
        digest: Arc::clone(model.files.digest()),
        engine: "sums 1".into(),
        trained_on: "none".into(),
        fallback: None,
    };
    let program = Box::new(SumProgram(Arc::clone(sums), Signature::default()));
    Arc::new(ServedModel::new(Arc::clone(model), Arc::new(used), program))
}

fn point(name: &str, data_type: DataType, unit: Option<&str>, labels: &[&str]) -> Point {
    Point {
        asset: 0,
        name: name.into(),
        data_type,
        quantity: unit.map(|_| QuantityKind::Power),
        unit: unit.and_then(Unit::from_code),
        range: None,
        interpolation: Interpolation::Step,
        semantic_id: None,
        qualifier: Qualifier::default(),
        labels: labels.iter().map(|label| Arc::from(*label)).collect(),
        description: "".into(),
    }
}

/// A mill with its power in kilowatts, and one deployment after another.
struct Bench {
    hub: Hub,
    fleet: Fleet,
    faces: Faces,
    sender: BlockSender,
    source: Arc<SourceCounters>,
    clock: Arc<ManualClock>,
    results: Receiver<Arc<ResultRecord>>,
    events: Arc<EventLog>,
    sums: Vec<Arc<Sums>>,
}

impl Bench {
    /// `count` deployments of one model, changed by `adjust`; the model of a FallBackTo gets a
    /// lane too.
    fn new(count: usize, adjust: impl Fn(usize, &mut DeploymentPlan)) -> Self {
        let sums = Arc::new(Sums::default());
        let lane = Lane::new(served(&package("sums"), &sums), &Waker::default()).unwrap();
        Self::with_lane(lane, sums, count, adjust)
    }

    fn with_lane(
        lane: Lane,
        sums: Arc<Sums>,
        count: usize,
        adjust: impl Fn(usize, &mut DeploymentPlan),
    ) -> Self {
        let mut points = vec![
            point("power", DataType::Float64, Some("KWT"), &[]),
            point("state", DataType::Int32, None, &["idle", "cutting"]),
        ];
        let model = Arc::clone(&lane.served.model);
        let kilowatts = Unit::from_code("KWT").unwrap();
        let conversion =
            kilowatts.conversion(Unit::from_code("WTT").unwrap(), QuantityKind::Power).unwrap();
        let plans: Vec<DeploymentPlan> = (0..count)
            .map(|at| {
                points.push(point(&format!("sum{at}"), DataType::Float64, Some("WTT"), &[]));
                let mut plan = DeploymentPlan {
                    id: format!("d{at}").into(),
                    asset: 0,
                    model: Arc::clone(&model),
                    remote: None,
                    bindings: vec![Binding { point: POWER, conversion, max_age: None }],
                    outputs: vec![PointIndex(2 + at as u32)],
                    trigger: Trigger::Change { at_most_every: None },
                    max_age: None,
                    fallback: Fallback::Fail,
                    gate: None,
                    part: None,
                };
                adjust(at, &mut plan);
                plan
            })
            .collect();
        let asset = Asset {
            id: AssetId("mill".into()),
            equipment_id: "acme/mill".into(),
            physical_asset_id: Some("SN-7".into()),
            class: None,
            description: "".into(),
        };
        let plant = Arc::new(Plant { assets: vec![asset], points });
        Self::start(plant, &plans, lane, sums)
    }

    fn start(plant: Arc<Plant>, plans: &[DeploymentPlan], lane: Lane, sums: Arc<Sums>) -> Self {
        let own = Arc::clone(&lane.served);
        let clock = Arc::new(ManualClock::at(ms(0)));
        let (events, waker) = (Arc::new(EventLog::in_memory()), Waker::default());
        let (sender, receiver) = channel(waker.clone());
        let mut all_sums = vec![sums];
        let mut lanes = vec![lane];
        let mut interest = Interest::default();
        let mut members = Vec::new();
        for (at, plan) in plans.iter().enumerate() {
            let face = Face::new(
                Arc::clone(&plan.id),
                "mill".into(),
                plan.outputs.as_slice().into(),
                Arc::clone(&own.used),
            );
            let deployment = Deployment::new(plan, &plant, Arc::new(face), 0);
            interest.inputs.extend(deployment.points().map(|point| (point, at)));
            interest.gates.extend(deployment.gate_point().map(|point| (point, at)));
            let input = plan.bindings[0].point;
            interest.clocks.extend(plan.outputs.iter().map(|output| (*output, input)));
            interest.rings.extend(plan.bindings.iter().map(|binding| (binding.point, 8)));
            if let Trigger::Event(point) = plan.trigger {
                interest.events.push((point, at));
            }
            let mut fallback_lane = None;
            if let Fallback::FallBackTo(model) = &plan.fallback {
                let sums = Arc::new(Sums::default());
                lanes.push(Lane::new(served(model, &sums), &waker).unwrap());
                all_sums.push(sums);
                fallback_lane = Some(lanes.len() - 1);
            }
            members.push(Member::new(deployment, Some(0), fallback_lane));
        }
        let faces = members.iter().map(|member| Arc::clone(&member.deployment.face)).collect();
        let values = Arc::new(LastValues::new(plant.points.len()));
        let source = Arc::new(SourceCounters::default());
        let inlet = Inlet::new(receiver, Arc::from([POWER, STATE]), Some(Arc::clone(&source)));
        let counters = Arc::new(HubCounters::default());
        let hub = Hub::new(plant, values, vec![inlet], &interest, plans.len(), counters);
        let results = Results::new(None);
        let subscriber = results.subscribe();
        let fleet =
            Fleet::new(members, lanes, results, Arc::clone(&clock) as _, Arc::clone(&events) as _);
        for sums in &all_sums {
            sums.calls.store(0, Ordering::Relaxed);
            sums.rows.lock().clear();
        }
        let faces = Faces::new(faces, waker, Arc::clone(&clock) as _, Arc::clone(&events) as _);
        let mut bench = Self {
            hub,
            fleet,
            faces,
            sender,
            source,
            clock,
            results: subscriber,
            events,
            sums: all_sums,
        };
        assert!(bench.sender.session(SessionState::Alive));
        bench
    }

    /// The machine reports a value now, after the clock moved to `at`.
    fn report(&mut self, at: i64, point: PointIndex, kind: ValueKind, value: f64, status: Status) {
        self.clock.set(ms(at));
        let mut block = self.sender.take().unwrap();
        block.receive_time = self.clock.now();
        let sent = self.hub.present(point, ms(at));
        block.push(point, kind, value, sent, status);
        self.sender.send(block);
        self.settle();
    }

    fn power(&mut self, at: i64, kilowatts: f64) {
        self.report(at, POWER, ValueKind::Float, kilowatts, Status::GOOD);
    }

    /// Three samples of one kilowatt: the window is full at `at`.
    fn warm_up(&mut self, at: i64) {
        for back in [200, 100, 0] {
            self.power(at - back, 1.0);
        }
    }

    fn settle(&mut self) {
        while self.hub.take() | self.fleet.turn(&mut self.hub) {}
    }

    fn pass(&mut self, to: i64) {
        self.clock.set(ms(to));
        self.settle();
    }

    fn results(&mut self) -> Vec<Arc<ResultRecord>> {
        std::iter::from_fn(|| self.results.try_recv().ok()).collect()
    }

    fn last(&mut self) -> Arc<ResultRecord> {
        self.results().pop().expect("a result")
    }

    fn state(&self) -> (DeploymentState, String) {
        let status = self.faces.status().remove(0);
        (status.state, status.reason)
    }

    fn output(&self) -> (Value, Status) {
        let observation = self.hub.values().observation(PointIndex(2)).unwrap();
        (observation.value, observation.status)
    }

    fn told(&self, code: &str) -> usize {
        self.events.recent(1_000).iter().filter(|event| event.code.name() == code).count()
    }
}

fn ms(at: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + at)
}

#[test]
fn an_answer_carries_unit_time_status_and_model_from_the_window_it_saw() {
    let mut bench = Bench::new(1, |_, _| {});
    bench.power(0, 1.0);
    bench.power(100, 2.0);
    assert!(bench.results().is_empty(), "the window is not full");
    assert!(bench.state().1.contains("mill.power was observed for too short a time"));
    bench.power(200, 4.0);
    let record = bench.last();
    assert_eq!(record.outputs[0].value, Value::Float(7_000.0), "kilowatts became watts");
    assert_eq!(record.outputs[0].unit.map(Unit::code), Some("WTT"));
    assert_eq!((record.window.from, record.window.to), (ms(0), ms(200)));
    assert_eq!((record.source_time, record.valid_until), (ms(200), ms(10_200)));
    assert_eq!((record.status, record.sequence), (Status::GOOD, 1));
    assert_eq!((&*record.model.name, &*record.model.engine), ("sums", "sums 1"));
    assert_eq!(&*record.window.points[0], "mill.power");
    assert_eq!(bench.output(), (Value::Float(7_000.0), Status::GOOD));
    assert_eq!(bench.state(), (DeploymentState::Active, String::new()));
}

#[test]
fn a_result_is_never_better_than_its_worst_input() {
    let mut bench = Bench::new(1, |_, _| {});
    bench.warm_up(200);
    bench.report(300, POWER, ValueKind::Float, 1.0, Status::UNCERTAIN);
    assert_eq!(bench.last().status, Status::UNCERTAIN);
    assert_eq!(bench.state().0, DeploymentState::Degraded);
    bench.report(400, POWER, ValueKind::Float, 1.0, Status::BAD_SENSOR_FAILURE);
    let record = bench.last();
    assert_eq!(
        (record.status, &record.outputs[0].value),
        (Status::BAD_SENSOR_FAILURE, &Value::Empty)
    );
    let faulted = (DeploymentState::Faulted, "mill.power is BadSensorFailure".to_string());
    assert_eq!(bench.state(), faulted);
    bench.power(500, 1.0);
    assert!(bench.results().is_empty(), "the same failure is told once");
    bench.warm_up(900);
    assert_eq!((bench.last().status, bench.state().0), (Status::GOOD, DeploymentState::Active));
}

#[test]
fn a_lost_machine_turns_its_results_bad_at_once() {
    let mut bench = Bench::new(1, |_, _| {});
    bench.warm_up(200);
    bench.results();
    assert!(bench.sender.session(SessionState::Lost));
    bench.settle();
    assert_eq!(bench.last().status, Status::BAD_NO_COMMUNICATION);
    assert_eq!(bench.output(), (Value::Empty, Status::BAD_NO_COMMUNICATION));
    let power = bench.hub.values().observation(POWER).unwrap();
    assert_eq!(power.status, Status::UNCERTAIN_NO_COMMUNICATION_LAST_USABLE_VALUE);
    assert_eq!(power.value, Value::Float(1.0), "the last value stays readable");
}

#[test]
fn the_gate_keeps_results_back_until_the_machine_operates() {
    let mut bench = Bench::new(1, |_, plan| {
        let condition = GateCondition::OneOf(vec!["cutting".into()]);
        plan.gate = Some(Gate { point: STATE, condition, settle: Duration::from_millis(500) });
    });
    bench.report(0, STATE, ValueKind::Integer, 0.0, Status::GOOD);
    bench.warm_up(200);
    assert!(bench.results().is_empty());
    assert_eq!(bench.state(), (DeploymentState::Ready, "the machine does not operate".into()));
    bench.report(300, STATE, ValueKind::Integer, 1.0, Status::GOOD);
    assert_eq!(bench.state().1, "the machine warms up");
    bench.pass(799);
    assert!(bench.results().is_empty());
    bench.pass(800);
    assert_eq!(bench.last().status, Status::GOOD, "it opens by itself when it has settled");
    bench.report(900, STATE, ValueKind::Integer, 0.0, Status::GOOD);
    assert_eq!(bench.last().status, Status::BAD_OUT_OF_SERVICE);
}

#[test]
fn a_suspended_deployment_is_silent_until_resumed() {
    let mut bench = Bench::new(1, |_, _| {});
    bench.warm_up(200);
    let anna = Principal { name: "anna".into(), role: Role::Operate };
    bench.faces.command("d0", Command::Suspend, anna.clone()).unwrap();
    bench.settle();
    assert_eq!(bench.last().status, Status::BAD_OUT_OF_SERVICE);
    bench.power(300, 1.0);
    assert!(bench.results().is_empty());
    bench.faces.command("d0", Command::Resume, anna).unwrap();
    bench.settle();
    assert_eq!((bench.last().status, bench.state().0), (Status::GOOD, DeploymentState::Active));
}

#[test]
fn an_unchanged_value_is_fresh_while_its_session_lives_unless_it_is_cyclic() {
    let mut bench = Bench::new(2, |at, plan| {
        plan.trigger = Trigger::Every(Duration::from_secs(1));
        plan.max_age = (at == 1).then(|| Duration::from_secs(30));
    });
    bench.power(0, 2.0);
    bench.pass(60_000);
    let records = bench.results();
    let of = |id: &str| records.iter().rfind(|record| &*record.deployment == id);
    let fresh = of("d0").expect("an unchanged value is no stale one");
    assert_eq!((fresh.status, &fresh.outputs[0].value), (Status::GOOD, &Value::Float(6_000.0)));
    assert_eq!(fresh.source_time, ms(60_000), "the window moved with the clock");
    assert!(of("d1").is_none_or(|record| record.status.is_bad()));
    assert_eq!(bench.faces.status()[1].reason, "mill.power is 60000 ms old");
}

#[test]
fn an_event_triggers_on_a_changed_value_only() {
    let mut bench = Bench::new(1, |_, plan| plan.trigger = Trigger::Event(STATE));
    bench.warm_up(200);
    bench.report(300, STATE, ValueKind::Integer, 0.0, Status::GOOD);
    assert!(bench.results().is_empty(), "the first value is no change");
    bench.report(400, STATE, ValueKind::Integer, 0.0, Status::GOOD);
    assert!(bench.results().is_empty());
    bench.report(500, STATE, ValueKind::Integer, 1.0, Status::GOOD);
    assert_eq!(bench.results().len(), 1);
}

#[test]
fn a_gap_makes_the_windows_over_it_uncertain() {
    let mut bench = Bench::new(1, |_, _| {});
    bench.warm_up(200);
    bench.results();
    let gap =
        Gap { points: Arc::from([]), from: ms(200), to: ms(300), reason: GapReason::SequenceGap };
    bench.sender.gap(gap);
    bench.power(300, 1.0);
    assert_eq!(bench.last().status, Status::UNCERTAIN_SUB_NORMAL, "a window over it");
    bench.warm_up(600);
    assert_eq!(bench.last().status, Status::GOOD);
}

#[test]
fn an_output_is_a_point_that_another_model_can_read() {
    let mut bench = Bench::new(2, |at, plan| {
        if at == 1 {
            plan.bindings[0] =
                Binding { point: PointIndex(2), conversion: Conversion::IDENTITY, max_age: None };
        }
    });
    for at in 0..10 {
        bench.power(at * 100, 1.0);
    }
    let records = bench.results();
    let second = records.iter().rfind(|record| &*record.deployment == "d1").expect("chained");
    assert_eq!(second.outputs[0].value, Value::Float(9_000.0));
    assert_eq!(&*second.window.points[0], "mill.sum0");
}

#[test]
fn a_source_faster_than_declared_makes_its_own_room() {
    let mut bench = Bench::new(1, |_, _| {});
    for at in 0..100 {
        bench.power(at * 10, 1.0);
    }
    assert_eq!(bench.last().outputs[0].value, Value::Float(3_000.0));
    assert_eq!(bench.state().0, DeploymentState::Active);
}

#[test]
fn sequences_go_on_and_ids_differ() {
    let mut bench = Bench::new(1, |_, _| {});
    (0..50).for_each(|at| bench.power(at * 100, at as f64));
    let records = bench.results();
    assert_eq!(records.len(), 48);
    for (at, pair) in records.windows(2).enumerate() {
        assert_eq!(pair[0].sequence, at as u64 + 1);
        assert_ne!(pair[0].id, pair[1].id);
    }
}

/// The path from a decoded block to the rings and last values: nothing is allocated per
/// observation once the rings have their size.
#[test]
fn observations_reach_their_windows_without_allocation() {
    let mut bench = Bench::new(1, |_, plan| plan.trigger = Trigger::Event(STATE));
    bench.warm_up(200);
    let (from, to) = (ms(200), ms(50_000));
    bench.sender.gap(Gap { points: Arc::from([]), from, to, reason: GapReason::SequenceGap });
    bench.settle();
    let mut at = 300;
    let allocated = allocation_counter::measure(|| {
        for _ in 0..100 {
            let mut block = bench.sender.take().unwrap();
            for _ in 0..1_000 {
                at += 1;
                block.push(POWER, ValueKind::Float, at as f64, ms(at), Status::GOOD);
            }
            bench.sender.send(block);
            bench.settle();
        }
    });
    assert_eq!(allocated.count_total, 0, "{allocated:?}");
    assert_eq!(bench.hub.values().slot(POWER).unwrap().value, at as f64);
}
