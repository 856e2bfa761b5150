use std::fs;

use tempfile::TempDir;

use super::*;

const MODEL: &str = r#"format = 1
name = "wear"
version = "1.0.0"
category = "soft_sensor"
model = "model.onnx"

# Comments survive packing.
[training]
data = "simulated"

[window]
samples = 4
period_ms = 250

[[input]]
name = "x"
element = "FP32"
shape = [-1, 2]

[[input.feature]]
semantic_id = "urn:x:load"
quantity = "power"
unit = "WTT"
statistics = ["mean", "max"]

[[output]]
name = "y"
element = "FP32"
shape = [-1, 1]

[[output.value]]
name = "wear"
semantic_id = "urn:x:wear"
range = [0.0, 1.0]
"#;

const VECTORS: &str = r#"{"vectors": [{"name": "one",
  "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}],
  "outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 1], "data": [3]}]}]}"#;

/// An unpacked package with this manifest and these vectors.
fn folder(manifest: &str, vectors: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(MANIFEST), manifest).unwrap();
    fs::write(folder.path().join(GOLDEN), vectors).unwrap();
    fs::write(folder.path().join("model.onnx"), "not read by these tests").unwrap();
    folder
}

/// What packing says to a manifest in which `from` was replaced.
fn refused(from: &str, to: &str) -> String {
    assert!(MODEL.contains(from), "{from}");
    let folder = folder(&MODEL.replacen(from, to, 1), VECTORS);
    pack(folder.path(), &[], &PackageLimits::default()).unwrap_err().to_string()
}

/// What packing says to these golden vectors.
fn refused_vectors(from: &str, to: &str) -> String {
    assert!(VECTORS.contains(from), "{from}");
    let folder = folder(MODEL, &VECTORS.replacen(from, to, 1));
    pack(folder.path(), &[], &PackageLimits::default()).unwrap_err().to_string()
}

#[test]
fn packing_pins_files_and_keeps_the_rest_of_the_text() {
    let folder = folder(MODEL, VECTORS);
    fs::write(folder.path().join("card.md"), "# Wear").unwrap();
    let limits = PackageLimits::default();
    let error = load(folder.path(), &limits).unwrap_err().to_string();
    assert!(error.contains("resonance model pack"), "{error}");
    let packed = pack(folder.path(), &["card.md".into()], &limits).unwrap();
    assert_eq!(packed.changed, ["card.md", "golden.json", "model.onnx"]);
    assert_eq!(packed.model.golden.len(), 1);
    assert!(!packed.model.files.is_signed());
    let text = fs::read_to_string(folder.path().join(MANIFEST)).unwrap();
    assert!(text.starts_with(MODEL.trim_end()), "{text}");
    let again = pack(folder.path(), &[], &limits).unwrap();
    assert_eq!(again.changed, Vec::<String>::new());
    assert_eq!(again.model.files.digest(), packed.model.files.digest());

    fs::write(folder.path().join("model.onnx"), "changed").unwrap();
    let error = load(folder.path(), &limits).unwrap_err().to_string();
    assert!(error.contains("model.onnx was changed"), "{error}");
    let after = pack(folder.path(), &[], &limits).unwrap();
    assert_eq!(after.changed, ["model.onnx"]);
    assert_ne!(after.model.files.digest(), packed.model.files.digest());
}

#[test]
fn a_files_table_amid_the_manifest_is_replaced_in_place() {
    let split = MODEL.replace("[window]", "[files]\n\"golden.json\" = \"old\"\n\n[window]");
    let folder = folder(&split, VECTORS);
    pack(folder.path(), &[], &PackageLimits::default()).unwrap();
    let text = fs::read_to_string(folder.path().join(MANIFEST)).unwrap();
    assert_eq!(text.matches("golden.json").count(), 1);
    assert!(text.find("[files]").unwrap() < text.find("[window]").unwrap(), "{text}");
}

#[test]
fn manifests_survive_a_round_trip() {
    let manifest: Manifest = toml::from_str(MODEL).unwrap();
    let text = toml::to_string(&manifest).unwrap();
    assert_eq!(toml::from_str::<Manifest>(&text).unwrap(), manifest, "{text}");
}

