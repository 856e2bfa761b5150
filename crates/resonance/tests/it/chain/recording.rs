//! `resonance record` and `resonance replay`: what a gateway served, kept and answered again.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use super::gateway::{Gateway, eventually, has_engine, resonance};
use crate::needs::{python, workspace};

/// A simulated CNC and the plant file of the machine with its model. Killed when dropped.
struct Scene {
    machine: Child,
    folder: tempfile::TempDir,
}

impl Scene {
    fn start() -> Self {
        let mut machine = resonance()
            .args(["simulate", "cnc", "--start-cutting", "--format", "json"])
            .args(["--listen", "opc.tcp://127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(machine.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (plant, model) =
            (folder.path().join("plant.toml"), workspace().join("models/tool-wear"));
        let connected = resonance()
            .args(["connect", ready["url"].as_str().unwrap(), "--security-policy", "none"])
            .arg("--model")
            .arg(model)
            .arg("--out")
            .arg(&plant)
            .output()
            .unwrap();
        assert!(connected.status.success(), "{}", String::from_utf8_lossy(&connected.stderr));
        let text = fs::read_to_string(&plant).unwrap();
        let text =
            text.replace("127.0.0.1:4841", "127.0.0.1:0").replace("127.0.0.1:8080", "127.0.0.1:0");
        fs::write(&plant, text).unwrap();
        Self { machine, folder }
    }

    fn kept(&self) -> PathBuf {
        self.folder.path().join("kept")
    }

    fn record(&self, more: &[&str]) -> Command {
        let mut command = resonance();
        command.arg("record").arg(self.folder.path().join("plant.toml"));
        command.arg("--out").arg(self.kept()).args(more);
        command
    }

    /// Records until the model has answered so often; returns the summary.
    fn recorded(&self, results: u64) -> Value {
        let mut command = self.record(&["--file-time", "1s", "--format", "json"]);
        command.stdout(Stdio::piped());
        let gateway = Gateway::start(command);
        await_results(&gateway, results);
        gateway.interrupt();
        let (code, out, said) = gateway.end();
        assert_eq!(code, Some(0), "{said}");
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = self.machine.kill();
        let _ = self.machine.wait();
    }
}

fn await_results(gateway: &Gateway, results: u64) {
    let mut client = crate::http::client::Client::connect(gateway.http());
    eventually(&format!("{results} results"), || {
        let status = client.get("/api/v1/status").json();
        (status["deployments"][0]["results"].as_u64()? >= results).then_some(())
    });
}

#[test]
fn what_the_plant_file_has_recorded_goes_on_over_a_reload() {
    let test = "what_the_plant_file_has_recorded_goes_on_over_a_reload";
    if !has_engine(test) {
        return;
    }
    let scene = Scene::start();
    let file = scene.folder.path().join("plant.toml");
    let plant = fs::read_to_string(&file).unwrap();
    let record = "[record]\nfolder = 'kept'\nfile_age_s_max = 1\n";
    fs::write(&file, format!("{plant}{record}")).unwrap();
    let mut command = resonance();
    command.arg("run").arg(&file).args(["--format", "json"]).stdout(Stdio::piped());
    let gateway = Gateway::start(command);
    await_results(&gateway, 20);
    let kept = |gateway: &Gateway| {
        let mut client = crate::http::client::Client::connect(gateway.http());
        client.get("/api/v1/status").json()["recording"].clone()
    };
    eventually("recorded windows", || (kept(&gateway)["windows"].as_u64()? > 0).then_some(()));
    // A second deployment of the same model beside the first.
    let (before, deployment) = plant.split_once("[[deployment]]").unwrap();
    let deployment = deployment.split("\n[").next().unwrap();
    let id = deployment.split("id = \"").nth(1).unwrap().split('"').next().unwrap();
    let second = deployment.replace(&format!("id = \"{id}\""), "id = \"second\"");
    let rest = &plant[before.len()..];
    let grown = format!("{before}[[deployment]]{second}\n{rest}{record}");
    fs::write(&file, grown.as_str()).unwrap();
    gateway.hang_up();
    let second = eventually("results of the second deployment", || {
        // A connection that comes while the plan changes may end unanswered.
        let mut client = crate::http::client::Client::connect(gateway.http());
        client.head("GET", "/api/v1/status", "");
        let status = client.try_reply().ok()?.json();
        let all = status["deployments"].as_array().unwrap();
        let of = all.iter().find(|one| one["id"] == "second")?;
        (of["results"].as_u64()? > 20).then(|| kept(&gateway)["windows"].clone())
    });
    eventually("its windows", || (kept(&gateway)["windows"] != second).then_some(()));
    // What is recorded is no matter of a reload.
    let other = grown.replace("folder = 'kept'", "folder = 'other'");
    fs::write(&file, other).unwrap();
    gateway.hang_up();
    eventually("the refusal", || gateway.has_said("[record]: only a restart").then_some(()));
    gateway.interrupt();
    let (code, out, said) = gateway.end();
    assert_eq!(code, Some(0), "{said}");
    let summary: Value = serde_json::from_str(&out).unwrap();
    let recorded = &summary["recorded"];
    assert_eq!((&recorded["windows_lost"], &recorded["observations_lost"]), (&0.into(), &0.into()));
    assert!(!scene.folder.path().join("other").exists());
    let replayed = json(&replay(&scene.kept(), &["--format", "json"]));
    assert_eq!(replayed["identical"], true, "{replayed:#}");
    assert_eq!(replayed["windows"], recorded["windows"], "{replayed:#}");
}

fn replay(path: &Path, more: &[&str]) -> Output {
    resonance().arg("replay").arg(path).args(more).output().unwrap()
}

fn json(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// What the foreign program says in its one line.
fn foreign(python: &Path, arguments: &[&str]) -> Value {
    let script = workspace().join("tests/peers/recordings.py");
    let output = Command::new(python).arg(script).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn what_was_served_is_kept_and_answered_again_to_the_bit() {
    let test = "what_was_served_is_kept_and_answered_again_to_the_bit";
    if !has_engine(test) {
        return;
    }
    let scene = Scene::start();
    let summary = scene.recorded(40);
    let recorded = &summary["recorded"];
    let windows = recorded["windows"].as_u64().unwrap();
    assert!(windows >= 40 && windows >= summary["inferences"].as_u64().unwrap(), "{summary}");
    assert_eq!((&recorded["windows_lost"], &recorded["observations_lost"]), (&0.into(), &0.into()));
    assert!(recorded["observations"].as_u64() >= summary["observations"].as_u64(), "{summary}");
    let again = replay(&scene.kept(), &["--format", "json"]);
    let report = json(&again);
    assert_eq!((again.status.code(), &report["identical"]), (Some(0), &true.into()), "{report}");
    assert_eq!(report["windows"], windows);
    let files = report["files"].as_array().unwrap();
    assert!(files.len() > 1, "a file a second: {report}");
    assert_eq!(files[0]["replayed"]["header"]["digest"], files[0]["replayed"]["digest"]);
    assert!(
        fs::read_dir(scene.kept())
            .unwrap()
            .all(|entry| { !entry.unwrap().file_name().to_string_lossy().ends_with(".part") })
    );

    let Some(python) = python(test) else { return };
    let found = foreign(&python, &["read", scene.kept().to_str().unwrap()]);
    let read = found["windows"].as_array().unwrap();
    let rows: u64 = read.iter().map(|file| file["rows"].as_u64().unwrap()).sum();
    assert_eq!(rows, windows);
    for file in read {
        assert_eq!(file["types"]["input_features"], "list<element: float not null>", "{file}");
        assert_eq!(file["types"]["window_to"], "timestamp[ns, tz=UTC]", "{file}");
        assert_eq!(file["types"]["status"], "uint32", "{file}");
        assert!(file["worst"].as_f64().unwrap() < 1e-5, "another runtime answers alike: {file}");
        assert!(file["result_ids"].as_array().unwrap().iter().all(Value::is_string), "{file}");
    }
    let observed = found["observations"].as_array().unwrap();
    let rows: u64 = observed.iter().map(|file| file["rows"].as_u64().unwrap()).sum();
    assert_eq!(rows, recorded["observations"]);
    let points = observed[0]["points"].as_array().unwrap();
    assert!(points.iter().any(|point| point.as_str().unwrap().ends_with(".spindle_torque")));
    assert!(observed[0]["numbers"].as_u64().unwrap() > 0);
}

#[test]
fn another_model_and_a_damaged_file_are_told() {
    let test = "another_model_and_a_damaged_file_are_told";
    let (true, Some(python)) = (has_engine(test), python(test)) else { return };
    let scene = Scene::start();
    scene.recorded(5);
    let other = scene.folder.path().join("other");
    fs::create_dir(&other).unwrap();
    for name in ["model.toml", "model.onnx", "golden.json", "card.md"] {
        fs::copy(workspace().join("models/tool-wear").join(name), other.join(name)).unwrap();
    }
    let model = other.to_str().unwrap();
    let same = replay(&scene.kept(), &["--model", model]);
    assert_eq!(same.status.code(), Some(0), "another copy is the same package");
    foreign(&python, &["nudge", other.join("model.onnx").to_str().unwrap()]);
    assert!(resonance().args(["model", "pack", model]).output().unwrap().status.success());
    let told = replay(&scene.kept(), &["--model", model, "--show", "3"]);
    let text = String::from_utf8(told.stdout).unwrap();
    assert_eq!(told.status.code(), Some(1), "{text}");
    assert!(text.contains("served by sha256:") && text.contains("run by    sha256:"), "{text}");
    assert_eq!(text.matches("flank_wear[0] was 0.").count(), 3, "{text}");
    let report = json(&replay(&scene.kept(), &["--model", model, "--format", "json"]));
    assert_eq!(report["identical"], false);
    let difference = &report["files"][0]["differences"][0];
    assert_ne!(difference["recorded"], difference["replayed"], "{report}");

    let windows = resonance_gateway::recording::files_of_windows(&scene.kept()).unwrap();
    let out = scene.kept();
    foreign(&python, &["damage", windows[0].to_str().unwrap(), out.to_str().unwrap()]);
    for (name, says) in [
        ("absent", "column \"deployment\": it is absent"),
        ("texts", "column \"input_features\": it must be FLOAT, not BYTE_ARRAY"),
        ("doubles", "column \"input_features\": it must be FLOAT, not DOUBLE"),
        ("single", "column \"input_features\": it must have a list a row"),
        ("rows", "row 0: row 0 of its batch was expected, not 7"),
        ("short", "elements, which do not make up FP32[-1, 13]"),
        ("foreign", "holds no recorded windows: it says nothing under resonance.windows"),
        ("cut", "is no whole Parquet file"),
        ("empty", "is no whole Parquet file"),
        ("text", "is no whole Parquet file"),
    ] {
        let refused = replay(&out.join(format!("{name}.parquet")), &[]);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{name}: {said}");
        assert!(said.contains(says) && said.contains(&format!("{name}.parquet")), "{said}");
    }
}

#[test]
fn a_recording_that_is_killed_leaves_nothing_that_passes_for_whole() {
    let test = "a_recording_that_is_killed_leaves_nothing_that_passes_for_whole";
    if !has_engine(test) {
        return;
    }
    let scene = Scene::start();
    let gateway = Gateway::start(scene.record(&["--file-time", "1h"]));
    await_results(&gateway, 3);
    gateway.kill();
    let parts = || {
        let names = fs::read_dir(scene.kept()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(".part")).count()
    };
    eventually("the parts", || (parts() == 2).then_some(()));
    let refused = replay(&scene.kept(), &[]);
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("holds no finished windows"), "{said}");
    scene.recorded(1);
    assert_eq!(parts(), 0);
    assert_eq!(replay(&scene.kept(), &[]).status.code(), Some(0));
    let plant = scene.folder.path().join("plant.toml");
    let nowhere = resonance().arg("record").arg(plant).args(["--out", "/dev/null/kept"]).output();
    let nowhere = nowhere.unwrap();
    let said = String::from_utf8_lossy(&nowhere.stderr).into_owned();
    assert_eq!(nowhere.status.code(), Some(1), "{said}");
    assert!(said.contains("/dev/null/kept cannot be written"), "{said}");
}
