//! Machines and networks that fail.

use std::time::{Duration, Instant};

use resonance_gateway::hub::ingest::{GapReason, SessionState};
use resonance_plant::{Code, DataType, Status, Value};
use resonance_simulate::mutants::{FaultyProxy, HangingServer, Manner};
use serde_json::json;

use super::harness::{Machine, Running, Said, config, points};

const LOAD: &[(&str, DataType)] = &[("Load", DataType::Float64)];
const COUNT: &[(&str, DataType)] = &[("Count", DataType::Int64)];

#[tokio::test]
async fn a_killed_and_restarted_server_is_a_gap_and_then_data_again() {
    let test = "a_killed_and_restarted_server_is_a_gap_and_then_data_again";
    let nodes = ["Load:Double:1.5"];
    let Some(machine) = Machine::start(test, &nodes, &["--running-for", "60"]) else { return };
    let mut source = Running::start(config(&machine.url(), ""), points(LOAD));
    source.value(0, Value::Float(1.5)).await;
    let port = machine.port.to_string();
    machine.peer.kill();
    source.session(SessionState::Lost).await;
    source.event(Code::SourceDisconnected).await;
    let machine = Machine::start(test, &["Load:Double:2.5"], &["--port", &port]).unwrap();
    source.value(0, Value::Float(2.5)).await;
    let gap = source.gap().await;
    assert_eq!(gap.reason, GapReason::ServerRestart);
    assert!(gap.points.is_empty() && gap.from < gap.to);
    source.event(Code::SourceRestarted).await;
    assert_eq!(source.counters.reconnects.value(), 1);
    // In order: what was before, the loss, the gap, the return, what came after.
    let order: Vec<&str> = source
        .said
        .iter()
        .map(|said| match said {
            Said::Observed { .. } => "value",
            Said::Missing(_) => "gap",
            Said::Session(SessionState::Alive) => "alive",
            Said::Session(SessionState::Lost) => "lost",
            Said::Session(SessionState::Resumed) => "resumed",
        })
        .collect();
    assert_eq!(order, ["alive", "value", "lost", "gap", "alive", "value"]);
    drop(machine);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_connection_cut_in_mid_message_loses_nothing() {
    let test = "a_connection_cut_in_mid_message_loses_nothing";
    let Some(mut machine) = Machine::start(test, &["Load:Double:1.5"], &[]) else { return };
    let proxy = FaultyProxy::start(machine.addr()).await.unwrap();
    let mut source = Running::start(config(&proxy.url(), ""), points(LOAD));
    source.value(0, Value::Float(1.5)).await;
    proxy.cut_after_bytes(20);
    machine.set("Load", json!({"value": 2.5}));
    source.session(SessionState::Lost).await;
    source.session(SessionState::Resumed).await;
    // The message that was cut is asked for again.
    source.value(0, Value::Float(2.5)).await;
    assert_eq!((source.counters.gaps.value(), source.counters.reconnects.value()), (0, 1));
    machine.set("Load", json!({"value": 3.5}));
    source.value(0, Value::Float(3.5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_server_that_falls_silent_is_noticed_and_connected_anew() {
    let test = "a_server_that_falls_silent_is_noticed_and_connected_anew";
    let Some(machine) = Machine::start(test, &["Load:Double:1.5"], &[]) else { return };
    let proxy = FaultyProxy::start(machine.addr()).await.unwrap();
    let quick = config(&proxy.url(), "silence_ms_max = 1000\nrequest_timeout_ms = 1000");
    let mut source = Running::start(quick, points(LOAD));
    source.value(0, Value::Float(1.5)).await;
    source.forget();
    // Keep-alives alone keep a session: nothing changes for three times the silence.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(source.counters.reconnects.value(), 0);
    proxy.stall();
    source.event(Code::SourceSilent).await;
    source.session(SessionState::Lost).await;
    proxy.resume();
    source.session(SessionState::Resumed).await;
    assert_eq!(source.counters.gaps.value(), 0, "the machine kept what it had to say");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_server_that_accepts_and_never_publishes_is_noticed() {
    let test = "a_server_that_accepts_and_never_publishes_is_noticed";
    let Some(machine) = Machine::start(test, &["Load:Double:1.5"], &[]) else { return };
    let proxy = FaultyProxy::start(machine.addr()).await.unwrap();
    proxy.drop_publish_responses(u64::MAX);
    let quick = config(&proxy.url(), "silence_ms_max = 500");
    let mut source = Running::start(quick, points(LOAD));
    source.event(Code::SourceSilent).await;
    proxy.resume();
    source.value(0, Value::Float(1.5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn lost_messages_are_fetched_again() {
    let test = "lost_messages_are_fetched_again";
    let Some(mut machine) = Machine::start(test, &["Count:Int64:-1"], &[]) else { return };
    let proxy = FaultyProxy::start(machine.addr()).await.unwrap();
    let mut source = Running::start(config(&proxy.url(), "queue_size = 100"), points(COUNT));
    source.value(0, Value::Int(-1)).await;
    machine.peer.tell(json!({"op": "ramp", "node": "Count", "count": 500, "every_ms": 3}));
    source.value(0, Value::Int(50)).await;
    proxy.drop_publish_responses(2);
    source.value(0, Value::Int(499)).await;
    assert_eq!(proxy.traffic().publish_dropped, 2);
    let mut expected = 0;
    for (value, _, status) in source.observed(0).skip(1) {
        assert_eq!(status, Status::GOOD);
        assert_eq!(value, Value::Int(expected), "all of them, in order");
        expected += 1;
    }
    assert_eq!(expected, 500);
    assert_eq!(source.counters.sequence_gaps.value(), 0);
    assert_eq!(source.counters.reconnects.value(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn fifty_hanging_servers_do_not_disturb_a_good_one() {
    let test = "fifty_hanging_servers_do_not_disturb_a_good_one";
    let Some(mut machine) = Machine::start(test, &["Load:Double:1.5"], &[]) else { return };
    let manners = [
        Manner::Mute,
        Manner::AcknowledgeOnly,
        Manner::Garbage,
        Manner::AbsurdSize,
        Manner::HangUp,
    ];
    let mut hanging = Vec::new();
    for number in 0..50 {
        let server = HangingServer::start(manners[number % manners.len()]).await.unwrap();
        let quick = config(&server.url(), "request_timeout_ms = 500");
        hanging.push((Running::start(quick, points(LOAD)), server));
    }
    let mut source = Running::start(config(&machine.url(), ""), points(LOAD));
    source.value(0, Value::Float(1.5)).await;
    for (stuck, server) in &mut hanging {
        server.await_accepted(1).await;
        stuck.event(Code::SourceDisconnected).await;
    }
    machine.set("Load", json!({"value": 2.5}));
    let told = Instant::now();
    source.value(0, Value::Float(2.5)).await;
    assert!(told.elapsed() < Duration::from_secs(5), "{:?}", told.elapsed());
    assert_eq!(source.counters.reconnects.value(), 0);
    for (stuck, _) in hanging {
        assert!(stuck.said.is_empty(), "nothing is known of a machine never reached");
        stuck.stop();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn messages_that_the_machine_cannot_repeat_are_a_gap() {
    let test = "messages_that_the_machine_cannot_repeat_are_a_gap";
    let Some(mut machine) = Machine::start(test, &["Count:Int64:-1"], &[]) else { return };
    let proxy = FaultyProxy::start(machine.addr()).await.unwrap();
    let mut source = Running::start(config(&proxy.url(), "queue_size = 100"), points(COUNT));
    source.value(0, Value::Int(-1)).await;
    machine.peer.tell(json!({"op": "forget_sent"}));
    machine.peer.tell(json!({"op": "ramp", "node": "Count", "count": 500, "every_ms": 3}));
    source.value(0, Value::Int(50)).await;
    proxy.drop_publish_responses(2);
    source.value(0, Value::Int(499)).await;
    assert_eq!(proxy.traffic().publish_dropped, 2);
    assert_eq!(source.counters.sequence_gaps.value(), 2);
    let told = source.event(Code::DataGap).await;
    assert!(told.message.contains("dropped notifications"), "{}", told.message);

    let gaps: Vec<_> = source
        .said
        .iter()
        .filter_map(|said| if let Said::Missing(gap) = said { Some(gap) } else { None })
        .collect();
    assert!(gaps.iter().all(|gap| gap.reason == GapReason::SequenceGap), "{gaps:?}");
    let counted: Vec<_> = source.observed(0).skip(1).collect();
    let mut missing = 0;
    for pair in counted.windows(2) {
        let [(Value::Int(before), since, _), (Value::Int(after), until, _)] = pair else {
            panic!("it counts: {pair:?}");
        };
        if after - before > 1 {
            missing += after - before - 1;
            let told = gaps.iter().any(|gap| gap.from < *until && gap.to > *since);
            assert!(told, "{pair:?} in none of {gaps:?}");
        }
    }
    assert!(missing > 0, "two messages of values are missing");
    assert_eq!(source.counters.reconnects.value(), 0, "the session goes on");
}
