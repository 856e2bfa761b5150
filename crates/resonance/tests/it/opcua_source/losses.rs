//! When something was lost, where the machine has another clock.

use std::sync::Arc;

use resonance_gateway::hub::ingest::SessionState;
use resonance_plant::{Clock, Code, DataType, SystemClock, Timestamp, Value};
use serde_json::json;

use super::harness::{Machine, Running, config, points};

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
