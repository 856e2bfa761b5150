//! What a machine may send.

use std::time::Duration;

use resonance_gateway::hub::ingest::SessionState;
use resonance_plant::{Code, DataType, Status, Timestamp, Value};
use serde_json::json;

use super::harness::{Machine, Running, config, points};

const LOAD: &[(&str, DataType)] = &[("Load", DataType::Float64)];

#[tokio::test]
async fn data_arrives_with_the_time_and_status_of_its_source() {
    let test = "data_arrives_with_the_time_and_status_of_its_source";
    let Some(mut machine) = Machine::start(test, &["Load:Double:1.5"], &[]) else { return };
    let mut source = Running::start(config(&machine.url(), ""), points(LOAD));
    source.session(SessionState::Alive).await;
    source.value(0, Value::Float(1.5)).await;
    let hour_ago =
        Timestamp::from_system_time(std::time::SystemTime::now()).minus(Duration::from_secs(3600));
    // A microsecond is what Python keeps.
    let time = Timestamp::from_nanos(hour_ago.nanos() / 1_000 * 1_000);
    machine.set("Load", json!({"value": 2.5, "source_time": time.to_string()}));
    assert_eq!(source.value(0, Value::Float(2.5)).await, (time, Status::GOOD));
    machine.set("Load", json!({"value": 3.5, "status": Status::UNCERTAIN_SENSOR_NOT_ACCURATE.0}));
    let (_, status) = source.value(0, Value::Float(3.5)).await;
    assert_eq!(status, Status::UNCERTAIN_SENSOR_NOT_ACCURATE);
    machine.set("Load", json!({"value": 0.0, "status": Status::BAD_SENSOR_FAILURE.0}));
    assert_eq!(source.status(0, Status::BAD_SENSOR_FAILURE).await, Value::Empty);
    assert!(source.counters.clock_offset_us.value().abs() < 1_000_000);
    assert_eq!(source.counters.times_replaced.value(), 0);
    source.event(Code::SourceConnected).await;
    source.stop();
}

#[tokio::test]
async fn the_servers_time_is_taken_where_it_is_asked_for() {
    let test = "the_servers_time_is_taken_where_it_is_asked_for";
    let Some(mut machine) = Machine::start(test, &["Load:Double:1.5"], &[]) else { return };
    let mut source = Running::start(config(&machine.url(), "time = 'server'"), points(LOAD));
    source.value(0, Value::Float(1.5)).await;
    let replaced = source.counters.times_replaced.value();
    let now = Timestamp::from_system_time(std::time::SystemTime::now());
    let [sensed, sent] = [7_200, 3_600].map(|ago| {
        let then = now.minus(Duration::from_secs(ago));
        Timestamp::from_nanos(then.nanos() / 1_000 * 1_000)
    });
    let times = json!({
        "value": 2.5, "source_time": sensed.to_string(), "server_time": sent.to_string()
    });
    machine.set("Load", times);
    assert_eq!(source.value(0, Value::Float(2.5)).await.0, sent);
    assert_eq!(source.counters.times_replaced.value(), replaced);
    source.stop();
}

