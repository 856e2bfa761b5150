//! `resonance model compare` on models made by the tools that people make models with, some of
//! which tract answers wrongly without an error.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::needs::skip;
use crate::peers::{Peer, python, workspace};

/// The models, and a command line to hold against them.
struct Models(tempfile::TempDir);

impl Models {
    /// `None` where Python, ONNX Runtime or (if needed) tract is absent.
    fn made(test: &str, needs_tract: bool) -> Option<Self> {
        if needs_tract && !cfg!(feature = "tract") {
            skip(test, "tract", &"built without tract; add --features resonance/tract");
            return None;
        }
        let python = python(test)?;
        let folder = tempfile::tempdir().unwrap();
        let (_peer, done) =
            Peer::start(&python, "engine_models.py", &[folder.path().to_str().unwrap()]);
        assert_eq!(done["ok"], true);
        let models = Self(folder);
        let known = models.compared("mlp.onnx", &[]);
        if known["engines"][0]["absent"] == true {
            skip(test, "onnxruntime", &known["engines"][0]["problem"]);
            return None;
        }
        Some(models)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, command: &str, arguments: &[&str], name: &str) -> (i32, String, String) {
        resonance(command, arguments, &self.path(name))
    }

    /// What `compare` says of one model, with the exit code that goes with it.
    fn compared(&self, name: &str, arguments: &[&str]) -> Value {
        let arguments = [arguments, &["--format", "json"]].concat();
        let (code, out, error) = self.run("compare", &arguments, name);
        let said: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{error}"));
        assert_eq!(code, i32::from(said[0]["agree"] != true), "{said}");
        said[0].clone()
    }
}

fn resonance(command: &str, arguments: &[&str], path: &Path) -> (i32, String, String) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_resonance"));
    program.args(["model", command]).args(arguments).arg(path);
    let Output { status, stdout, stderr } = program.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// How far engines lie apart on an output, and how many of its elements deviate.
fn apart(compared: &Value, output: &str) -> (f64, u64) {
    let sets = compared["sets"].as_array().unwrap().iter();
    let outputs = sets.flat_map(|set| set["outputs"].as_array().unwrap());
    let found = outputs.filter(|found| found["output"] == output).map(|found| {
        let by = found["greatest"]["by"].as_f64().unwrap_or(0.0);
        (by, found["deviating"].as_u64().unwrap())
    });
    found.max_by(|one, other| one.0.total_cmp(&other.0)).unwrap()
}

#[test]
fn wrong_answers_without_an_error_are_found_on_inputs_made_up() {
    let test = "wrong_answers_without_an_error_are_found_on_inputs_made_up";
    let Some(models) = Models::made(test, true) else { return };
    for (name, output) in
        [("branch_gte.onnx", "scores"), ("qdq_softmax.onnx", "y"), ("reverse_lstm.onnx", "y")]
    {
        let compared = models.compared(name, &[]);
        assert_eq!(compared["agree"], false, "{name}: {compared}");
        assert!(compared["engines"].as_array().unwrap().iter().all(|e| e["ran"] == true));
        let (by, deviating) = apart(&compared, output);
        assert!(by > 0.01 && deviating > 0, "{name}: {by} {deviating}");
    }
    let compared = models.compared("mlp.onnx", &[]);
    assert_eq!(
        (&compared["agree"], apart(&compared, "y").1),
        (&Value::Bool(true), 0),
        "{compared}"
    );
}