#[test]
fn unknown_keys_are_refused_with_place_and_nearest() {
    for (from, to, says) in [
        ("samples = 4", "sampels = 4", "model.toml:12:1: unknown field `sampels`"),
        ("samples = 4", "sampels = 4", "did you mean `samples`?"),
        ("statistics =", "statistic =", "did you mean `statistics`?"),
        ("\"mean\", ", "\"meen\", ", "did you mean `mean`?"),
        ("range =", "rnage =", "did you mean `range`?"),
        ("name = \"x\"", "nome = \"x\"", "did you mean `name`?"),
        ("\"WTT\"", "\"WAT\"", "WAT"),
        ("soft_sensor", "soft_sensors", "did you mean `soft_sensor`?"),
        ("format = 1", "format = ", "model.toml:1:"),
        ("urn:x:load", "load", "neither a URI"),
    ] {
        let error = refused(from, to);
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn manifests_that_contradict_themselves_are_refused() {
    for (from, to, says) in [
        ("format = 1", "format = 2", "write format = 1"),
        ("\"wear\"", "\"Wear\"", "lower-case"),
        ("1.0.0", "", "version"),
        ("simulated", "guessed", "training.data \"guessed\""),
        ("samples = 4", "samples = 0", "window.samples is 0"),
        ("period_ms = 250", "period_ms = 0", "window.period_ms"),
        ("[-1, 2]", "[-1, 3]", "has 3 elements, but its features give 2"),
        ("[-1, 2]", "[4, 2]", "fixed number of rows"),
        ("\"mean\", \"max\"", "\"raw\", \"max\"", "must ask for `raw` alone"),
        ("quantity = \"power\"", "quantity = \"temperature\"", "does not measure temperature"),
        ("[-1, 1]", "[-1, -1]", "needs a batch dimension"),
        ("range = [0.0, 1.0]", "element = 1", "element 1 does not exist; a row has 1"),
        ("[0.0, 1.0]", "[1.0, 0.0]", "the least first"),
        ("range = [0.0, 1.0]", "labels = ['a']", "one label says nothing"),
        ("[window]\nsamples = 4\nperiod_ms = 250", "", "there is no [window]"),
        ("\"model.onnx\"", "\"../model.onnx\"", "no file name"),
        ("\"model.onnx\"", "\"other.onnx\"", "other.onnx is not in"),
    ] {
        let error = refused(from, to);
        assert!(error.contains(says), "{from} -> {to}: {error}");
    }
}

#[test]
fn every_problem_is_told_at_once() {
    let twice = MODEL.replace("format = 1", "format = 3").replace("simulated", "guessed");
    let folder = folder(&twice, VECTORS);
    let error = pack(folder.path(), &[], &PackageLimits::default()).unwrap_err();
    assert!(matches!(&error, PackageError::Manifest { problems, .. } if problems.len() == 2));
}

#[test]
fn golden_vectors_must_fit_the_manifest() {
    for (from, to, says) in [
        ("{\"vectors\"", "[\"vectors\"", "line 1, column"),
        ("\"x\"", "\"z\"", "no input \"z\", only x"),
        ("[1, 2]", "[1, 3]", "must be FP32[-1, 2], not FP32[1, 3]"),
        ("[1, 2]}", "[1]}", "needs 2 elements, not 1"),
        ("\"FP32\"", "\"FP64\"", "must be FP32[-1, 2], not FP64[1, 2]"),
        ("[3]", "[\"three\"]", "element 0 is \"three\""),
        ("\"outputs\": [{\"name\": \"y\"", "\"outputs\": [{\"name\": \"v\"", "no output \"v\""),
        ("\"vectors\": [", "\"vectors\": [], \"x\": [", "unknown field"),
    ] {
        let error = refused_vectors(from, to);
        assert!(error.contains(says), "{from} -> {to}: {error}");
    }
    for (vectors, says) in [
        ("{\"vectors\": []}".to_owned(), "at least one"),
        (VECTORS.replace("\"shape\": [1, 1], \"data\": [3]}", "\"shape\": [1, 1], \"data\": [3]}, {\"name\": \"y\", \"datatype\": \"FP32\", \"shape\": [1, 1], \"data\": [3]}"), "\"y\" must be there once"),
    ] {
        let folder = folder(MODEL, &vectors);
        let error = pack(folder.path(), &[], &PackageLimits::default()).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn requests_are_read_like_vectors() {
    let manifest: Manifest = toml::from_str(MODEL).unwrap();
    let request = r#"{"id": "7", "inputs": [
        {"name": "x", "datatype": "FP32", "shape": [2, 2], "data": [[1, 2], [3, 4]]}]}"#;
    let inputs = golden::parse_request(request.as_bytes(), &manifest).unwrap();
    assert_eq!(inputs.tensors[0].as_slice::<f32>(), [1.0, 2.0, 3.0, 4.0]);
    let error = golden::parse_request(b"{\"inputs\": []}", &manifest).unwrap_err();
    assert!(matches!(error, GoldenError::NotOnce { .. }), "{error}");
}

proptest::proptest! {
    #[test]
    fn hostile_bytes_never_panic(bytes in proptest::collection::vec(0_u8.., 0..200)) {
        let _ = parse::parse(&bytes);
        let manifest: Manifest = toml::from_str(MODEL).unwrap();
        let _ = golden::parse(&bytes, &manifest);
    }
}
