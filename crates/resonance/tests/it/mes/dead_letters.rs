//! `resonance dead-letters` against a spool, with and without a gateway.

use std::path::Path;
use std::process::{Command, Output};

use resonance_gateway::sinks::http::{HttpConfig, HttpSink};
use resonance_simulate::mes::{Behaviour, HttpMes};
use serde_json::Value;

use crate::mqtt::gateway::{Gateway, file, id};

fn resonance(spool: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_resonance"))
        .arg("dead-letters")
        .args(arguments)
        .arg("--spool")
        .arg(spool)
        .output()
        .unwrap()
}

/// Runs a command that must succeed; returns what it printed.
pub fn run(spool: &Path, arguments: &[&str]) -> String {
    let output = resonance(spool, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// The dead letters, as JSON.
pub fn list(spool: &Path) -> Value {
    serde_json::from_str(&run(spool, &["list", "--format", "json"])).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_listed_shown_replayed_in_order_and_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let spool = file(folder.path());
    let mes = HttpMes::start("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let config = HttpConfig { backoff_ms_max: 200, ..HttpConfig::for_url(mes.url()) };
    let start = || Gateway::with(folder.path(), Box::new(HttpSink::new(config.clone())));
    let gateway = start();
    mes.behave(Behaviour::RefusesByRule("tool-wear".into()));
    gateway.offer(1..=5);
    gateway.await_that("all are refused", |of| of.counters.refused.value() == 5).await;
    let listed = list(&spool);
    let listed: Vec<&Value> = listed.as_array().unwrap().iter().collect();
    assert_eq!(listed.len(), 5);
    for (letter, sequence) in listed.iter().zip(1..) {
        assert_eq!(letter["id"], id(sequence), "the oldest first");
        assert_eq!(letter["sink"], "mes");
        assert_eq!(letter["asset"], "line 1/mill-1");
    }
    let text = run(&spool, &["list", "--sink", "mes"]);
    assert!(text.contains("nothing about tool-wear") && text.contains(&id(5)), "{text}");
    assert_eq!(run(&spool, &["list", "--sink", "other"]), "no dead letters\n");
    let shown = run(&spool, &["show", "--id", &id(2)]);
    assert!(shown.contains("\"sequence\": 2") && shown.contains("refused by mes"), "{shown}");
    assert_eq!(run(&spool, &["drop", "--id", &id(4)]), "1 dropped\n");
    gateway.await_that("four are left", |of| of.counters.refused.value() == 4).await;
    gateway.stop().await;
    // Without a gateway: the next one sends them, before what comes later.
    mes.behave(Behaviour::Good);
    assert_eq!(run(&spool, &["replay", "--sink", "mes"]), "4 marked to be sent again\n");
    assert_eq!(list(&spool)[0]["state"], "replaying");
    let gateway = start();
    gateway.await_delivered(4).await;
    gateway.offer([6]);
    gateway.await_delivered(5).await;
    let expected: Vec<String> = [1, 2, 3, 5, 6].map(id).into();
    assert_eq!(mes.taken(), expected, "in order, under the same ids");
    gateway.await_that("none is left", |of| of.counters.refused.value() == 0).await;
    assert_eq!(list(&spool), Value::Array(Vec::new()));
    gateway.stop().await;
    mes.stop().await;
}

#[test]
fn mistakes_are_refused_with_the_right_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("none.sqlite");
    let code = |spool: &Path, arguments: &[&str]| {
        let output = resonance(spool, arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code().unwrap(), said)
    };
    let (exit, said) = code(&absent, &["list"]);
    assert!(exit == 2 && said.contains("there is no result spool here"), "{said}");
    let foreign = folder.path().join("foreign.sqlite");
    std::fs::write(&foreign, "this is no database, just a text of some length").unwrap();
    let (exit, said) = code(&foreign, &["list"]);
    assert!(exit == 2 && said.contains("foreign.sqlite"), "{said}");
    assert_eq!(code(&absent, &["replay"]).0, 2, "all of them only if asked for");
    assert_eq!(code(&absent, &["show", "--id", "xyz"]).0, 2);
}
