//! What is lost, and when: a gateway that is behind, and a machine with another clock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use resonance_gateway::hub::ingest::{BLOCKS_IN_FLIGHT, GapReason, SessionState};
use resonance_plant::{Clock, Code, DataType, SystemClock, Timestamp, Value};
use resonance_simulate::load::{LoadOptions, start_load};
use resonance_simulate::mutants::FaultyProxy;
use serde_json::json;

use super::harness::{Machine, Running, Said, config, points};
use super::scale::counters;

const LOAD: &[(&str, DataType)] = &[("Load", DataType::Float64)];

/// An hour behind.
#[derive(Debug)]
struct Behind;

const HOUR_NS: i64 = 3_600_000_000_000;

impl Clock for Behind {
    fn now(&self) -> Timestamp {
        Timestamp::from_nanos(SystemClock.now().nanos() - HOUR_NS)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_is_behind_asks_for_nothing_more_and_the_loss_is_a_gap() {
    // So slow that on a busy computer the machine's server still samples every change.
    let options = LoadOptions { points: 50, hz: 40.0, ..LoadOptions::default() };
    let machine = start_load(options).await.unwrap();
    let proxy = FaultyProxy::start(machine.addr()).await.unwrap();
    let settings = "queue_size = 2\npublishing_ms = 10";
    let quick = toml::from_str(&format!(
        "url = '{}'\nsampling_ms = 0\nsecurity_policy = 'none'\nallow_weak_security = true\n\
         {settings}",
        proxy.url()
    ));
    let mut source = Running::start(quick.unwrap(), counters(50));
    source.session(SessionState::Alive).await;
    // Nothing is taken from now on: the source fills its blocks and then stands.
    let began = Instant::now();
    let mut before = source.counters.observations.value();
    let held = loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = source.counters.observations.value();
        if now == before {
            break now;
        }
        before = now;
        assert!(began.elapsed() < Duration::from_secs(60), "it takes more and more: {now}");
    };
    let stands = SystemClock.now();
    let passed = proxy.traffic().bytes_down;
    tokio::time::sleep(Duration::from_secs(2)).await;
    // 4,000 changes would take 120 kB; the machine's time and nodes are looked at all the same.
    let passed = proxy.traffic().bytes_down - passed;
    assert!(passed < 20_000, "the machine was asked for nothing more: {passed} bytes");
    assert!(held <= (BLOCKS_IN_FLIGHT * 1_024) as u64);
    assert_eq!(source.counters.reconnects.value(), 0, "it stands, it is not lost");
    let gap = source
        .until("a gap", |this| {
            this.said.iter().find_map(|said| match said {
                Said::Missing(gap) if gap.to > stands => Some(gap.clone()),
                _ => None,
            })
        })
        .await;
    assert!(matches!(gap.reason, GapReason::Overflow | GapReason::SequenceGap), "{gap:?}");
    source
        .until("counts after the gap", |this| {
            let after = this.observed(0).filter(|(_, time, _)| *time > gap.to).count();
            (after > 20).then_some(())
        })
        .await;
    assert!(source.missing_within_gaps() > 0);
    source.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn gaps_are_told_on_the_clock_that_values_carry() {
    let test = "gaps_are_told_on_the_clock_that_values_carry";
    for (time, on_ours) in [("source", false), ("receive", true)] {
        let Some(mut machine) = Machine::start(test, &["Load:Double:1.5"], &[]) else { return };
        let source = config(&machine.url(), &format!("time = '{time}'"));
        let mut source = Running::start_at(source, points(LOAD), Arc::new(Behind));
        source.value(0, Value::Float(1.5)).await;
        machine.set("Load", json!({"value": 2.5}));
        let (before, _) = source.value(0, Value::Float(2.5)).await;
        let offset_ns = source.counters.clock_offset_us.value() * 1_000;
        assert!((offset_ns - HOUR_NS).abs() < 10_000_000_000, "{offset_ns}");
        source.event(Code::SourceClockOffset).await;
        let port = machine.port.to_string();
        machine.peer.kill();
        source.session(SessionState::Lost).await;
        let again = ["--port", &port];
        let _machine = Machine::start(test, &["Load:Double:3.5"], &again).unwrap();
        let gap = source.gap().await;
        let (after, _) = source.value(0, Value::Float(3.5)).await;
        let second = 1_000_000_000;
        assert!(gap.from.since(before).abs() < 20 * second, "{time}: {before}, {gap:?}");
        assert!(after.since(gap.to).abs() < 20 * second, "{time}: {after}, {gap:?}");
        let ours = Behind.now().since(gap.to).abs() < 60 * second;
        assert_eq!(ours, on_ours, "{time}: {gap:?}");
    }
}