#[tokio::test]
async fn every_type_is_carried_or_refused_by_name() {
    let test = "every_type_is_carried_or_refused_by_name";
    let guid = "f9e561f3-351c-47a2-b969-b8d6d7226fee";
    let time = "2026-11-21T08:00:00.5Z";
    let [guid_json, time_json] = [guid, time].map(|text| format!("\"{text}\""));
    let text = |text: &str| Value::Text(text.into());
    let cases = [
        ("Boolean", "true", DataType::Boolean, Value::Boolean(true)),
        ("SByte", "-7", DataType::Int8, Value::Int(-7)),
        ("Byte", "200", DataType::Uint8, Value::Int(200)),
        ("Int16", "-300", DataType::Int16, Value::Int(-300)),
        ("UInt16", "60000", DataType::Uint16, Value::Int(60_000)),
        ("Int32", "-70000", DataType::Int32, Value::Int(-70_000)),
        ("UInt32", "4000000000", DataType::Uint32, Value::Int(4_000_000_000)),
        ("Int64", "-9223372036854775808", DataType::Int64, Value::Int(i64::MIN)),
        ("UInt64", "18446744073709551615", DataType::Uint64, Value::Uint(u64::MAX)),
        ("Float", "0.5", DataType::Float32, Value::Float(0.5)),
        ("Double", "0.1", DataType::Float64, Value::Float(0.1)),
        ("String", "\"AUTO\"", DataType::String, text("AUTO")),
        ("LocalizedText", "\"Öl\"", DataType::String, text("Öl")),
        ("ByteString", "\"ab\"", DataType::Bytes, Value::Bytes((*b"ab").into())),
        ("Double", "[1.0, 2.5]", DataType::Float64Array, Value::Floats([1.0, 2.5].into())),
        ("Int16", "5", DataType::Float64, Value::Float(5.0)),
        ("Guid", guid_json.as_str(), DataType::String, text(guid)),
        ("NodeId", "\"ns=2;s=Spindle\"", DataType::String, text("ns=2;s=Spindle")),
        ("ExpandedNodeId", "\"ns=2;i=7\"", DataType::String, text("svr=0;ns=2;i=7")),
        ("QualifiedName", "\"Mode\"", DataType::String, text("Mode")),
        ("XmlElement", "\"<a/>\"", DataType::String, text("<a/>")),
        ("StatusCode", "2150957056", DataType::Uint32, Value::Int(2_150_957_056)),
        (
            "DateTime",
            time_json.as_str(),
            DataType::Datetime,
            Value::Time(Timestamp::parse_rfc3339(time).unwrap()),
        ),
    ];
    // What no point can carry: its type and value, and how it is named.
    let refused = [
        ("Argument", "\"field\"", "ExtensionObject"),
        ("Int32", "[[1, 2], [3, 4]]", "Int32[2,2]"),
        ("Variant", "[1]", "Variant[]"),
        ("DataValue", "1.5", "DataValue"),
        ("DiagnosticInfo", "\"trace\"", "DiagnosticInfo"),
        ("Boolean", "[true]", "Boolean[]"),
        ("String", "[\"a\"]", "String[]"),
    ];
    let sent = cases
        .iter()
        .map(|(kind, json, declared, _)| (kind, json, *declared))
        .chain(refused.iter().map(|(kind, json, _)| (kind, json, DataType::Float64)));
    let (named, nodes): (Vec<(String, DataType)>, Vec<String>) = sent
        .enumerate()
        .map(|(i, (kind, json, declared))| {
            ((format!("P{i}"), declared), format!("P{i}:{kind}:{json}"))
        })
        .unzip();
    let declared: Vec<(&str, DataType)> =
        named.iter().map(|(name, declared)| (name.as_str(), *declared)).collect();
    let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
    let Some(machine) = Machine::start(test, &nodes, &[]) else { return };
    let mut source = Running::start(config(&machine.url(), ""), points(&declared));
    for (index, (.., value)) in cases.iter().enumerate() {
        source.value(index, value.clone()).await;
    }
    for (index, (_, _, name)) in refused.iter().enumerate() {
        let index = cases.len() + index;
        source.status(index, Status::BAD_NOT_SUPPORTED).await;
        let told =
            format!("ns=2;s=P{index}: the machine delivers {name}, which no point can carry");
        source
            .until(&told, |this| {
                let events = this.events.recent(1_000);
                events
                    .iter()
                    .find(|event| {
                        event.code == Code::PointTypeUnsupported && event.message.ends_with(&told)
                    })
                    .map(|_| ())
            })
            .await;
    }
}

#[tokio::test]
async fn a_value_that_changes_its_type_is_refused_and_never_misread() {
    let test = "a_value_that_changes_its_type_is_refused_and_never_misread";
    let Some(mut machine) = Machine::start(test, &["Load:Double:1.5"], &[]) else { return };
    let mut source = Running::start(config(&machine.url(), ""), points(LOAD));
    source.value(0, Value::Float(1.5)).await;
    machine.set("Load", json!({"type": "String", "value": "7"}));
    assert_eq!(source.status(0, Status::BAD_TYPE_MISMATCH).await, Value::Empty);
    let event = source.event(Code::PointTypeChanged).await;
    let text = "mill.load at ns=2;s=Load: the machine delivers String, the point declares float64";
    assert_eq!(event.message, text);
    machine.set("Load", json!({"type": "Int64", "value": 7}));
    machine.set("Load", json!({"type": "Int32", "value": 8}));
    source.value(0, Value::Float(8.0)).await;
    assert_eq!(source.counters.refused.value(), 2);
    machine.set("Load", json!({"value": 9.5}));
    assert_eq!(source.value(0, Value::Float(9.5)).await.1, Status::GOOD);
}

