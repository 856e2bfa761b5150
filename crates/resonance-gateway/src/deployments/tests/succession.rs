//! Another plan on the hub's thread.

use std::collections::HashSet;

use super::*;
use crate::hub::core::{Entry, Renumbering};

/// The same machine under a plan with another point before its own, and `model` in the place of
/// the deployment's.
fn gone_over(bench: Bench, model: &Arc<VerifiedModel>, unchanged: bool) -> Bench {
    gone_over_with(bench, model, unchanged, Fallback::Fail)
}

fn gone_over_with(
    bench: Bench,
    model: &Arc<VerifiedModel>,
    unchanged: bool,
    fallback: Fallback,
) -> Bench {
    let Bench { mut hub, fleet: before, source, sender, clock, results, events, .. } = bench;
    let moved = |point: PointIndex| PointIndex(point.0 + 1);
    let old = Arc::clone(hub.plant());
    let mut points = old.points.clone();
    points.insert(0, point("speed", DataType::Float64, None, &[]));
    let plant = Arc::new(Plant { assets: old.assets.clone(), points });
    let kilowatts = Unit::from_code("KWT").unwrap();
    let conversion =
        kilowatts.conversion(Unit::from_code("WTT").unwrap(), QuantityKind::Power).unwrap();
    let plan = DeploymentPlan {
        id: "d0".into(),
        asset: 0,
        model: Arc::clone(model),
        remote: None,
        bindings: vec![Binding { point: moved(POWER), conversion, max_age: None }],
        outputs: vec![PointIndex(3)],
        trigger: Trigger::Change { at_most_every: None },
        max_age: None,
        fallback,
        gate: None,
        part: None,
    };
    let sums = Arc::new(Sums::default());
    let waker = Waker::default();
    let lane = Lane::new(served(model, &sums), &waker).unwrap();
    let used = Arc::clone(&lane.served.used);
    let face = Face::new(Arc::clone(&plan.id), "mill".into(), Arc::from([PointIndex(3)]), used);
    let deployment = Deployment::new(&plan, &plant, Arc::new(face), 0);
    let faces = vec![Arc::clone(&deployment.face)];
    let interest = Interest {
        inputs: vec![(moved(POWER), 0)],
        rings: vec![(moved(POWER), 8)],
        ..Interest::default()
    };
    let live = before.results().clone();
    let mut fleet = Fleet::new(
        vec![Member::new(deployment, Some(0), None)],
        vec![lane],
        live,
        Arc::clone(&clock) as _,
        Arc::clone(&events) as _,
    );
    let unchanged = unchanged.then(|| "d0".into()).into_iter().collect();
    assert!(fleet.go_on_from(before, &mut hub, &unchanged).is_empty());
    let values = Arc::new(LastValues::new(plant.points.len()));
    let entries = vec![Entry::Kept(0, Arc::from([moved(POWER), moved(STATE)]))];
    let to = Renumbering((0..3).map(|number| Some(PointIndex(number + 1))).collect());
    let hub = hub.succeeded_by(plant, values, entries, &interest, 1, &to);
    let faces = Faces::new(faces, waker, Arc::clone(&clock) as _, Arc::clone(&events) as _);
    sums.calls.store(0, Ordering::Relaxed);
    Bench { hub, fleet, faces, source, sender, clock, results, events, sums: vec![sums] }
}

/// A package whose window has a dimension of its own for samples.
fn other_layout() -> Arc<VerifiedModel> {
    let manifest = MANIFEST.replace("NAME", "other").replace("[-1, 3]", "[-1, 3, 1]");
    package_of(&manifest, &GOLDEN.replace("[1, 3]", "[1, 3, 1]"))
}

#[test]
fn a_model_with_another_layout_goes_on_with_the_past_and_misses_nothing() {
    let mut bench = Bench::new(1, |_, _| {});
    bench.warm_up(200);
    let before = bench.last();
    // Sent, and not yet taken when the other plan comes.
    bench.clock.set(ms(300));
    let mut block = bench.sender.take().unwrap();
    block.receive_time = bench.clock.now();
    block.push(POWER, ValueKind::Float, 2.0, ms(300), Status::GOOD);
    bench.sender.send(block);
    let mut bench = gone_over(bench, &other_layout(), false);
    bench.settle();
    let after = bench.last();
    assert_eq!(after.outputs[0].value, Value::Float(4_000.0), "1 + 1 + 2 kW, from before and now");
    assert_eq!((&*after.model.name, after.sequence), ("other", before.sequence + 1));
    bench.power(400, 3.0);
    let record = bench.last();
    assert_eq!(record.outputs[0].value, Value::Float(6_000.0), "1 + 2 + 3 kW");
    assert_eq!(bench.faces.status()[0].results, record.sequence, "what was counted goes on");
    let output = bench.hub.values().observation(PointIndex(3)).unwrap();
    assert_eq!(output.value, Value::Float(6_000.0), "under its new number");
}

