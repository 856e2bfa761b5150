//! Agents that misbehave: each is told for what it does, nothing of it is taken, and the source
//! goes on as soon as the agent does.

use resonance_gateway::hub::ingest::GapReason;
use resonance_plant::{Code, DataType, Value};
use resonance_simulate::mtconnect::{Mischief, Serving};

use super::{agent, number, start};
use crate::opcua_source::harness::Running;

const X: &[(&str, DataType)] = &[("x_pos", DataType::Float64)];

/// What a document may take here, bytes.
const DOCUMENT_MAX: u64 = 1 << 20;

async fn healthy() -> (Serving, Running) {
    let agent = agent("2.7", 100_000).await;
    agent.observe("x_pos", number(1.0));
    let more =
        format!("document_bytes_max = {DOCUMENT_MAX}\nheartbeat_ms = 50\nsilence_ms_max = 20_000");
    let mut source = start(&agent.url(), &more, X);
    source.value(0, Value::Float(1.0)).await;
    (agent, source)
}

/// The source leaves an agent that does this, says why in these words, and finds it again.
async fn left_and_found_again(mischief: Mischief, code: Code, says: &str) {
    let (agent, mut source) = healthy().await;
    agent.misbehave(mischief);
    agent.observe("x_pos", number(2.0));
    let told = source.event(code).await;
    assert!(told.message.contains(says), "{mischief:?}: {}", told.message);
    let taken = source.observed(0).filter(|(value, ..)| *value == Value::Float(2.0)).count();
    assert_eq!(taken, 0, "{mischief:?}: a document is taken whole or not at all");
    agent.misbehave(Mischief::None);
    agent.observe("x_pos", number(3.0));
    source.value(0, Value::Float(3.0)).await;
    let values: Vec<Value> = source.observed(0).map(|(value, ..)| value).collect();
    assert_eq!(values, [1.0, 2.0, 3.0].map(Value::Float), "{mischief:?}");
    assert_eq!(source.counters.gaps.value(), 0, "{mischief:?}: the buffer had all");
    source.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_document_cut_in_half() {
    left_and_found_again(Mischief::CutDocument, Code::SourceDisconnected, "cut off").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_connection_cut_in_a_document() {
    left_and_found_again(Mischief::CutConnection, Code::SourceDisconnected, "stream").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_document_announced_as_a_gigabyte() {
    let says = "bytes, more than the 1048576 bytes allowed";
    left_and_found_again(Mischief::Gigabyte, Code::SourceDisconnected, says).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_gigabyte_that_nobody_announced_takes_no_memory() {
    let before = resident_bytes();
    let says = "more than the 1048576 bytes allowed";
    left_and_found_again(Mischief::GigabyteUnannounced, Code::SourceDisconnected, says).await;
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 200 << 20, "{grown} bytes more");
}

/// What this process holds, as the kernel counts it.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split(' ').nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
    pages * 4096
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_entity_bomb() {
    left_and_found_again(Mischief::EntityBomb, Code::SourceDisconnected, "DOCTYPE").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_length_that_lies() {
    left_and_found_again(Mischief::LyingLength, Code::SourceDisconnected, "cut off").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_web_page() {
    left_and_found_again(Mischief::Garbage, Code::SourceDisconnected, "/sample").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn documents_that_come_twice_are_taken_once() {
    let (agent, mut source) = healthy().await;
    agent.misbehave(Mischief::Twice);
    for step in 2..50 {
        agent.observe("x_pos", number(f64::from(step)));
        source.value(0, Value::Float(f64::from(step))).await;
    }
    let values: Vec<Value> = source.observed(0).map(|(value, ..)| value).collect();
    assert_eq!(values, (1..50).map(|n| Value::Float(f64::from(n))).collect::<Vec<_>>());
    assert_eq!(source.counters.gaps.value(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn documents_that_are_left_out_are_gaps() {
    let (agent, mut source) = healthy().await;
    agent.misbehave(Mischief::Skip);
    let mut step = 2.0;
    let gap = loop {
        agent.observe("x_pos", number(step));
        step += 1.0;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        if source.counters.sequence_gaps.value() > 0 {
            break source.gap().await;
        }
        assert!(step < 1_000.0, "nothing was missed");
    };
    assert_eq!(gap.reason, GapReason::SequenceGap);
    source.event(Code::DataGap).await;
    agent.misbehave(Mischief::None);
    agent.observe("x_pos", number(-1.0));
    source.value(0, Value::Float(-1.0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_agent_that_is_not_there_is_tried_for_ever_with_growing_waits() {
    let agent = agent("2.7", 100).await;
    let (addr, url) = (agent.addr(), agent.url());
    drop(agent);
    // It ends on threads of its own.
    while tokio::net::TcpStream::connect(addr).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let mut source = start(&url, "", X);
    let told = source.event(Code::SourceDisconnected).await;
    assert!(told.message.contains("does the agent run?"), "{}", told.message);
    let model = resonance_simulate::mtconnect::cnc_model(
        resonance_wire::mtconnect::Version { major: 2, minor: 7 },
        100,
        1,
    );
    let options = resonance_simulate::mtconnect::AgentOptions { listen: addr };
    let agent = source_again(model, options).await;
    agent.observe("x_pos", number(4.0));
    source.value(0, Value::Float(4.0)).await;
    assert_eq!(source.counters.gaps.value(), 0, "nothing is missing before the first contact");
    source.stop();
}

/// The port may be in use for a moment after the agent before is gone.
async fn source_again(
    model: resonance_wire::mtconnect::Devices,
    options: resonance_simulate::mtconnect::AgentOptions,
) -> Serving {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        match resonance_simulate::mtconnect::serve(model.clone(), options).await {
            Ok(agent) => return agent,
            Err(error) => assert!(std::time::Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}
