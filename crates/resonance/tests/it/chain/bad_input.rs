//! What machines, packages and people get wrong, through the whole gateway.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::gateway::{DEADLINE, Gateway, event, eventually, has_engine, resonance};
use super::machine::{Machine, OPERATOR, sink, write_plant};
use crate::mqtt::broker::Broker;
use crate::mqtt::subscriber::Subscriber;
use crate::peers::{python, workspace};

fn status(message: &Value) -> &str {
    message["payload"]["status"]["name"].as_str().unwrap()
}

#[test]
fn a_machine_that_restarts_makes_results_bad_until_it_is_back() {
    let test = "a_machine_that_restarts_makes_results_bad_until_it_is_back";
    let (true, Some(python)) = (has_engine(test), python(test)) else { return };
    let Some(broker) = Broker::plain(test) else { return };
    let Some(subscriber) = Subscriber::start(test, broker.port) else { return };
    let machine = Machine::start(&python);
    let folder = tempfile::tempdir().unwrap();
    let plant = write_plant(folder.path(), machine.port, 100, &sink(broker.port));
    let gateway = Gateway::run(&plant);
    let is = |wanted: &'static str| {
        move |all: &[Value]| all.last().is_some_and(|message| status(message).starts_with(wanted))
    };
    let good = subscriber.until(DEADLINE, is("Good"));
    assert!(is("Good")(&good), "{:?}", good.last());

    let machine = machine.restart();
    let bad = subscriber.until(DEADLINE, is("Bad"));
    assert!(is("Bad")(&bad), "{:?}", bad.last());
    event(folder.path(), "source.disconnected", "source/mill-opcua");
    event(folder.path(), "data.gap", "source/mill-opcua");
    let again = subscriber.until(DEADLINE, is("Good"));
    assert!(is("Good")(&again), "{:?}", again.last());
    let outputs = again.last().unwrap()["payload"]["outputs"].as_array().unwrap();
    assert!(outputs.iter().all(|output| output["status"]["name"] == "Good"), "{outputs:?}");
    drop(machine);
    assert!(gateway.stop().success());
}

/// A package whose digests are right and whose model is none.
fn write_no_model(folder: &Path) {
    let package = workspace().join("models/tool-wear");
    fs::create_dir(folder).unwrap();
    for name in ["golden.json", "card.md"] {
        fs::copy(package.join(name), folder.join(name)).unwrap();
    }
    fs::write(folder.join("model.onnx"), "this is no model\n").unwrap();
    let summed = Command::new("sha256sum").arg(folder.join("model.onnx")).output().unwrap();
    let digest = String::from_utf8(summed.stdout).unwrap()[..64].to_owned();
    let manifest = fs::read_to_string(package.join("model.toml")).unwrap();
    let lines = manifest.lines().map(|line| match line {
        "name = \"tool-wear\"" => "name = \"no-model\"".to_owned(),
        line if line.starts_with("\"model.onnx\" = ") => {
            format!("\"model.onnx\" = \"sha256:{digest}\"")
        }
        line => line.to_owned(),
    });
    fs::write(folder.join("model.toml"), lines.collect::<Vec<_>>().join("\n")).unwrap();
}

#[test]
fn a_file_that_is_no_model_faults_its_deployment_and_no_other() {
    let test = "a_file_that_is_no_model_faults_its_deployment_and_no_other";
    let (true, Some(python)) = (has_engine(test), python(test)) else { return };
    let machine = Machine::start(&python);
    let folder = tempfile::tempdir().unwrap();
    write_no_model(&folder.path().join("no-model"));
    let more = "[[deployment]]\nid = 'broken'\nmodel = 'no-model'\nasset = 'mill'\n";
    let gateway = Gateway::run(&write_plant(folder.path(), machine.port, 100, more));
    let mut client = gateway.client(OPERATOR.0, OPERATOR.1);
    let refused = event(folder.path(), "model.refused", "model/no-model");
    assert!(refused["message"].as_str().unwrap().contains("model.onnx is not a model"));
    let deployments = eventually("results of the other deployment", || {
        let listed = client.get("/api/v1/deployments").json();
        let all = listed["deployments"].as_array().unwrap().clone();
        all.iter().any(|one| one["id"] == "wear" && one["state"] == "active").then_some(all)
    });
    let broken = deployments.iter().find(|one| one["id"] == "broken").unwrap();
    assert_eq!((&broken["state"], &broken["results"]), (&"faulted".into(), &0.into()));
    assert_ne!(client.get("/v2/models/no-model/ready").status, 200);
    assert_eq!(client.get("/v2/models/tool-wear/ready").status, 200);
    assert!(gateway.stop().success());
}