#[tokio::test]
async fn nan_and_infinity_are_marked_bad() {
    let test = "nan_and_infinity_are_marked_bad";
    let Some(mut machine) = Machine::start(test, &["Load:Double:1.5"], &[]) else { return };
    let mut source = Running::start(config(&machine.url(), ""), points(LOAD));
    source.value(0, Value::Float(1.5)).await;
    for odd in ["nan", "inf", "-inf"] {
        source.forget();
        machine.set("Load", json!({"value": odd}));
        let value = source.status(0, Status::BAD_OUT_OF_RANGE).await;
        assert!(matches!(value, Value::Float(x) if !x.is_finite()), "{odd}: {value:?}");
    }
    assert!(source.event(Code::PointNotFinite).await.message.contains("ns=2;s=Load: it is NaN"));
    let events = source.events.recent(1_000);
    let told = events.iter().filter(|event| event.code == Code::PointNotFinite).count();
    assert_eq!(told, 1, "a point's trouble is told once a minute");
}

#[tokio::test]
async fn times_that_cannot_be_are_replaced_by_the_receive_time() {
    let test = "times_that_cannot_be_are_replaced_by_the_receive_time";
    let Some(mut machine) = Machine::start(test, &["Load:Double:0.5"], &[]) else { return };
    let mut source = Running::start(config(&machine.url(), ""), points(LOAD));
    source.value(0, Value::Float(0.5)).await;
    let replaced = source.counters.times_replaced.value();
    for (number, time) in ["future", "1601", "1970", "absent"].into_iter().enumerate() {
        let value = 10.0 + number as f64;
        machine.set("Load", json!({"value": value, "source_time": time}));
        let (time, status) = source.value(0, Value::Float(value)).await;
        let now = Timestamp::from_system_time(std::time::SystemTime::now());
        assert!(now.since(time) < 60_000_000_000 && time <= now, "{time}");
        assert_eq!(status, Status::GOOD, "the value itself is as good as it was");
    }
    assert_eq!(source.counters.times_replaced.value() - replaced, 4);
    let event = source.event(Code::PointTimeImplausible).await;
    assert!(event.message.contains("ns=2;s=Load"), "{}", event.message);
}

#[tokio::test]
async fn nodes_that_are_missing_vanish_and_come_back_are_told_by_name() {
    let test = "nodes_that_are_missing_vanish_and_come_back_are_told_by_name";
    let Some(mut machine) = Machine::start(test, &["Load:Double:1.5"], &[]) else { return };
    let declared = [("Load", DataType::Float64), ("Flow", DataType::Float64)];
    let fast = config(&machine.url(), "silence_ms_max = 1500");
    let mut source = Running::start(fast, points(&declared));
    source.value(0, Value::Float(1.5)).await;
    assert_eq!(source.status(1, Status::BAD_NODE_ID_UNKNOWN).await, Value::Empty);
    let event = source.event(Code::PointUnknown).await;
    assert!(event.message.starts_with("mill.flow at ns=2;s=Flow: "), "{}", event.message);
    // The missing one appears, the present one vanishes and returns.
    machine.peer.tell(json!({"op": "add", "node": "Flow", "value": 4.5}));
    source.value(1, Value::Float(4.5)).await;
    machine.peer.tell(json!({"op": "delete", "node": "Load"}));
    source.status(0, Status::BAD_NODE_ID_UNKNOWN).await;
    machine.peer.tell(json!({"op": "add", "node": "Load", "value": 6.5}));
    source.value(0, Value::Float(6.5)).await;
    machine.set("Load", json!({"value": 7.5}));
    source.value(0, Value::Float(7.5)).await;
    assert_eq!(source.counters.reconnects.value(), 0, "all in one session");
}
