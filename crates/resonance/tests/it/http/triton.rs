//! `tritonclient`, the client most people use for the Open Inference Protocol.

use std::process::Command;

use super::fixture::{Fixture, plan, plan_for_users};
use crate::peers::{python, workspace};

/// Runs the script against the server; its assertions are the test's.
fn run(test: &str, fixture: &Fixture, arguments: &[&str]) {
    let Some(python) = python(test) else { return };
    let output = Command::new(python)
        .arg(workspace().join("tests/peers/oip_client.py"))
        .arg(fixture.addr.to_string())
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

#[test]
fn tritonclient_reads_health_and_metadata() {
    let fixture = Fixture::start(&plan());
    run("tritonclient_reads_health_and_metadata", &fixture, &["metadata"]);
}

#[test]
fn tritonclient_infers_in_json() {
    let fixture = Fixture::start(&plan());
    run("tritonclient_infers_in_json", &fixture, &["infer", "json"]);
}

#[test]
fn tritonclient_infers_in_binary() {
    let fixture = Fixture::start(&plan());
    run("tritonclient_infers_in_binary", &fixture, &["infer", "binary"]);
}

#[test]
fn tritonclient_carries_every_element_type() {
    let fixture = Fixture::start(&plan());
    run("tritonclient_carries_every_element_type", &fixture, &["types"]);
}

#[test]
fn tritonclient_reads_our_errors() {
    let fixture = Fixture::start(&plan());
    run("tritonclient_reads_our_errors", &fixture, &["errors"]);
}

#[test]
fn tritonclient_gives_credentials() {
    let fixture = Fixture::start(&plan_for_users());
    run("tritonclient_gives_credentials", &fixture, &["credentials", "otto", "do"]);
}

#[test]
fn tritonclient_infers_without_waiting() {
    let fixture = Fixture::start(&plan());
    run("tritonclient_infers_without_waiting", &fixture, &["asynchronous"]);
}

#[test]
fn tritonclient_reads_statistics() {
    let fixture = Fixture::start(&plan());
    run("tritonclient_reads_statistics", &fixture, &["statistics"]);
}

#[test]
fn tritonclient_loads_and_unloads() {
    let fixture = Fixture::start(&plan_for_users());
    run("tritonclient_loads_and_unloads", &fixture, &["repository", "enno", "change"]);
}
