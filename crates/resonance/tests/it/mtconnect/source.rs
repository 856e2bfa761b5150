//! What the source makes of what an agent says, and of losses.

use resonance_gateway::hub::ingest::{GapReason, SessionState};
use resonance_plant::{Clock, Code, DataType, Status, SystemClock, Timestamp, Value};
use resonance_simulate::mtconnect::{AgentOptions, Said, cnc_model, serve};
use resonance_wire::mtconnect::{DataItem, Level, Representation, Version};

use super::{agent, number, start};

const X: &[(&str, DataType)] = &[("x_pos", DataType::Float64)];

fn condition(level: Level, code: &str) -> Said {
    Said::Condition { level, code: code.into(), message: "bearing".into() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn state_then_stream_with_time_status_and_conditions_as_sets() {
    for version in ["1.8", "2.0", "2.4", "2.7"] {
        let agent = agent(version, 1_000).await;
        let at = Timestamp::from_millis(SystemClock.now().millis() - 60_000);
        agent.observe_at("x_pos", number(1.5), at);
        agent.observe("exec", Said::Text("ACTIVE".into()));
        agent.observe("s_temp_cond", condition(Level::Normal, ""));
        let mut source = start(
            &agent.url(),
            "",
            &[
                ("x_pos", DataType::Float64),
                ("exec", DataType::String),
                ("s_temp_cond", DataType::Int32),
                ("s_temp_cond", DataType::String),
                ("parts", DataType::Uint32),
                ("x_poss", DataType::Float64),
            ],
        );
        let (time, status) = source.value(0, Value::Float(1.5)).await;
        assert_eq!((time, status), (at, Status::GOOD), "{version}");
        source.value(1, Value::Text("ACTIVE".into())).await;
        source.value(2, Value::Int(0)).await;
        source.value(3, Value::Text("Normal".into())).await;
        source.status(4, Status::BAD_NO_COMMUNICATION).await;
        source.status(5, Status::BAD_NODE_ID_UNKNOWN).await;
        let unknown = source.event(Code::PointUnknown).await;
        assert!(unknown.message.contains("\"x_pos\" is near"), "{}", unknown.message);
        source.event(Code::SourceConnected).await;

        agent.observe("s_temp_cond", condition(Level::Warning, "W1"));
        source.value(2, Value::Int(1)).await;
        agent.observe("s_temp_cond", condition(Level::Fault, "F2"));
        source.value(2, Value::Int(2)).await;
        source.value(3, Value::Text("Fault F2: bearing; Warning W1: bearing".into())).await;
        source.forget();
        agent.observe("s_temp_cond", condition(Level::Normal, "F2"));
        source.value(2, Value::Int(1)).await;
        agent.observe(
            "s_temp_cond",
            Said::Condition {
                level: Level::Unavailable,
                code: String::new(),
                message: String::new(),
            },
        );
        source.status(2, Status::BAD_NO_COMMUNICATION).await;
        agent.observe("x_pos", Said::Unavailable);
        source.status(0, Status::BAD_NO_COMMUNICATION).await;
        agent.observe("x_pos", Said::Text("far".into()));
        source.status(0, Status::BAD_TYPE_MISMATCH).await;
        source.event(Code::PointTypeChanged).await;
        agent.observe("parts", number(7.0));
        source.value(4, Value::Int(7)).await;
        assert_eq!(source.counters.gaps.value(), 0);
        source.stop();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn entries_that_a_state_does_not_have_are_none() {
    let mut model = cnc_model(Version::parse("2.7").unwrap(), 1_000, 1);
    let items = &mut model.devices.last_mut().unwrap().data_items;
    let like = items.iter().find(|item| item.id == "exec").unwrap().clone();
    let (id, kind) = ("vars".to_owned(), "VARIABLE".to_owned());
    let representation = Representation::DataSet;
    items.push(DataItem { id, kind, representation, ..like });
    items.sort_by_key(|item| item.component);
    let agent = serve(model, AgentOptions::default()).await.unwrap();
    let entry = |key: &str, value: &str| (key.to_owned(), Some(value.to_owned()));
    agent.observe("vars", Said::Entries(vec![entry("R1", "1")]));
    let points = [("vars#R1", DataType::Float64), ("vars#R2", DataType::Float64)];
    let mut source = start(&agent.url(), "", &points);
    source.value(0, Value::Float(1.0)).await;
    source.status(1, Status::BAD_NO_DATA).await;
    source.forget();
    agent.observe("vars", Said::Entries(vec![entry("R2", "2")]));
    source.value(1, Value::Float(2.0)).await;
    assert_eq!(source.observed(0).count(), 0, "what a change does not name stands");
    source.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_activations_of_a_state_are_one_observation() {
    let agent = agent("2.7", 1_000).await;
    agent.observe("s_temp_cond", condition(Level::Warning, "W1"));
    agent.observe("s_temp_cond", condition(Level::Fault, "F2"));
    let mut source = start(&agent.url(), "", &[("s_temp_cond", DataType::Int32)]);
    source.value(0, Value::Int(2)).await;
    agent.observe("s_temp_cond", condition(Level::Normal, "F2"));
    source.value(0, Value::Int(1)).await;
    let levels: Vec<Value> = source.observed(0).map(|(value, ..)| value).collect();
    assert_eq!(levels, [Value::Int(2), Value::Int(1)], "and none on the way");
    source.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn one_device_of_several_can_be_asked_for() {
    let agent = agent("2.7", 1_000).await;
    agent.observe("x_pos", number(1.0));
    let mut source = start(&agent.url(), "device = 'CNC'", X);
    source.value(0, Value::Float(1.0)).await;
    agent.observe("agent_avail", Said::Text("AVAILABLE".into()));
    agent.observe("x_pos", number(2.0));
    source.value(0, Value::Float(2.0)).await;
    assert_eq!(source.counters.sequence_gaps.value(), 0, "another device's numbers do not miss");
    let mut nobody = start(&agent.url(), "device = 'mill 7'", X);
    let refused = nobody.event(Code::SourceRefused).await;
    assert!(refused.message.contains("NO_DEVICE"), "{}", refused.message);
    assert!(refused.message.contains("/mill%207/probe"), "{}", refused.message);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_stream_that_was_cut_goes_on_where_it_was() {
    let agent = agent("2.7", 100_000).await;
    agent.observe("x_pos", number(-1.0));
    let mut source = start(&agent.url(), "count_max = 50", X);
    source.value(0, Value::Float(-1.0)).await;
    // What comes after the first state is heard over a stream, which can be cut.
    agent.observe("x_pos", number(0.0));
    source.value(0, Value::Float(0.0)).await;
    for round in 0..3 {
        for step in 1..=400 {
            agent.observe("x_pos", number(f64::from(round * 400 + step)));
            if step == 200 {
                agent.hang_up();
            }
        }
        source.value(0, Value::Float(f64::from(round * 400 + 400))).await;
    }
    source.session(SessionState::Resumed).await;
    let values: Vec<Value> = source.observed(0).map(|(value, ..)| value).collect();
    let expected: Vec<Value> = (-1..=1_200).map(|n| Value::Float(f64::from(n))).collect();
    assert!(values == expected, "each once and in order: {} values", values.len());
    assert_eq!(source.counters.gaps.value(), 0);
    assert_eq!(source.counters.reconnects.value(), 3);
    assert!(source.counters.backfilled.value() > 0, "what nobody heard is marked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_agent_that_starts_anew_is_a_gap() {
    let agent = agent("2.7", 1_000).await;
    agent.observe("x_pos", number(1.0));
    let mut source = start(&agent.url(), "", X);
    let (before, _) = source.value(0, Value::Float(1.0)).await;
    agent.restart();
    agent.observe("x_pos", number(2.0));
    source.value(0, Value::Float(2.0)).await;
    let gap = source.gap().await;
    assert_eq!(gap.reason, GapReason::ServerRestart);
    let near = gap.from.since(before).abs() < 10_000_000_000;
    assert!(near && gap.to > gap.from && gap.points.is_empty(), "{gap:?}");
    source.event(Code::SourceRestarted).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_buffer_that_ran_over_while_away_is_a_gap() {
    let agent = agent("2.7", 60).await;
    agent.observe("x_pos", number(0.0));
    let mut source = start(&agent.url(), "", X);
    source.value(0, Value::Float(0.0)).await;
    agent.hang_up();
    for step in 1..=500 {
        agent.observe("x_pos", number(f64::from(step)));
    }
    source.value(0, Value::Float(500.0)).await;
    assert_eq!(source.gap().await.reason, GapReason::Overflow);
    assert_eq!(source.counters.gaps.value(), 1);
    agent.observe("x_pos", number(501.0));
    source.value(0, Value::Float(501.0)).await;
    assert_eq!(source.counters.gaps.value(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_silent_machine_is_told_from_a_quiet_one_by_its_heartbeat() {
    let agent = agent("2.7", 1_000).await;
    agent.observe("x_pos", number(1.0));
    let watchdog = "heartbeat_ms = 50\nsilence_ms_max = 500";
    let mut source = start(&agent.url(), watchdog, X);
    source.value(0, Value::Float(1.0)).await;
    let documents = agent.documents();
    source.until("thirty heartbeats", |_| (agent.documents() > documents + 30).then_some(())).await;
    assert_eq!(source.counters.reconnects.value(), 0, "quiet, and heard");
    agent.misbehave(resonance_simulate::mtconnect::Mischief::Silent);
    source.event(Code::SourceSilent).await;
    source.session(SessionState::Lost).await;
    agent.misbehave(resonance_simulate::mtconnect::Mischief::None);
    agent.observe("x_pos", number(2.0));
    source.value(0, Value::Float(2.0)).await;
    source.session(SessionState::Resumed).await;
}