#[test]
fn golden_vectors_catch_an_engine_that_answers_wrongly() {
    let test = "golden_vectors_catch_an_engine_that_answers_wrongly";
    let Some(models) = Models::made(test, true) else { return };
    for name in ["branch_gte", "qdq_softmax", "reverse_lstm", "mlp"] {
        let (code, _, error) = models.run("pack", &[], name);
        assert_eq!(code, 0, "{error}");
        let (code, _, error) = models.run("run", &[], name);
        assert_eq!(code, 0, "{name}: ONNX Runtime here and under Python agree: {error}");
        let (code, _, error) = models.run("run", &["--engine", "tract"], name);
        if name == "mlp" {
            assert_eq!(code, 0, "{error}");
            continue;
        }
        let says_where = error.contains("element") && error.contains("deviate");
        assert!(code == 1 && says_where, "{name}: {code} {error}");
        let compared = models.compared(name, &[]);
        let of_tract = &compared["sets"][1];
        assert_eq!(of_tract["reference"], "the package", "{compared}");
        assert!(of_tract["outputs"].as_array().unwrap().iter().any(|o| o["deviating"] != 0));
    }
}

#[test]
fn the_users_rows_are_compared_and_operators_that_lack_are_named() {
    let test = "the_users_rows_are_compared_and_operators_that_lack_are_named";
    let Some(models) = Models::made(test, true) else { return };
    let rows = models.path("binary_forest.csv");
    let data = ["--data", rows.to_str().unwrap()];
    // tract gives every row of such a forest the first label, and the right probabilities.
    let compared = models.compared("binary_forest.onnx", &data);
    assert_eq!(compared["agree"], false, "{compared}");
    let set = &compared["sets"][0];
    assert_eq!(set["inputs"], "binary_forest.csv");
    assert!(apart(&compared, "label").1 > 5 && apart(&compared, "probabilities").1 == 0, "{set}");
    let labels = set["outputs"][0]["labels"].as_array().unwrap();
    assert!(labels.iter().all(|l| l["actual"] == "0" && l["expected"] == "1"), "{set}");
    let compared = models.compared("scaled.onnx", &data);
    let lacks = compared["engines"][1]["lacks"].as_array().unwrap();
    assert!(lacks.contains(&"ai.onnx.ml:Scaler".into()), "{compared}");
    assert_eq!(compared["agree"], true, "one engine alone does not disagree");
    let (code, text, _) = models.run("compare", &data, "scaled.onnx");
    assert_eq!((code, text.contains("(only one ran it)")), (0, true), "{text}");
}

#[test]
fn a_model_without_end_or_measure_is_stopped_and_said_to_be() {
    let test = "a_model_without_end_or_measure_is_stopped_and_said_to_be";
    let Some(models) = Models::made(test, false) else { return };
    let compared = models.compared("endless.onnx", &["--seconds", "1"]);
    let problem = compared["engines"][0]["problem"].as_str().unwrap();
    assert!(problem.contains("--seconds gives it longer"), "{problem}");
    assert_eq!(compared["agree"], false);
    let compared = models.compared("greedy.onnx", &["--memory-mib", "1024"]);
    assert!(compared["engines"][0]["problem"].is_string(), "{compared}");
    assert_eq!(compared["agree"], false);
    assert_eq!(models.compared("mlp.onnx", &["--memory-mib", "512"])["engines"][0]["ran"], true);
}

#[test]
fn what_cannot_be_compared_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.onnx");
    std::fs::write(&file, "no model").unwrap();
    let (code, _, error) = resonance("compare", &[], &file);
    assert_eq!((code, error.contains("model.onnx")), (2, true), "{error}");
    let (code, _, error) = resonance("compare", &[], Path::new("absent.onnx"));
    assert_eq!((code, error.contains("no such file")), (2, true), "{error}");
    let rows = folder.path().join("rows.csv");
    std::fs::write(&rows, "a,b\n1,2\n1,x\n").unwrap();
    let package = workspace().join("models/tool-wear");
    let data = ["--data", rows.to_str().unwrap()];
    let (code, _, error) = resonance("compare", &data, &package);
    assert!(code == 2 && error.contains("rows.csv: line 3, column 2: \"x\""), "{error}");
    std::fs::write(&rows, "1,2\n").unwrap();
    let (code, _, error) = resonance("compare", &data, &package);
    assert!(code == 2 && error.contains("row 1 has 2 values, the model takes 13"), "{error}");
}
