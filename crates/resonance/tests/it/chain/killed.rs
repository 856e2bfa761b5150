//! `kill -9` of a gateway whose results flow.

use std::collections::BTreeMap;

use serde_json::Value;

use super::gateway::{DEADLINE, Gateway, event, events, has_engine};
use super::machine::{Machine, sink, write_plant};
use crate::mqtt::broker::Broker;
use crate::mqtt::subscriber::Subscriber;
use crate::peers::python;

fn sequence(message: &Value) -> u64 {
    message["payload"]["sequence"].as_u64().unwrap()
}

/// The last sequence that arrived, none missing before it; one sequence has one id.
pub(super) fn last_of_complete(messages: &[Value]) -> u64 {
    let mut ids = BTreeMap::new();
    for message in messages {
        let id = message["payload"]["id"].as_str().unwrap();
        let before = ids.insert(sequence(message), id);
        assert!(before.is_none_or(|before| before == id), "{message}");
    }
    let expected: Vec<u64> = (1..=ids.len() as u64).collect();
    assert_eq!(ids.into_keys().collect::<Vec<_>>(), expected);
    expected.len() as u64
}

#[test]
fn a_gateway_killed_while_results_flow_loses_none_that_was_kept() {
    let test = "a_gateway_killed_while_results_flow_loses_none_that_was_kept";
    let (true, Some(python)) = (has_engine(test), python(test)) else { return };
    let Some(broker) = Broker::plain(test) else { return };
    let Some(subscriber) = Subscriber::start(test, broker.port) else { return };
    let machine = Machine::start(&python);
    let folder = tempfile::tempdir().unwrap();
    let plant = write_plant(folder.path(), machine.port, 20, &sink(broker.port));

    let gateway = Gateway::run(&plant);
    let mut messages = subscriber.until(DEADLINE, |all| all.len() >= 40);
    gateway.kill();
    let before = last_of_complete(&messages);
    assert!(before >= 40, "{before} results");

    let gateway = Gateway::run(&plant);
    let enough = |all: &[Value]| all.iter().any(|message| sequence(message) >= before + 100);
    messages.extend(subscriber.until(DEADLINE, enough));
    let after = last_of_complete(&messages);
    assert!(after >= before + 100, "sequence numbers go on: {before}, then {after}");
    assert!(gateway.stop().success());
    event(folder.path(), "gateway.stopped", "gateway");
    let trouble: Vec<Value> = events(folder.path())
        .into_iter()
        .filter(|event| ["spool.failed", "result.dropped"].iter().any(|c| event["code"] == *c))
        .collect();
    assert!(trouble.is_empty(), "{trouble:?}");
}