#[test]
fn what_is_unchanged_keeps_its_last_answer_and_a_command_stands() {
    let mut bench = Bench::new(1, |_, _| {});
    bench.warm_up(200);
    let answered = bench.last();
    let principal = Principal { name: "otto".into(), role: Role::Operate };
    bench.faces.command("d0", Command::Suspend, principal).unwrap();
    let mut bench = gone_over(bench, &package("sums"), true);
    bench.settle();
    let taken_back = bench.last();
    assert_eq!(taken_back.status, Status::BAD_OUT_OF_SERVICE, "it knows what it answered");
    assert_eq!(taken_back.sequence, answered.sequence + 1);
    assert_eq!(bench.state().0, DeploymentState::Suspended);
    bench.power(300, 2.0);
    assert!(bench.results().is_empty(), "suspended under the one plan is under the other");
}

#[test]
fn a_deployment_that_ends_takes_its_answer_back() {
    let mut bench = Bench::new(1, |_, _| {});
    bench.warm_up(200);
    let answered = bench.last();
    let mut fleet = Fleet::new(
        Vec::new(),
        Vec::new(),
        bench.fleet.results().clone(),
        Arc::clone(&bench.clock) as _,
        Arc::clone(&bench.events) as _,
    );
    let Bench { mut hub, fleet: before, mut results, .. } = bench;
    let ended = fleet.go_on_from(before, &mut hub, &HashSet::new());
    let last = results.try_recv().unwrap();
    assert_eq!(last.status, Status::BAD_OUT_OF_SERVICE);
    assert_eq!(ended, [("d0".into(), answered.sequence + 1)], "its numbers are not given twice");
}

#[test]
fn what_is_held_goes_into_the_points_as_they_are_numbered_now() {
    let mut bench = Bench::new(1, |_, plan| plan.fallback = Fallback::HoldLast);
    bench.warm_up(200);
    let mut bench = gone_over_with(bench, &package("sums"), true, Fallback::HoldLast);
    assert!(bench.sender.session(SessionState::Lost));
    bench.settle();
    assert_eq!(bench.last().outputs[0].point, Some(PointIndex(3)));
    let output = bench.hub.values().observation(PointIndex(3)).unwrap();
    assert_eq!(output.status, Status::UNCERTAIN_LAST_USABLE_VALUE);
    assert_eq!(output.value, Value::Float(3_000.0));
    let other = bench.hub.values().observation(PointIndex(2)).map(|state| state.value);
    assert_ne!(other, Some(Value::Float(3_000.0)), "its number before is another point's by now");
}

#[test]
fn a_source_that_leaves_is_lost_once_it_is_gone_and_the_next_has_its_points() {
    let mut bench = Bench::new(1, |_, _| {});
    bench.warm_up(200);
    let Bench { hub, sender, .. } = bench;
    let (mut next, receiver) = channel(Waker::default());
    let inlet = Inlet::new(receiver, Arc::from([POWER, STATE]), None);
    let entries = vec![Entry::Leaving(0), Entry::New(inlet)];
    let (plant, values) = (Arc::clone(hub.plant()), Arc::clone(hub.values()));
    let to = Renumbering((0..3).map(|number| Some(PointIndex(number))).collect());
    let mut hub = hub.succeeded_by(plant, values, entries, &Interest::default(), 0, &to);
    let status = |hub: &Hub| hub.values().observation(POWER).unwrap().status;
    hub.take();
    assert_eq!(status(&hub), Status::GOOD, "it may still send");
    drop(sender);
    hub.take();
    assert_eq!(status(&hub), Status::UNCERTAIN_NO_COMMUNICATION_LAST_USABLE_VALUE);
    assert!(!hub.is_alive(POWER));
    assert!(next.session(SessionState::Alive));
    hub.take();
    assert!(hub.is_alive(POWER), "as the new connection says");
}
