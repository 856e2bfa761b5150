//! `tritonclient` over gRPC, waiting and not; kserve's clients; schemathesis.

use std::process::Command;

use crate::http::fixture::{Fixture, plan, plan_for_users};
use crate::peers::{python, workspace};

/// Runs a script against the server; its assertions are the test's.
fn run_script(test: &str, script: &str, arguments: &[&str]) {
    let Some(python) = python(test) else { return };
    let output = Command::new(python)
        .arg(workspace().join("tests/peers").join(script))
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

fn run(test: &str, fixture: &Fixture, arguments: &[&str]) {
    let address = fixture.addr.to_string();
    run_script(test, "oip_grpc_client.py", &[&[&*address], arguments].concat());
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

#[test]
fn kserve_infers_over_http() {
    let fixture = Fixture::start(&plan());
    let address = fixture.addr.to_string();
    run_script("kserve_infers_over_http", "kserve_client.py", &["rest", &address]);
}

#[test]
fn kserve_infers_over_grpc() {
    let fixture = Fixture::start_grpc(&plan());
    let address = fixture.addr.to_string();
    run_script("kserve_infers_over_grpc", "kserve_client.py", &["grpc", &address]);
}

/// Streams are left out: they have no end to wait for.
#[test]
fn schemathesis_finds_nothing_in_the_management_api() {
    let test = "schemathesis_finds_nothing_in_the_management_api";
    let Some(python) = python(test) else { return };
    let fixture = Fixture::start(&plan_for_users());
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(python.with_file_name("schemathesis"))
        .current_dir(folder.path())
        .args(["run", &format!("http://{}/openapi.json", fixture.addr)])
        .args(["--auth", "enno:change", "--exclude-path-regex", "stream"])
        .args(["--seed", "20", "--max-examples", "25", "--phases", "examples,coverage,fuzzing"])
        .args(["--request-timeout", "10", "--no-color"])
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}
