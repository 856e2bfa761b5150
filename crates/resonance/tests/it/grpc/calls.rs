//! Bounds, deadlines, cancellation and TLS.

use std::path::Path;
use std::sync::atomic::Ordering;

use resonance_gateway::plan::HttpServerPlan;
use resonance_plant::Code;

use crate::http::fixture::{Fixture, plan, plan_for_users};
use crate::http::tls::certificate;
use crate::peers::{Peer, python};

/// The client, once it has begun as many calls of `held` as it was told.
fn begun(python: &Path, fixture: &Fixture, command: &str, calls: usize) -> Peer {
    let address = fixture.addr.to_string();
    let arguments = [&*address, command, &calls.to_string()];
    let (peer, said) = Peer::start(python, "oip_grpc_client.py", &arguments);
    assert_eq!(said["said"], "begun");
    peer
}

#[test]
fn more_calls_than_the_bound_are_told_to_come_back() {
    let test = "more_calls_than_the_bound_are_told_to_come_back";
    let Some(python) = python(test) else { return };
    let fixture = Fixture::start_grpc(&HttpServerPlan { requests_max: 2, ..plan() });
    let mut peer = begun(&python, &fixture, "bounds", 2);
    fixture.wait_for_held(2);
    peer.go_on();
    assert_eq!(peer.answer()["said"], "refused");
    fixture.event(Code::Overloaded);
    fixture.barrier.open();
    assert_eq!(peer.answer()["said"], "done");
    assert_eq!(fixture.status().refused, 1);
}

#[test]
fn a_call_that_ended_before_its_turn_is_not_inferred() {
    let test = "a_call_that_ended_before_its_turn_is_not_inferred";
    let Some(python) = python(test) else { return };
    // As many inferences run at once as there are processors; the next wait for their turn.
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let fixture = Fixture::start_grpc(&HttpServerPlan { requests_max: processors + 1, ..plan() });
    let mut peer = begun(&python, &fixture, "cancelled", processors);
    fixture.wait_for_held(processors as u64);
    peer.go_on();
    assert_eq!(peer.answer()["said"], "gone");
    fixture.barrier.open();
    assert_eq!(peer.answer()["said"], "done");
    let arrived = fixture.barrier.arrived.load(Ordering::SeqCst);
    assert_eq!(arrived, processors as u64 + 1, "only what someone waited for was inferred");
}

#[test]
fn users_call_over_tls() {
    let test = "users_call_over_tls";
    let Some(python) = python(test) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (tls, _) = certificate(folder.path());
    let trusted = tls.certificate.clone();
    let everywhere = "0.0.0.0:0".parse().unwrap();
    let plan = HttpServerPlan { listen: everywhere, tls: Some(tls), ..plan_for_users() };
    let fixture = Fixture::start_grpc(&plan);
    assert!(fixture.status().url.starts_with("grpcs://"));
    let output = std::process::Command::new(python)
        .arg(crate::peers::workspace().join("tests/peers/oip_grpc_client.py"))
        .arg(format!("localhost:{}", fixture.addr.port()))
        .arg("over_tls")
        .arg(trusted)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}