/// A package whose digests are right and which promises another answer than its model gives.
fn write_spoiled(folder: &Path) {
    let package = workspace().join("models/tool-wear");
    fs::create_dir(folder).unwrap();
    for name in ["model.onnx", "card.md"] {
        fs::copy(package.join(name), folder.join(name)).unwrap();
    }
    let manifest = fs::read_to_string(package.join("model.toml")).unwrap();
    let renamed = manifest.replace("name = \"tool-wear\"", "name = \"spoiled\"");
    fs::write(folder.join("model.toml"), renamed).unwrap();
    let golden = fs::read(package.join("golden.json")).unwrap();
    let mut golden: Value = serde_json::from_slice(&golden).unwrap();
    golden["vectors"][3]["outputs"][0]["data"] = serde_json::json!([0.3999]);
    fs::write(folder.join("golden.json"), golden.to_string()).unwrap();
    assert!(resonance().args(["model", "pack"]).arg(folder).output().unwrap().status.success());
}

#[test]
fn a_model_that_does_not_reproduce_its_golden_vectors_never_serves() {
    let test = "a_model_that_does_not_reproduce_its_golden_vectors_never_serves";
    let (true, Some(python)) = (has_engine(test), python(test)) else { return };
    let machine = Machine::start(&python);
    let folder = tempfile::tempdir().unwrap();
    write_spoiled(&folder.path().join("spoiled"));
    let more = "[[deployment]]\nid = 'doubtful'\nmodel = 'spoiled'\nasset = 'mill'\n";
    let gateway = Gateway::run(&write_plant(folder.path(), machine.port, 100, more));
    let mut client = gateway.client(OPERATOR.0, OPERATOR.1);
    let refused = event(folder.path(), "model.golden_mismatch", "model/spoiled");
    assert!(refused["message"].as_str().unwrap().contains("not 0.3999"), "{refused}");
    let listed = client.get("/api/v1/deployments").json();
    let all = listed["deployments"].as_array().unwrap();
    let doubtful = all.iter().find(|one| one["id"] == "doubtful").unwrap();
    assert_eq!((&doubtful["state"], &doubtful["inferences"]), (&"faulted".into(), &0.into()));
    assert_ne!(client.get("/v2/models/spoiled/ready").status, 200);
    let row = r#"{"inputs":[{"name":"features","datatype":"FP32","shape":[1,13],
        "data":[1,1,1,1,1,1,1,1,1,1,1,1,1]}]}"#;
    let asked = client.infer("spoiled", row);
    assert_eq!(asked.status, 503, "{asked:?}");
    assert!(gateway.stop().success());
}

#[test]
fn a_plant_file_full_of_mistakes_starts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let plant = folder.path().join("plant.toml");
    let text = "events_file = 'events.jsonl'\n[plant]\nenterprize = 'acme'\n\
                [[source]]\nid = 'mill'\ntype = 'opcua'\nurl = 'http://127.0.0.1'\n\
                [[asset]]\nid = 'mill'\nclass = 'mill'\nsource = 'lathe'\n\
                [[deployment]]\nid = 'wear'\nmodel = 'nowhere'\nasset = 'lathe'\n\
                [server.http]\nlisten = '127.0.0.1'\n";
    fs::write(&plant, text).unwrap();
    let output = resonance().arg("run").arg(&plant).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("nothing was started"), "{said}");
    assert!(said.contains("enterprize") && said.contains("plant.toml:3:"), "{said}");
    assert!(!said.contains("server at"), "{said}");
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|f| f.unwrap().path()).collect();
    assert_eq!(left, [plant], "it left nothing behind");
}

#[test]
fn a_package_without_a_signature_serves_with_a_warning_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    // Nobody listens at this port: what is told of the package does not depend on a machine.
    let plant = write_plant(folder.path(), 1, 100, "");
    let text = fs::read_to_string(&plant).unwrap();
    let gateway = Gateway::run(&plant);
    let warned = event(folder.path(), "model.unsigned", "model/tool-wear");
    assert_eq!(warned["severity"], "warning", "{warned}");
    gateway.url("http");
    assert!(gateway.stop().success());

    fs::write(&plant, format!("unsigned = 'refuse'\n{text}")).unwrap();
    let output = resonance().arg("run").arg(&plant).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("the package of tool-wear carries no signature"), "{said}");
    assert!(said.contains("unsigned = \"warn\"") && !said.contains("server at"), "{said}");
}
