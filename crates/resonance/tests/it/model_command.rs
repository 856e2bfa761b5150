//! `resonance model`, as people call it: exit codes and what it says.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::needs::has_engine;

/// A package of the project.
fn package() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/tool-wear")
}

/// A copy of it that may be damaged.
fn copy() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["model.toml", "model.onnx", "golden.json", "card.md"] {
        fs::copy(package().join(name), folder.path().join(name)).unwrap();
    }
    folder
}

fn model(arguments: &[&str], folder: &Path) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_resonance"));
    command.arg("model").args(arguments).arg(folder);
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[test]
fn the_library_keeps_no_usage_data() {
    if !has_engine("the_library_keeps_no_usage_data") {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_resonance"));
    command.env("HOME", home.path());
    for variable in ["ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME", "XDG_DATA_HOME"] {
        command.env_remove(variable);
    }
    let ran = command.args(["model", "run"]).arg(package()).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let left: Vec<_> = fs::read_dir(home.path()).unwrap().map(|e| e.unwrap().path()).collect();
    assert!(left.is_empty(), "something was written to the user's home: {left:?}");
}

#[test]
fn inspect_says_what_a_package_is() {
    let (code, out, error) = model(&["inspect", "--format", "json"], &package());
    assert_eq!(code, 0, "{error}");
    let said: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(said["manifest"]["name"], "tool-wear");
    assert!(said["digest"].as_str().unwrap().starts_with("sha256:"));
    assert_eq!(said["signed"], false);
    let (_, text, _) = model(&["inspect"], &package());
    assert!(text.contains("simulated data"), "{text}");
    let (code, _, error) = model(&["inspect"], Path::new("absent.onnx"));
    assert_eq!((code, error.contains("no such file")), (2, true), "{error}");
}

#[test]
fn a_changed_file_is_refused_until_packed_anew() {
    let folder = copy();
    let card = folder.path().join("card.md");
    fs::write(&card, "# Another card").unwrap();
    let (code, _, error) = model(&["inspect"], folder.path());
    assert_eq!((code, error.contains("card.md was changed")), (2, true), "{error}");
    let (code, out, error) = model(&["pack"], folder.path());
    assert_eq!((code, out.contains("pinned card.md")), (0, true), "{out}{error}");
    assert_eq!(model(&["inspect"], folder.path()).0, 0);
}

#[test]
fn run_reproduces_golden_vectors_and_fails_on_wrong_ones() {
    if !has_engine("run_reproduces_golden_vectors_and_fails_on_wrong_ones") {
        return;
    }
    let (code, out, error) = model(&["run", "--format", "json"], &package());
    assert_eq!(code, 0, "{error}");
    let said: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(said["reproduced"], true);

    let folder = copy();
    let golden = folder.path().join("golden.json");
    let mut vectors: Value = serde_json::from_slice(&fs::read(&golden).unwrap()).unwrap();
    vectors["vectors"][1]["outputs"][0]["data"] = serde_json::json!([0.3999]);
    fs::write(&golden, vectors.to_string()).unwrap();
    assert_eq!(model(&["pack"], folder.path()).0, 0);
    let (code, _, error) = model(&["run"], folder.path());
    assert_eq!((code, error.contains("not 0.3999")), (1, true), "{error}");
}

#[test]
fn run_answers_a_request() {
    if !has_engine("run_answers_a_request") {
        return;
    }
    let golden = fs::read(package().join("golden.json")).unwrap();
    let golden: Value = serde_json::from_slice(&golden).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let request = folder.path().join("request.json");
    let inputs = &golden["vectors"][0]["inputs"];
    fs::write(&request, serde_json::json!({"id": "1", "inputs": inputs}).to_string()).unwrap();
    let input = request.to_str().unwrap();
    let (code, out, error) = model(&["run", "--format", "json", "--input", input], &package());
    assert_eq!(code, 0, "{error}");
    let said: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(said["model_name"], "tool-wear");
    assert_eq!(said["outputs"].as_array().unwrap().len(), 2);
    fs::write(&request, "{\"inputs\": [").unwrap();
    let (code, _, error) = model(&["run", "--input", input], &package());
    assert_eq!((code, error.contains("line 1, column")), (2, true), "{error}");
}

#[test]
fn bench_reports_percentiles_and_the_machine() {
    if !has_engine("bench_reports_percentiles_and_the_machine") {
        return;
    }
    let arguments = ["bench", "--seconds", "1", "--batch", "4", "--format", "json"];
    let (_, out, error) = model(&arguments, &package());
    let said: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{error}"));
    assert_eq!(said["batch"], 4);
    assert!(said["warm_us"]["p50"].as_f64().unwrap() > 0.0);
    assert!(said["warm_us"]["p50"].as_f64() <= said["warm_us"]["max"].as_f64());
    assert!(said["machine"]["threads"].as_u64().unwrap() > 0);
}
