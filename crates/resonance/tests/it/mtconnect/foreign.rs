//! The source against an agent that shares no code with this project: another XML writer, another
//! prefix, chunked transfer, its own reading of the schemas.

use resonance_gateway::hub::ingest::GapReason;
use resonance_plant::{Code, DataType, Status, Value};
use serde_json::json;

use super::schemas::SCHEMAS;
use super::start;
use crate::needs::{python, shared};
use crate::opcua_source::harness::Running;
use crate::peers::Peer;

const POINTS: &[(&str, DataType)] = &[
    ("load", DataType::Float64),
    ("state", DataType::String),
    ("alarm", DataType::Uint8),
    ("wave", DataType::Float64Array),
    ("vars#R1", DataType::Float64),
    ("offsets#T1#LENGTH", DataType::Float64),
    ("place", DataType::Float64Array),
];

async fn connected(test: &str, version: &str) -> Option<(Peer, Running)> {
    let (python, schemas) = (python(test)?, shared(test, SCHEMAS)?);
    let schemas = schemas.display().to_string();
    let (peer, ready) = Peer::start(&python, "mtconnect_agent.py", &[version, &schemas]);
    let source = start(&format!("http://127.0.0.1:{}/", ready["port"]), "", POINTS);
    Some((peer, source))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_independent_agent_is_read_in_each_version() {
    for version in ["1.8", "2.2", "2.7"] {
        const TEST: &str = "an_independent_agent_is_read_in_each_version";
        let Some((mut peer, mut source)) = connected(TEST, version).await else { return };
        source.status(0, Status::BAD_NO_COMMUNICATION).await;
        let mut say = |id: &str, more: serde_json::Value| {
            let mut command = json!({"op": "observe", "id": id});
            let fields = command.as_object_mut().expect("it is an object");
            fields.extend(more.as_object().expect("it is an object").clone());
            peer.tell(command);
        };
        say("load", json!({"text": "42.5", "time": "2026-11-21T08:00:00.123456Z"}));
        let (time, status) = source.value(0, Value::Float(42.5)).await;
        assert_eq!(
            (time.to_string(), status),
            ("2026-11-21T08:00:00.123456Z".into(), Status::GOOD)
        );
        say("state", json!({"text": "Größe < 5 & \"offen\""}));
        source.value(1, Value::Text("Größe < 5 & \"offen\"".into())).await;
        say("alarm", json!({"level": "Warning", "code": "7"}));
        source.value(2, Value::Int(1)).await;
        say("alarm", json!({"level": "Fault", "code": "8"}));
        source.value(2, Value::Int(2)).await;
        source.forget();
        say("alarm", json!({"level": "Normal", "code": "8"}));
        source.value(2, Value::Int(1)).await;
        say("wave", json!({"series": [1.0, -2.5, 3e-3], "rate": 1000}));
        source.value(3, Value::Floats([1.0, -2.5, 3e-3].into())).await;
        say("vars", json!({"entries": {"R1": "5.5", "R2": "x"}}));
        source.value(4, Value::Float(5.5)).await;
        say("vars", json!({"entries": {"R1": null}}));
        source.status(4, Status::BAD_NO_DATA).await;
        say("offsets", json!({"table": {"T1": {"LENGTH": "100.25", "RADIUS": "3"}}}));
        source.value(5, Value::Float(100.25)).await;
        say("place", json!({"text": "1 2 3.5"}));
        source.value(6, Value::Floats([1.0, 2.0, 3.5].into())).await;
        assert_eq!((source.counters.gaps.value(), source.counters.refused.value()), (0, 0));
        source.forget();
        peer.tell(json!({"op": "restart"}));
        peer.tell(json!({"op": "observe", "id": "load", "text": "1"}));
        source.value(0, Value::Float(1.0)).await;
        assert_eq!(source.gap().await.reason, GapReason::ServerRestart);
        source.event(Code::SourceRestarted).await;
        source.stop();
    }
}
