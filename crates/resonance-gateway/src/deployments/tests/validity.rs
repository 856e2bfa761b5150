//! What a record says of itself, and until when it holds.

use super::*;

#[test]
fn what_is_read_from_a_history_gives_results_that_say_so() {
    let mut bench = Bench::new(1, |_, _| {});
    bench.warm_up(200);
    assert!(!bench.last().backfilled);
    bench.clock.set(ms(1_000));
    let mut block = bench.sender.take().unwrap();
    (block.receive_time, block.backfilled) = (ms(1_000), true);
    block.push(POWER, ValueKind::Float, 2.0, ms(300), Status::GOOD);
    bench.sender.send(block);
    bench.settle();
    let past = bench.last();
    assert_eq!((past.source_time, past.backfilled), (ms(300), true));
    bench.power(1_100, 2.0);
    let now = bench.last();
    assert_eq!((now.source_time, now.backfilled), (ms(1_100), false));
}

#[test]
fn a_record_stands_alone_and_its_identity_is_that_of_role_machine_and_component() {
    let mut bench = Bench::new(1, |_, _| {});
    bench.warm_up(200);
    let answer = bench.last();
    bench.sums[0].fails.store(true, Ordering::Relaxed);
    bench.power(300, 1.0);
    let refusal = bench.last();
    for record in [answer, refusal] {
        let place = (&*record.equipment_id, record.physical_asset_id.as_deref());
        assert_eq!(place, ("acme/mill", Some("SN-7")));
        let output = &record.outputs[0];
        assert_eq!((&*output.qualifier.0, output.quantity), ("X", Some(QuantityKind::Power)));
    }
}

/// The sum of the first deployment's results, for the second.
fn chained(at: usize, plan: &mut DeploymentPlan) {
    if at == 1 {
        let conversion = Conversion::IDENTITY;
        plan.bindings[0] = Binding { point: PointIndex(2), conversion, max_age: None };
    }
}

#[test]
fn an_answer_holds_by_our_clock_however_wrong_the_machines_is() {
    for shift_ms in [-3_600_000, 0, 3_600_000] {
        let mut bench = Bench::new(2, chained);
        bench.source.clock_offset_us.set(shift_ms * 1_000);
        for at in 0..10 {
            bench.power(at * 100, 1.0);
        }
        let records = bench.results();
        for id in ["d0", "d1"] {
            let record = records.iter().rfind(|record| &*record.deployment == id).unwrap();
            assert_eq!(record.source_time, ms(900 + shift_ms), "by the machine's clock");
            assert_eq!(record.valid_until, ms(10_900), "{id} by ours, offset {shift_ms} ms");
        }
        assert_eq!(bench.output().1, Status::GOOD);
    }
}

#[test]
fn a_clock_that_runs_ahead_unmeasured_makes_no_answer_hold_longer() {
    let mut bench = Bench::new(1, |_, _| {});
    bench.source.clock_offset_us.set(3_600_000_000);
    bench.warm_up(200);
    bench.source.clock_offset_us.set(0);
    bench.pass(5_200);
    assert_eq!(bench.last().valid_until, ms(15_200));
}

#[test]
fn an_answer_that_turned_stale_says_so_in_the_points_that_carry_it() {
    let mut bench = Bench::new(1, |_, plan| plan.trigger = Trigger::Event(STATE));
    bench.report(0, STATE, ValueKind::Integer, 0.0, Status::GOOD);
    bench.warm_up(200);
    bench.report(60_000, STATE, ValueKind::Integer, 1.0, Status::GOOD);
    let record = bench.last();
    let times = (record.source_time, record.valid_until);
    assert_eq!(times, (ms(60_000), ms(70_000)), "what did not change held until the event");
    assert_eq!(bench.fleet.next_due(), Some(ms(70_000)));
    bench.pass(69_999);
    assert_eq!(bench.output(), (Value::Float(3_000.0), Status::GOOD));
    bench.pass(70_000);
    let stale = (Value::Float(3_000.0), Status::UNCERTAIN_LAST_USABLE_VALUE);
    assert_eq!((bench.output(), bench.fleet.next_due()), (stale, None));
    assert!(bench.results().is_empty(), "nothing was computed");
    bench.report(80_000, STATE, ValueKind::Integer, 0.0, Status::GOOD);
    assert_eq!(bench.output().1, Status::GOOD);
}

#[test]
fn a_model_that_reads_a_stale_answer_gives_an_uncertain_one() {
    let mut bench = Bench::new(2, |at, plan| {
        chained(at, plan);
        plan.trigger = match at {
            0 => Trigger::Event(STATE),
            _ => Trigger::Every(Duration::from_secs(1)),
        };
    });
    bench.report(0, STATE, ValueKind::Integer, 0.0, Status::GOOD);
    bench.warm_up(200);
    for at in 3..6_i64 {
        bench.report(at * 100, STATE, ValueKind::Integer, (at % 2) as f64, Status::GOOD);
    }
    for (at, status) in [(9_000, Status::GOOD), (11_000, Status::UNCERTAIN_LAST_USABLE_VALUE)] {
        bench.pass(at);
        let record = bench.last();
        assert_eq!((&*record.deployment, record.status), ("d1", status), "at {at} ms");
    }
}

#[test]
fn an_answer_on_change_is_renewed_before_it_goes_stale() {
    let mut bench = Bench::new(1, |_, _| {});
    bench.warm_up(200);
    bench.results();
    bench.pass(5_199);
    assert!(bench.results().is_empty());
    bench.pass(5_200);
    let renewed = bench.last();
    assert_eq!((renewed.source_time, renewed.status), (ms(5_200), Status::GOOD));
    assert_eq!(renewed.latency.total_us, 0, "the clock asked, just now");
}
