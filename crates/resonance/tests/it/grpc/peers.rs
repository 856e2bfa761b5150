//! `tritonclient` over gRPC, waiting and not.

use std::process::Command;

use crate::http::fixture::{Fixture, plan, plan_for_users};
use crate::peers::{python, workspace};

/// Runs the script against the server; its assertions are the test's.
fn run(test: &str, fixture: &Fixture, arguments: &[&str]) {
    let Some(python) = python(test) else { return };
    let output = Command::new(python)
        .arg(workspace().join("tests/peers/oip_grpc_client.py"))
        .arg(fixture.addr.to_string())
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

#[test]
fn tritonclient_grpc_reads_health_and_metadata() {
    let fixture = Fixture::start_grpc(&plan());
    run("tritonclient_grpc_reads_health_and_metadata", &fixture, &["metadata"]);
}

#[test]
fn tritonclient_grpc_infers() {
    let fixture = Fixture::start_grpc(&plan());
    run("tritonclient_grpc_infers", &fixture, &["infer"]);
}

#[test]
fn tritonclient_grpc_carries_every_element_type() {
    let fixture = Fixture::start_grpc(&plan());
    run("tritonclient_grpc_carries_every_element_type", &fixture, &["types"]);
}

#[test]
fn tritonclient_grpc_infers_with_asyncio() {
    let fixture = Fixture::start_grpc(&plan());
    run("tritonclient_grpc_infers_with_asyncio", &fixture, &["asynchronous"]);
}

#[test]
fn tritonclient_grpc_reads_our_errors() {
    let fixture = Fixture::start_grpc(&plan());
    run("tritonclient_grpc_reads_our_errors", &fixture, &["errors"]);
}

#[test]
fn tritonclient_grpc_gives_credentials_and_commands() {
    let fixture = Fixture::start_grpc(&plan_for_users());
    run("tritonclient_grpc_gives_credentials_and_commands", &fixture, &["commands"]);
}
