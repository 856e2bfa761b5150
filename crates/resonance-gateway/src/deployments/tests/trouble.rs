//! Gaps, gates, outages and the choice of batches.

use super::*;

fn gap(bench: &mut Bench, from: i64, to: i64) {
    let (from, to, reason) = (ms(from), ms(to), GapReason::SequenceGap);
    bench.sender.gap(Gap { points: Arc::from([]), from, to, reason });
}

#[test]
fn a_second_gap_leaves_the_first() {
    let mut bench = Bench::new(1, |_, plan| plan.trigger = Trigger::Event(STATE));
    bench.report(0, STATE, ValueKind::Integer, 0.0, Status::GOOD);
    bench.power(0, 1.0);
    gap(&mut bench, 110, 190);
    bench.power(200, 1.0);
    gap(&mut bench, 210, 220);
    // The window ends at 250: its moments are 50, 150 and 250.
    bench.report(250, STATE, ValueKind::Integer, 1.0, Status::GOOD);
    bench.power(250, 1.0);
    bench.report(251, STATE, ValueKind::Integer, 0.0, Status::GOOD);
    assert_eq!(bench.last().status, Status::UNCERTAIN_LAST_USABLE_VALUE);
}

#[test]
fn a_value_held_across_a_gap_is_uncertain_long_after_it() {
    let mut bench =
        Bench::new(1, |_, plan| plan.trigger = Trigger::Every(Duration::from_millis(100)));
    bench.warm_up(200);
    gap(&mut bench, 200, 300);
    for at in [300, 400, 900] {
        bench.pass(at);
    }
    assert_eq!(bench.last().status, Status::UNCERTAIN_LAST_USABLE_VALUE);
    for at in [910, 1_010, 1_110] {
        bench.power(at, 1.0);
    }
    bench.pass(1_200);
    assert_eq!(bench.last().status, Status::GOOD);
}

#[test]
fn a_gate_shuts_with_the_status_of_its_point_alone() {
    let mut bench = Bench::new(1, |_, plan| {
        let condition = GateCondition::OneOf(vec!["cutting".into()]);
        plan.gate = Some(Gate { point: STATE, condition, settle: Duration::ZERO });
    });
    bench.report(0, STATE, ValueKind::Integer, 1.0, Status::GOOD);
    bench.warm_up(200);
    assert_eq!(bench.last().status, Status::GOOD);
    bench.report(210, STATE, ValueKind::Integer, 1.0, Status::BAD_SENSOR_FAILURE);
    assert_eq!(bench.last().status, Status::BAD_OUT_OF_SERVICE, "no input had to move");
    bench.report(220, STATE, ValueKind::Integer, 1.0, Status::GOOD);
    assert_eq!(bench.last().status, Status::GOOD);
}

#[test]
fn an_outage_is_no_latency() {
    let mut bench = Bench::new(1, |_, plan| plan.trigger = Trigger::Event(STATE));
    bench.report(0, STATE, ValueKind::Integer, 0.0, Status::GOOD);
    bench.warm_up(200);
    assert!(bench.sender.session(SessionState::Lost));
    bench.pass(300);
    bench.clock.set(ms(60_000));
    assert!(bench.sender.session(SessionState::Alive));
    bench.report(60_000, STATE, ValueKind::Integer, 1.0, Status::GOOD);
    let record = bench.last();
    assert_eq!(
        (record.outputs[0].value.clone(), record.latency.total_us),
        (Value::Float(3_000.0), 0)
    );
}

/// Two deployments of one model whose inference takes `one` nanoseconds for a row and `sixteen`
/// for sixteen; the rows of each call for one observation of both.
fn calls(one: u64, sixteen: u64) -> Vec<usize> {
    let sums = Arc::new(Sums::default());
    let own = served(&package("sums"), &sums);
    let mut asked = Vec::new();
    let lane = Lane::measured(own, &Waker::default(), &mut |_, _, rows| {
        asked.push(rows);
        Ok(if rows == 1 { one } else { sixteen })
    });
    assert_eq!(asked, [1, 16]);
    let mut bench = Bench::with_lane(lane.unwrap(), sums, 2, |_, _| {});
    bench.warm_up(200);
    std::mem::take(&mut *bench.sums[0].rows.lock())
}

#[test]
fn deployments_of_one_model_share_a_call_only_where_that_was_measured_to_be_faster() {
    assert_eq!(calls(1_000, 4_000), [2], "a row of sixteen takes a quarter");
    assert_eq!(calls(1_000, 16_000), [1, 1], "a batch saves nothing");
    assert_eq!(calls(1_000, 15_000), [1, 1], "a batch saves too little");
    assert_eq!(calls(1_000, 30_000), [1, 1], "a batch is slower");
}

#[test]
fn a_machine_that_goes_on_takes_its_values_back() {
    let mut bench = Bench::new(1, |_, _| {});
    bench.report(0, STATE, ValueKind::Integer, 1.0, Status::UNCERTAIN);
    bench.warm_up(200);
    assert!(bench.sender.session(SessionState::Lost));
    bench.pass(300);
    assert_eq!(bench.last().status, Status::BAD_NO_COMMUNICATION);
    assert!(bench.sender.session(SessionState::Resumed));
    bench.pass(400);
    assert_eq!(bench.last().status, Status::GOOD);
    let status = |bench: &Bench, point| bench.hub.values().slot(point).unwrap().status;
    assert_eq!((status(&bench, POWER), status(&bench, STATE)), (Status::GOOD, Status::UNCERTAIN));
    assert!(bench.sender.session(SessionState::Lost) && bench.sender.session(SessionState::Alive));
    bench.settle();
    let marked = Status::UNCERTAIN_NO_COMMUNICATION_LAST_USABLE_VALUE;
    assert_eq!(status(&bench, POWER), marked, "a new session has yet to say what it is now");
}
