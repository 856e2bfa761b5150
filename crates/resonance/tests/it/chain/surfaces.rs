//! One machine, one model, and every surface that shows its results, each to a foreign client.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::gateway::{DEADLINE, Gateway, event, eventually, has_engine, resonance};
use super::machine::{Machine, OPERATOR, VIEWER, sink, write_plant};
use crate::mqtt::broker::Broker;
use crate::mqtt::subscriber::Subscriber;
use crate::peers::{python, workspace};

const URI: &str = "urn:peers:scada";

/// Runs a peer to its end; returns the lines it printed.
fn peer(python: &Path, script: &str, arguments: &[&str]) -> Vec<Value> {
    let script = workspace().join("tests/peers").join(script);
    let output = Command::new(python).arg(script).args(arguments).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let out = String::from_utf8(output.stdout).unwrap();
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A SCADA system with a certificate of its own, which the operator trusts once it was refused.
struct Scada<'a> {
    python: &'a Path,
    folder: &'a Path,
    url: String,
    certificate: [String; 2],
}

impl<'a> Scada<'a> {
    fn new(python: &'a Path, folder: &'a Path, url: String) -> Self {
        let certificate =
            ["scada.der", "scada.pem"].map(|name| folder.join(name).to_string_lossy().into_owned());
        let [cert, key] = &certificate;
        peer(python, "scada.py", &["certificate", cert, key, URI]);
        Self { python, folder, url, certificate }
    }

    fn asks(&self, action: &[&str]) -> Vec<Value> {
        let [cert, key] = &self.certificate;
        let (user, password) = VIEWER;
        let mut arguments = vec!["--policy", "Basic256Sha256", "--cert", cert, "--key", key];
        arguments.extend(["--uri", URI, "--user", user, "--password", password, &self.url]);
        arguments.extend(action);
        peer(self.python, "scada.py", &arguments)
    }

    /// What an operator does after comparing thumbprints.
    fn is_trusted(&self) {
        let rejected = find(self.folder, "rejected");
        let trusted = rejected.with_file_name("trusted");
        let mut moved = 0;
        for file in std::fs::read_dir(&rejected).unwrap().map(Result::unwrap) {
            std::fs::rename(file.path(), trusted.join(file.file_name())).unwrap();
            moved += 1;
        }
        assert_eq!(moved, 1, "one certificate waits");
    }
}

/// The folder of a name below a folder that has a file in it.
fn find(folder: &Path, name: &str) -> std::path::PathBuf {
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if next.ends_with(name) {
                return next;
            }
        }
    }
    panic!("no file in a folder {name:?} below {}", folder.display())
}

fn assert_told_by_mqtt(message: &Value, changed_at: &str) {
    let result = &message["payload"];
    assert_eq!(message["user"]["result_id"], result["id"]);
    assert_eq!(message["user"]["trained_on"], "simulated");
    assert_eq!(message["topic"], "resonance/mill/wear/result");
    assert_eq!(result["status"]["name"], "Good", "{result}");
    let model = &result["model"];
    assert_eq!((&model["name"], &model["version"]), (&json!("tool-wear"), &json!("1.0.0")));
    assert_eq!(model["trained_on"], "simulated");
    assert!(model["digest"].as_str().unwrap().starts_with("sha256:"));
    let outputs = result["outputs"].as_array().unwrap();
    let wear = outputs.iter().find(|output| output["name"] == "flank_wear").unwrap();
    assert_eq!(wear["unit"], "MMT", "{wear}");
    assert!(wear["uncertainty"]["coverage"].as_f64().unwrap() > 0.8, "{wear}");
    let times = ["source_time", "computed_at", "valid_until"].map(|key| result[key].as_str());
    assert!(Some(changed_at) <= times[0] && times.is_sorted(), "{times:?}");
}

