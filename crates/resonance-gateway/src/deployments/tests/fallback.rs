//! What is answered when the own model cannot.

use super::*;

#[test]
fn hold_last_says_that_it_holds() {
    let mut bench = Bench::new(1, |_, plan| plan.fallback = Fallback::HoldLast);
    bench.warm_up(200);
    bench.results();
    assert!(bench.sender.session(SessionState::Lost));
    bench.settle();
    let held = bench.last();
    assert_eq!(held.outputs[0].value, Value::Float(3_000.0));
    assert_eq!(held.status, Status::UNCERTAIN_LAST_USABLE_VALUE);
    assert_eq!(held.model.fallback, Some(FallbackUsed::HoldLast));
    assert_eq!((held.source_time, bench.told("deployment.fallback")), (ms(200), 1));
}

#[test]
fn another_model_answers_while_the_own_one_fails() {
    let other = package("other");
    let mut bench =
        Bench::new(1, |_, plan| plan.fallback = Fallback::FallBackTo(Arc::clone(&other)));
    bench.warm_up(200);
    bench.sums[0].fails.store(true, Ordering::Relaxed);
    bench.power(300, 1.0);
    let record = bench.last();
    assert_eq!((&*record.model.name, record.status), ("other", Status::GOOD));
    assert_eq!(record.model.fallback, Some(FallbackUsed::FallBackTo));
    assert_eq!(bench.state().0, DeploymentState::Degraded);
    bench.sums[0].fails.store(false, Ordering::Relaxed);
    bench.power(400, 1.0);
    assert_eq!(&*bench.last().model.name, "other", "the own model rests for a while");
    bench.power(20_000, 1.0);
    assert_eq!((&*bench.last().model.name, bench.state().0), ("sums", DeploymentState::Active));
}

#[test]
fn that_the_own_model_still_fails_is_no_news_and_it_is_tried_when_asked() {
    let other = package("other");
    let mut bench =
        Bench::new(1, |_, plan| plan.fallback = Fallback::FallBackTo(Arc::clone(&other)));
    bench.warm_up(200);
    bench.sums[0].fails.store(true, Ordering::Relaxed);
    bench.power(300, 1.0);
    bench.power(20_000, 1.0);
    bench.power(40_000, 1.0);
    assert_eq!(bench.faces.status()[0].failures, 3);
    assert_eq!((bench.told("inference.failed"), bench.told("deployment.fallback")), (1, 1));
    bench.sums[0].fails.store(false, Ordering::Relaxed);
    bench.fleet.deployments().for_each(|deployment| deployment.face.ask());
    bench.power(40_100, 1.0);
    assert_eq!((&*bench.last().model.name, bench.state().0), ("sums", DeploymentState::Active));
}

#[test]
fn a_model_that_fails_without_another_is_faulted_and_told_once() {
    let mut bench = Bench::new(1, |_, _| {});
    bench.warm_up(200);
    bench.sums[0].fails.store(true, Ordering::Relaxed);
    bench.power(300, 1.0);
    bench.power(400, 1.0);
    assert_eq!(bench.last().status, Status::BAD_INTERNAL_ERROR);
    assert_eq!(bench.told("inference.failed"), 1);
    let status = bench.faces.status().remove(0);
    assert_eq!((status.failures, status.state), (2, DeploymentState::Faulted));
}
