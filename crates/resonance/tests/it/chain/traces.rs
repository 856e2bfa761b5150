//! Traces of the whole chain, as a collector on the protocol's own definition takes them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use serde_json::{Value, json};

use super::gateway::{DEADLINE, Gateway, event, has_engine};
use super::machine::{Machine, OPERATOR, write_plant};
use crate::peers::{Peer, python};

/// What the collector has, once this holds.
fn until(collector: &mut Peer, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + DEADLINE;
    loop {
        collector.tell(json!({"do": "spans"}));
        let state = collector.answer();
        assert_eq!(state["wrong"], json!([]), "what the protocol does not allow");
        if holds(&state) {
            return state;
        }
        assert!(Instant::now() < deadline, "{what} never came: {state:#}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

/// Spans by trace, then by name.
fn traces(state: &Value) -> BTreeMap<&str, BTreeMap<&str, &Value>> {
    let mut traces: BTreeMap<&str, BTreeMap<&str, &Value>> = BTreeMap::new();
    for span in state["spans"].as_array().unwrap() {
        let of = |key: &str| span[key].as_str().unwrap();
        traces.entry(of("trace")).or_default().insert(of("name"), span);
    }
    traces
}

/// The stages of a result that one sink delivered.
const STAGES: [&str; 7] =
    ["deliver mes", "infer", "observe", "queue", "result wear", "spool", "window"];

fn is_whole(trace: &BTreeMap<&str, &Value>) -> bool {
    trace.keys().copied().eq(STAGES)
}

#[test]
fn a_foreign_collector_gets_every_stage_of_a_results_way() {
    let test = "a_foreign_collector_gets_every_stage_of_a_results_way";
    let (true, Some(python)) = (has_engine(test), python(test)) else { return };
    let machine = Machine::start(&python);
    let (mut mes, at_mes) = Peer::start(&python, "http_mes.py", &[]);
    let (mut collector, at) = Peer::start(&python, "otlp_collector.py", &[]);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "who asks\n").unwrap();
    let more = format!(
        "[[sink]]\nid = 'mes'\ntype = 'http'\nurl = 'http://127.0.0.1:{}/'\n\
         format = 'b2mml-xml'\nacknowledge = 'confirm_bod'\n\
         [traces]\nurl = 'http://127.0.0.1:{}/v1/traces'\nratio = 1.0\nevery_ms = 100\n\
         service_name = 'line 1'\ntoken = 'file:token'\n",
        at_mes["port"], at["port"]
    );
    let gateway = Gateway::run(&write_plant(folder.path(), machine.port, 100, &more));
    let state = until(&mut collector, "three whole traces", |state| {
        traces(state).values().filter(|trace| is_whole(trace)).count() >= 3
    });
    assert_eq!(state["token"], "Bearer who asks");
    for (id, trace) in traces(&state).iter().filter(|(_, trace)| is_whole(trace)) {
        check(id, trace);
    }
    // The MES may go on with it.
    mes.tell(json!({"do": "contexts"}));
    let contexts = mes.answer();
    for (id, trace) in traces(&state).iter().filter(|(_, trace)| is_whole(trace)) {
        let context = format!("00-{id}-{}-01", trace["deliver mes"]["id"].as_str().unwrap());
        assert!(contexts.as_array().unwrap().contains(&json!(context)), "{context}: {contexts}");
    }

    // The id of a trace is that of its result, wherever the result is seen.
    let mut client = gateway.client(OPERATOR.0, OPERATOR.1);
    let status = client.get("/api/v1/status").json();
    assert!(status["traces"]["exported"].as_u64().unwrap() >= 21, "{:#}", status["traces"]);
    assert_eq!(status["traces"]["lost"], 0);
    let metrics = client.get("/metrics");
    let metrics = String::from_utf8_lossy(&metrics.body);
    assert!(metrics.contains("resonance_traces_exported_spans_total "), "{metrics}");

    // Stages of a deployment that a reload brings are told like the others.
    let plant = folder.path().join("plant.toml");
    let text = std::fs::read_to_string(&plant).unwrap();
    let (before, rest) = text.split_once("[[deployment]]\nid = 'wear'").unwrap();
    let (wear, rest) = rest.split_once("\n[").unwrap();
    let both = format!(
        "{before}[[deployment]]\nid = 'wear'{wear}\n[[deployment]]\nid = 'second'{wear}\n[{rest}"
    );
    std::fs::write(&plant, both).unwrap();
    gateway.hang_up();
    until(&mut collector, "a whole trace of the second deployment", |state| {
        traces(state).values().any(|trace| {
            let mut stages: Vec<&str> = STAGES.into();
            stages[4] = "result second";
            trace.keys().copied().eq(stages)
        })
    });

    // A collector that is busy for a moment loses nothing; one that refuses is told of once.
    collector.tell(json!({"do": "behave", "as": "refuse"}));
    let lost = event(folder.path(), "traces.lost", "traces");
    assert!(lost["message"].as_str().unwrap().contains("400"), "{lost:#}");
    collector.tell(json!({"do": "behave", "as": "good"}));
    let before = state["spans"].as_array().unwrap().len();
    until(&mut collector, "spans after trouble", |state| {
        state["spans"].as_array().unwrap().len() > before + 20
    });
    drop(machine);
    assert!(gateway.stop().success());
}

/// One trace: its parts, their order in time, and what they say.
fn check(id: &str, trace: &BTreeMap<&str, &Value>) {
    let root = trace["result wear"];
    assert_eq!(
        (&root["parent"], &root["attributes"]["resonance.result.id"]),
        (&json!(""), &json!(id))
    );
    assert_eq!(root["resource"]["service.name"], "line 1");
    assert_eq!(root["attributes"]["resonance.deployment"], "wear");
    let parts = trace.values().filter(|span| span["name"] != root["name"]);
    assert!(parts.clone().all(|span| span["parent"] == root["id"]), "{trace:#?}");
    let ids: BTreeSet<&str> = trace.values().map(|span| span["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), STAGES.len(), "each its own id");
    let moment = |name: &str, end: &str| trace[name][end].as_u64().unwrap();
    assert!(trace.keys().all(|name| moment(name, "from") <= moment(name, "to")), "{trace:#?}");
    for (one, next) in
        [("observe", "window"), ("window", "queue"), ("queue", "infer"), ("spool", "deliver mes")]
    {
        assert!(moment(one, "to") <= moment(next, "to"), "{one} before {next}: {trace:#?}");
    }
    assert_eq!(trace["infer"]["attributes"]["resonance.model.name"], "tool-wear");
    assert!(trace["infer"]["attributes"]["resonance.batch.rows"].as_i64().unwrap() >= 1);
    assert_eq!(trace["deliver mes"]["attributes"]["resonance.sink"], "mes");
    assert!(trace["deliver mes"]["attributes"]["resonance.attempts"].as_i64().unwrap() >= 1);
    assert!(parts.clone().all(|span| span["error"].is_null()), "{trace:#?}");
}

#[test]
fn a_collector_that_is_away_disturbs_nothing() {
    let test = "a_collector_that_is_away_disturbs_nothing";
    let (true, Some(python)) = (has_engine(test), python(test)) else { return };
    let machine = Machine::start(&python);
    let folder = tempfile::tempdir().unwrap();
    let more = "[traces]\nurl = 'http://127.0.0.1:9/v1/traces'\nratio = 1.0\nevery_ms = 50\n";
    let gateway = Gateway::run(&write_plant(folder.path(), machine.port, 100, more));
    let lost = event(folder.path(), "traces.lost", "traces");
    assert!(lost["message"].as_str().unwrap().contains("127.0.0.1:9"), "{lost:#}");
    let mut client = gateway.client(OPERATOR.0, OPERATOR.1);
    let status = client.get("/api/v1/status").json();
    assert!(status["traces"]["lost"].as_u64().unwrap() > 0);
    assert!(status["deployments"][0]["results"].as_u64().unwrap() > 0, "{status:#}");
    assert!(gateway.stop().success());
}