fn assert_told_by_opcua(scada: &Scada<'_>) {
    let namespace = resonance_gateway::servers::opcua::NAMESPACE;
    let ids = ["mill.spindle_torque", "mill.wear.flank_wear", "mill.wear.tool_condition"];
    let board = ["ModelName", "ModelVersion", "TrainedOn"];
    let board = board.map(|field| format!("/deployments/wear.{field}"));
    let mut look = vec!["look", namespace];
    look.extend(ids.into_iter().chain(board.iter().map(String::as_str)));
    let found = eventually("results and the board in OPC UA", || {
        let found = scada.asks(&look);
        let good = |node: &Value| node["data"]["status"] == 0;
        (found.len() == 6 && found.iter().all(good)).then_some(found)
    });
    assert_eq!(found[0]["data"]["value"], 12.0, "the machine's own value");
    let unit = resonance_plant::Unit::from_code("MMT").unwrap();
    assert_eq!(found[1]["EngineeringUnits"]["unit_id"], unit.ua_unit_id());
    let wear = found[1]["data"]["value"].as_f64().unwrap();
    assert!((-0.1..=0.5).contains(&wear), "{wear} mm");
    let time = |at: usize| found[at]["data"]["source_time_us"].as_i64();
    assert!(time(1) >= time(0), "{found:?}");
    assert_eq!(found[2]["EnumValues"][3], json!({"value": 3, "name": "replace"}));
    let values: Vec<&Value> = found[3..].iter().map(|node| &node["data"]["value"]).collect();
    assert_eq!(values, ["tool-wear", "1.0.0", "simulated"]);
}

#[test]
fn a_result_is_the_same_on_every_surface() {
    let test = "a_result_is_the_same_on_every_surface";
    let (true, Some(python)) = (has_engine(test), python(test)) else { return };
    let Some(broker) = Broker::plain(test) else { return };
    let Some(subscriber) = Subscriber::start(test, broker.port) else { return };
    let mut machine = Machine::start(&python);
    let folder = tempfile::tempdir().unwrap();
    let plant = write_plant(folder.path(), machine.port, 200, &sink(broker.port));
    let gateway = Gateway::run(&plant);
    event(folder.path(), "source.connected", "source/mill-opcua");
    machine.set("spindle_torque", 12.0);
    let mut client = gateway.client(OPERATOR.0, OPERATOR.1);
    let changed = eventually("the machine's change", || {
        let values = client.get("/api/v1/values?asset=mill&point=spindle_torque").json();
        let value = &values["values"][0];
        (value["value"] == 12.0).then(|| value["source_time"].as_str().unwrap().to_owned())
    });
    let newer = |message: &Value| {
        message["payload"]["source_time"].as_str() >= Some(changed.as_str())
            && message["payload"]["status"]["name"] == "Good"
    };
    let messages = subscriber.until(DEADLINE, |all| all.iter().any(newer));
    assert_told_by_mqtt(messages.iter().find(|m| newer(m)).expect("a result"), &changed);

    let scada = Scada::new(&python, folder.path(), gateway.url("opcua"));
    assert_eq!(scada.asks(&["connect"])[0]["connected"], Value::Null, "nobody trusts it yet");
    scada.is_trusted();
    // The server looks into the folder a few times a second.
    eventually("trust", || (scada.asks(&["connect"])[0]["connected"] == true).then_some(()));
    assert_told_by_opcua(&scada);

    let address = gateway.http().to_string();
    let golden = workspace().join("models/tool-wear/golden.json");
    let (user, password) = OPERATOR;
    let golden = golden.to_string_lossy();
    let arguments = [&*address, "golden", user, password, "tool-wear", &*golden];
    peer(&python, "oip_client.py", &arguments);
    commands_are_told(&gateway, folder.path());
    assert!(gateway.stop().success());
}

/// Who suspends and resumes is in the events; `resonance status` sees what follows.
fn commands_are_told(gateway: &Gateway, folder: &Path) {
    let mut viewer = gateway.client(VIEWER.0, VIEWER.1);
    let path = "/api/v1/deployments/wear/suspend";
    assert_eq!(viewer.post(path, "", b"").status, 403, "a viewer commands nothing");
    let mut operator = gateway.client(OPERATOR.0, OPERATOR.1);
    assert_eq!(operator.post(path, "", b"").status, 204);
    let command = event(folder, "control.command", "deployment/wear");
    assert_eq!(command["principal"]["name"], OPERATOR.0);
    assert_eq!(command["principal"]["role"], "operate");
    let state = |wanted: &str| {
        eventually(wanted, || {
            let said = resonance()
                .args(["status", "--format", "json", "--user", VIEWER.0])
                .args(["--url", &gateway.url("http")])
                .env("RESONANCE_PASSWORD", VIEWER.1)
                .output()
                .unwrap();
            assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
            let status: Value = serde_json::from_slice(&said.stdout).unwrap();
            assert_eq!(status["sources"][0]["connection"], "connected", "{status}");
            (status["deployments"][0]["state"] == wanted).then_some(())
        });
    };
    state("suspended");
    assert_eq!(operator.post("/api/v1/deployments/wear/resume", "", b"").status, 204);
    state("active");
}
