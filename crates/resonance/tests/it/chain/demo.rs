//! `resonance demo`, and what it says where something is missing.

use std::process::Stdio;

use serde_json::Value;

use super::gateway::{Gateway, eventually, has_engine, resonance};
use crate::http::client::Client;
use crate::needs::shared;

fn summary(out: &str) -> Value {
    serde_json::from_str(out).unwrap_or_else(|error| panic!("{out:?}: {error}"))
}

#[test]
fn the_demo_moves_data_through_every_stage() {
    if !has_engine("the_demo_moves_data_through_every_stage") {
        return;
    }
    let mut command = resonance();
    command.args(["demo", "--duration", "8s", "--format", "json"]).stdout(Stdio::piped());
    let (code, out, said) = Gateway::start(command).end();
    assert_eq!(code, Some(0), "{said}");
    let summary = summary(&out);
    for key in ["observations", "inferences", "results"] {
        assert!(summary[key].as_u64().unwrap() > 0, "{key} in {summary}");
    }
    assert_eq!(summary["deployments"][0]["trained_on"], "simulated");
    assert!(summary["delivered"][0]["results"].as_u64().unwrap() > 0, "{summary}");
    for (at, server) in ["opcua", "http"].into_iter().enumerate() {
        let served = &summary["served"][at];
        assert_eq!(served["server"], server, "{summary}");
        assert!(served["results"].as_u64().unwrap() > 0 && served["problem"].is_null(), "{served}");
    }
    assert!(summary["sources"][0]["observations"].as_u64().unwrap() > 0, "{summary}");
    assert_eq!((&summary["gaps"], &summary["errors"]), (&0.into(), &0.into()), "{summary}");
}

#[test]
fn the_demo_replays_recordings_beside_the_simulation() {
    let test = "the_demo_replays_recordings_beside_the_simulation";
    let (true, Some(data)) = (has_engine(test), shared(test, "data")) else { return };
    let mut command = resonance();
    command.args(["demo", "--duration", "10s", "--format", "json", "--data"]).arg(data);
    let demo = Gateway::start({
        command.stdout(Stdio::piped());
        command
    });
    let mut client = Client::connect(demo.http());
    let milling = client.get("/api/v1/plant").json();
    let assets = milling["assets"].as_array().unwrap();
    let recorded = assets.iter().find(|asset| asset["id"] == "recorded-mill").unwrap();
    // The machine's, and the two of the model that judges it.
    assert_eq!(recorded["points"].as_array().unwrap().len(), 48 + 2);

    let remaining = eventually("a remaining useful life", || {
        let values = client.get("/api/v1/values?asset=engine").json();
        let of = |value: &&Value| value["point"].as_str().is_some_and(|p| p.starts_with("rul."));
        let found = values["values"].as_array().unwrap().iter().find(of).cloned();
        found.filter(|value| value["status"]["name"] == "Good")
    });
    let cycles = remaining["value"].as_f64().unwrap();
    assert!((0.0..=125.0).contains(&cycles), "{remaining}");
    let milled = eventually("all of the recorded machine's points", || {
        let values = client.get("/api/v1/values?asset=recorded-mill").json();
        let values = values["values"].as_array().unwrap().clone();
        values.iter().all(|value| value["status"]["name"] == "Good").then_some(values)
    });
    assert_eq!(milled.len(), 48 + 2);
    eventually("whether the recorded mill cuts", || {
        let values = client.get("/api/v1/values?asset=recorded-mill").json();
        let of = |value: &&Value| value["point"] == "cutting.cutting";
        values["values"].as_array()?.iter().find(of)?["value"].as_f64()
    });
    let (code, out, said) = demo.end();
    assert_eq!(code, Some(0), "{said}");
    let summary = summary(&out);
    let sources = summary["sources"].as_array().unwrap();
    assert_eq!(sources.len(), 3, "{summary}");
    assert!(sources.iter().all(|s| s["observations"].as_u64().unwrap() > 0), "{summary}");
    for deployment in summary["deployments"].as_array().unwrap() {
        assert!(deployment["inferences"].as_u64().unwrap() > 0, "{deployment}");
    }
}

#[test]
fn the_demo_without_a_library_says_what_is_missing() {
    let mut command = resonance();
    command.args(["demo", "--duration", "1s", "--format", "json"]);
    command.env("RESONANCE_ONNXRUNTIME", "/nonexistent").stdout(Stdio::piped());
    let (code, out, said) = Gateway::start(command).end();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("/nonexistent: there is no such file; install ONNX Runtime"), "{said}");
    assert!(said.contains("deployment wear gave no answer"), "{said}");
    assert!(said.contains("opcua server: no result could be read from it"), "{said}");
    assert!(said.contains("http server: "), "{said}");
    let summary = summary(&out);
    assert_eq!((&summary["inferences"], &summary["errors"]), (&0.into(), &1.into()));
    assert!(summary["observations"].as_u64().unwrap() > 0, "the machine is heard all the same");
}
