//! Models that take their time, or end: threads of their own, budgets, triggers that pass unused.

use std::time::Instant;

use super::*;

/// A deployment whose model is taken to need `row_ns` nanoseconds for a row.
fn paced(row_ns: u64) -> (Bench, Arc<ServedModel>) {
    let sums = Arc::new(Sums::default());
    let own = served(&package("sums"), &sums);
    let waker = Waker::default();
    waker.register();
    let lane = Lane::measured(Arc::clone(&own), &waker, &mut |_, _, _| Ok(row_ns)).unwrap();
    (Bench::with_lane(lane, sums, 1, |_, _| {}), own)
}

/// Turns, each time the model's thread wakes the hub, until it has done its part.
fn until(bench: &mut Bench, what: &str, mut is_so: impl FnMut(&mut Bench) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        bench.settle();
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "nothing woke the hub within ten seconds: {what}");
        if is_so(bench) {
            return;
        }
        std::thread::park_timeout(left);
    }
}

#[test]
fn a_slow_model_runs_beside_the_hub_and_what_comes_meanwhile_is_not_lost() {
    let (mut bench, _) = paced(1_000_000);
    let sums = Arc::clone(&bench.sums[0]);
    let held = sums.rows.lock();
    bench.warm_up(200);
    assert!(bench.fleet.is_inferring());
    bench.power(300, 4.0);
    assert!(bench.results().is_empty());
    assert_eq!(bench.hub.values().slot(POWER).unwrap().value, 4.0, "the hub goes on");
    drop(held);
    let mut records = Vec::new();
    until(&mut bench, "both answers", |bench| {
        records.extend(bench.results());
        records.len() == 2
    });
    let seen: Vec<_> = records.iter().map(|record| (record.source_time, record.status)).collect();
    assert_eq!(seen, [(ms(200), Status::GOOD), (ms(300), Status::GOOD)]);
    assert_eq!(records[1].outputs[0].value, Value::Float(6_000.0));
}

#[test]
fn a_batch_whose_thread_panics_fails_and_so_does_what_comes_after_it() {
    let (mut bench, own) = paced(1_000_000);
    bench.warm_up(200);
    until(&mut bench, "an answer", |bench| !bench.results().is_empty());
    bench.sums[0].panics.store(true, Ordering::Relaxed);
    bench.power(300, 1.0);
    until(&mut bench, "the failure", |bench| bench.told("inference.failed") == 1);
    assert_eq!(bench.last().status, Status::BAD_INTERNAL_ERROR);
    let (state, reason) = bench.state();
    assert!(state == DeploymentState::Faulted && reason.contains("panicked"), "{reason}");
    assert_eq!((bench.faces.status()[0].failures, own.state()), (1, ModelState::Failed));
    assert!(!bench.fleet.is_inferring());
    bench.power(400, 1.0);
    assert_eq!((bench.faces.status()[0].failures, bench.told("inference.failed")), (2, 1));
}

#[test]
fn eight_inferences_over_budget_degrade_until_one_is_within() {
    let (mut bench, _) = paced(1_000);
    bench.sums[0].takes_ms.store(6, Ordering::Relaxed);
    bench.warm_up(200);
    for at in 3..9 {
        bench.power(at * 100, 1.0);
    }
    assert_eq!((bench.state().0, bench.told("deployment.latency")), (DeploymentState::Active, 0));
    for at in 9..11 {
        bench.power(at * 100, 1.0);
        let (state, reason) = bench.state();
        assert!(state == DeploymentState::Degraded && reason.contains("budget"), "{reason}");
    }
    assert_eq!((bench.faces.status()[0].over_budget, bench.told("deployment.latency")), (9, 1));
    assert_eq!(bench.last().latency.budget_us, 5_000);
    bench.sums[0].takes_ms.store(0, Ordering::Relaxed);
    bench.power(1_100, 1.0);
    assert_eq!(bench.state().0, DeploymentState::Active);
}

#[test]
fn triggers_that_pass_unused_are_counted_and_told_once_an_episode() {
    let mut bench =
        Bench::new(1, |_, plan| plan.trigger = Trigger::Every(Duration::from_millis(100)));
    bench.warm_up(200);
    let overruns =
        |bench: &Bench| (bench.faces.status()[0].overruns, bench.told("deployment.overrun"));
    assert_eq!(overruns(&bench), (0, 0));
    for (at, counted) in [(850, (5, 1)), (1_150, (7, 1)), (1_200, (7, 1)), (1_500, (9, 2))] {
        bench.pass(at);
        assert_eq!(overruns(&bench), counted, "at {at} ms");
    }
}
