#[path = "../../../../../tests/required.rs"]
mod required;

use std::fs;
use std::process::Command;

use resonance_plant::{ElementType, Tensor, TensorBuf};

use super::*;
use crate::engines::sample::{packed, packed_with, sum_of};
use crate::onnx::sample;
use crate::package::VerifiedModel;
use crate::{GoldenMismatch, verify_golden};

/// The engine; `None` where the machine has no library.
fn engine(test: &str) -> Option<OnnxRuntime> {
    let found = OnnxRuntime::find();
    if let Err(error) = &found {
        required::skip(test, "onnxruntime", error);
    }
    found.ok()
}

fn refused(model: &VerifiedModel, test: &str) -> Option<EngineError> {
    let engine = engine(test)?;
    Some(engine.load(model, &Limits::default()).err().expect("the model is loaded"))
}

#[test]
fn a_model_is_loaded_checked_and_shared() {
    let Some(engine) = engine("a_model_is_loaded_checked_and_shared") else { return };
    assert_eq!(engine.identity(), format!("onnxruntime {}", engine.version()));
    let model = sum_of(3);
    let program = engine.load(&model, &Limits::default()).unwrap();
    let report = verify_golden(&*program, &model).unwrap();
    assert_eq!((report.vectors, report.elements), (1, 1));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let mut session = program.session().unwrap();
            scope.spawn(move || {
                let mut inputs = TensorBuf::default();
                let row = [thread as f32, 1.0, 2.0];
                for rows in [1, 5, 2] {
                    let data = row.repeat(rows);
                    let bytes = bytemuck::cast_slice(&data);
                    inputs.tensors =
                        vec![Tensor::from_bytes(ElementType::Fp32, &[rows, 3], bytes).unwrap()];
                    let mut outputs = TensorBuf::default();
                    for _ in 0..200 {
                        session.infer(&inputs, &mut outputs).unwrap();
                        let answer = outputs.tensors[0].as_slice::<f32>();
                        assert_eq!(answer, vec![thread as f32 + 3.0; rows]);
                    }
                }
            });
        }
    });
}

#[test]
fn every_element_type_passes_through() {
    let Some(engine) = engine("every_element_type_passes_through") else { return };
    for (element, number, data) in [
        ("BOOL", 9, "[[true, false]]"),
        ("UINT8", 2, "[[0, 255]]"),
        ("UINT16", 4, "[[0, 65535]]"),
        ("UINT32", 12, "[[0, 4294967295]]"),
        ("UINT64", 13, "[[0, 18446744073709551615]]"),
        ("INT8", 3, "[[-128, 127]]"),
        ("INT16", 5, "[[-32768, 32767]]"),
        ("INT32", 6, "[[-2147483648, 2147483647]]"),
        ("INT64", 7, "[[-9223372036854775808, 9223372036854775807]]"),
        ("FP16", 10, "[[1.5, \"NaN\"]]"),
        ("BF16", 16, "[[-2.0, \"Infinity\"]]"),
        ("FP32", 1, "[[0.1, \"-Infinity\"]]"),
        ("FP64", 11, "[[0.1, 1e300]]"),
        ("BYTES", 8, "[[\"ok\", \"köln \\u0000 zero\"]]"),
    ] {
        let same = sample::model(&[
            sample::node("Identity", &["x"], &["y"]),
            sample::input("x", number, &[-1, 2]),
            sample::output("y", number, &[-1, 2]),
        ]);
        let kind = (element, "[-1, 2]");
        let model = packed(&same, kind, kind, (data, data));
        let program = engine.load(&model, &Limits::default()).unwrap();
        let report = verify_golden(&*program, &model);
        assert_eq!(report.map(|report| report.elements), Ok(2), "{element}");
    }
}

#[test]
fn wrong_answers_are_not_served() {
    let Some(engine) = engine("wrong_answers_are_not_served") else { return };
    let kinds = (("FP32", "[-1, 2]"), ("FP32", "[-1, 1]"));
    let model = packed(&sample::sum(2), kinds.0, kinds.1, ("[[1, 2]]", "[[3.01]]"));
    let program = engine.load(&model, &Limits::default()).unwrap();
    let error = verify_golden(&*program, &model).unwrap_err();
    assert!(matches!(&error, GoldenMismatch::Value(deviation) if deviation.at == 0), "{error}");
    assert!(error.to_string().contains("element 0 of \"y\" is 3, not 3.01"), "{error}");
}

#[test]
fn what_is_no_onnx_is_refused() {
    let kinds = (("FP32", "[-1, 1]"), ("FP32", "[-1, 1]"));
    let model = packed(b"not a model", kinds.0, kinds.1, ("[[1]]", "[[1]]"));
    let Some(error) = refused(&model, "what_is_no_onnx_is_refused") else { return };
    assert!(matches!(&error, EngineError::NotAModel { file, .. } if file == "m.onnx"), "{error}");
}

#[test]
fn data_in_other_files_is_refused() {
    for path in ["/etc/passwd", "../weights.bin", "weights.bin"] {
        let outside = sample::model(&[
            sample::node("Add", &["x", "w"], &["y"]),
            sample::external("w", path),
            sample::input("x", 1, &[-1, 1]),
            sample::output("y", 1, &[-1, 1]),
        ]);
        let kinds = (("FP32", "[-1, 1]"), ("FP32", "[-1, 1]"));
        let model = packed(&outside, kinds.0, kinds.1, ("[[1]]", "[[1]]"));
        let Some(error) = refused(&model, "data_in_other_files_is_refused") else { return };
        assert!(
            matches!(&error, EngineError::ExternalData { path: named, .. } if named == path),
            "{error}"
        );
    }
}

/// y = x + w, where w lies in another file.
fn added(weight: Vec<u8>) -> Vec<u8> {
    sample::model(&[
        sample::node("Add", &["x", "w"], &["y"]),
        weight,
        sample::input("x", 1, &[-1, 1]),
        sample::output("y", 1, &[-1, 1]),
    ])
}

#[test]
fn data_in_a_listed_file_is_handed_over_from_the_verified_bytes() {
    let kinds = (("FP32", "[-1, 1]"), ("FP32", "[-1, 1]"));
    let data: Vec<u8> = [9.0f32, 41.0].iter().flat_map(|w| w.to_le_bytes()).collect();
    for (offset, answer) in [("0", "[[10]]"), ("4", "[[42]]")] {
        let entries = [("location", "weights.bin"), ("offset", offset), ("length", "4")];
        let onnx = added(sample::external_at("w", &entries));
        let model =
            packed_with(&onnx, kinds.0, kinds.1, ("[[1]]", answer), &[("weights.bin", &data)]);
        let Some(engine) = engine("data_in_a_listed_file_is_handed_over") else { return };
        // The folder is gone by now: there is nothing that could be read a second time.
        assert!(!model.files.folder().exists());
        let program = engine.load(&model, &Limits::default()).unwrap();
        verify_golden(&*program, &model).unwrap();
    }
}

#[test]
fn data_beyond_the_end_of_a_listed_file_is_refused() {
    let kinds = (("FP32", "[-1, 1]"), ("FP32", "[-1, 1]"));
    let refused_with = |entries: &[(&str, &str)]| {
        let all = [&[("location", "weights.bin")], entries].concat();
        let onnx = added(sample::external_at("w", &all));
        let vector = ("[[1]]", "[[1]]");
        let model = packed_with(&onnx, kinds.0, kinds.1, vector, &[("weights.bin", &[0; 4])]);
        refused(&model, "data_beyond_the_end_of_a_listed_file_is_refused")
    };
    let Some(beyond) = refused_with(&[("offset", "1")]) else { return };
    assert!(beyond.to_string().contains("has 4 bytes where 5 are needed"), "{beyond}");
    for entries in [
        [("offset", "-1"), ("length", "4")],
        [("offset", "0"), ("length", "8")],
        [("offset", "18446744073709551615"), ("length", "4")],
        [("offset", "9223372036854775807"), ("length", "4")],
    ] {
        let error = refused_with(&entries).expect("the library was there before");
        assert!(matches!(error, EngineError::NotAModel { .. }), "{entries:?}: {error}");
    }
}

#[test]
fn data_of_inner_graphs_is_refused_even_from_a_listed_file() {
    let kinds = (("FP32", "[-1, 1]"), ("FP32", "[-1, 1]"));
    // A Constant whose value attribute keeps its data elsewhere.
    let value = sample::external("w", "weights.bin");
    let attribute =
        sample::bytes(5, [sample::bytes(1, "value"), value, sample::int(20, 4)].concat());
    let constant = [sample::bytes(2, "w"), sample::bytes(4, "Constant"), attribute].concat();
    let onnx = added(sample::bytes(1, constant));
    let vector = ("[[1]]", "[[1]]");
    let model = packed_with(&onnx, kinds.0, kinds.1, vector, &[("weights.bin", &[0; 4])]);
    let Some(error) = refused(&model, "data_of_inner_graphs_is_refused") else { return };
    assert!(error.to_string().contains("no weight of the main graph"), "{error}");
}

#[test]
fn unknown_operators_are_named() {
    let kinds = (("FP32", "[-1, 1]"), ("FP32", "[-1, 1]"));
    for (domain, operator) in [("com.acme", "Wear"), ("", "Wear")] {
        let graph = [
            sample::node_of(domain, operator, &["x"], &["y"]),
            sample::input("x", 1, &[-1, 1]),
            sample::output("y", 1, &[-1, 1]),
        ];
        let onnx = sample::model_with(&graph, &[sample::opset("com.acme", 1)]);
        let model = packed(&onnx, kinds.0, kinds.1, ("[[1]]", "[[1]]"));
        let Some(error) = refused(&model, "unknown_operators_are_named") else { return };
        let name = if domain.is_empty() { "ai.onnx" } else { domain };
        let expected = vec![format!("{name}:{operator}")];
        assert!(
            matches!(&error, EngineError::UnknownOperators { operators, .. } if *operators == expected),
            "{error}"
        );
    }
}

#[test]
fn manifests_that_contradict_the_model_are_refused() {
    let Some(engine) = engine("manifests_that_contradict_the_model_are_refused") else { return };
    let fits = ("FP32", "[-1, 1]");
    for (x, y, vector, says) in [
        (
            ("FP32", "[-1, 3]"),
            fits,
            ("[[1, 2, 3]]", "[[1]]"),
            "manifest says FP32[-1, 3], the model FP32[-1, 2]",
        ),
        (("FP64", "[-1, 2]"), fits, ("[[1, 2]]", "[[1]]"), "manifest says FP64[-1, 2]"),
        (("FP32", "[-1, -1]"), fits, ("[[1, 2]]", "[[1]]"), "the model FP32[-1, 2]"),
        (
            ("FP32", "[1, 2]"),
            ("INT64", "[-1, 1]"),
            ("[[1, 2]]", "[[1]]"),
            "manifest says INT64[-1, 1]",
        ),
    ] {
        let model = packed(&sample::sum(2), x, y, vector);
        let error = engine.load(&model, &Limits::default()).err().unwrap();
        assert!(matches!(error, EngineError::SignatureClash { .. }), "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
    // The manifest may fix what the model leaves open.
    let narrow = packed(&sample::sum(2), ("FP32", "[1, 2]"), fits, ("[[1, 2]]", "[[3]]"));
    assert!(engine.load(&narrow, &Limits::default()).is_ok());
}

#[test]
fn models_over_a_limit_are_refused() {
    let Some(engine) = engine("models_over_a_limit_are_refused") else { return };
    let model = sum_of(3);
    let small = Limits { model_bytes_max: 20, ..Limits::default() };
    let error = engine.load(&model, &small).err().unwrap();
    assert!(error.to_string().starts_with("the model file m.onnx is "), "{error}");
    let narrow = Limits { tensor_elements_max: 2, ..Limits::default() };
    let error = engine.load(&model, &narrow).err().unwrap();
    assert!(matches!(error, EngineError::OverLimit { actual: 3, limit: 2, .. }), "{error}");
}

#[test]
fn inputs_that_do_not_fit_are_named() {
    let Some(engine) = engine("inputs_that_do_not_fit_are_named") else { return };
    let program = engine.load(&sum_of(3), &Limits::default()).unwrap();
    let mut session = program.session().unwrap();
    let mut outputs = TensorBuf::default();
    let mut told =
        |tensors| session.infer(&TensorBuf { tensors }, &mut outputs).unwrap_err().to_string();
    let zeros = |element, shape: &[usize]| Tensor::zeros(element, shape).unwrap();
    for (tensors, says) in [
        (vec![], "input \"x\" must be one of 1 tensors, not one of 0"),
        (vec![zeros(ElementType::Fp32, &[1, 4])], "must be FP32[-1, 3], not FP32[1, 4]"),
        (vec![zeros(ElementType::Fp32, &[3])], "must be FP32[-1, 3], not FP32[3]"),
        (vec![zeros(ElementType::Fp64, &[1, 3])], "must be FP32[-1, 3], not FP64[1, 3]"),
        (vec![zeros(ElementType::Bytes, &[1, 3])], "must be FP32[-1, 3], not BYTES[1, 3]"),
    ] {
        let error = told(tensors);
        assert!(error.contains(says), "{error}");
    }
    let empty = TensorBuf { tensors: vec![zeros(ElementType::Fp32, &[0, 3])] };
    session.infer(&empty, &mut outputs).unwrap();
    assert_eq!(outputs.tensors[0].shape, [0, 1]);
}

#[test]
fn absent_and_foreign_libraries_are_refused_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.so");
    fs::write(&text, "not a library").unwrap();
    for (path, says) in [
        (folder.path().join("absent.so"), "there is no such file"),
        (text, "cannot be loaded as a library"),
    ] {
        let error = library::check(&path).unwrap_err().to_string();
        assert!(error.contains(says) && error.contains("install ONNX Runtime 1."), "{error}");
    }
}

/// Libraries as no release would be, built by the machine's C compiler.
#[test]
fn old_and_broken_libraries_are_refused_by_version() {
    let source = |version: &str| {
        format!(
            "static const void* api(unsigned v) {{ (void)v; return 0; }}\n\
             static const char* version(void) {{ return \"{version}\"; }}\n\
             static const struct {{ const void* (*a)(unsigned); const char* (*v)(void); }} \
             base = {{ api, version }};\n\
             const void* OrtGetApiBase(void) {{ return &base; }}\n"
        )
    };
    let folder = tempfile::tempdir().unwrap();
    for (name, source, says) in [
        ("old", source("1.16.3"), "is ONNX Runtime 1.16.3; 1.18 or newer 1.x is needed"),
        ("next", source("2.0.0"), "is ONNX Runtime 2.0.0; 1.18 or newer 1.x is needed"),
        ("bare", source("1.40.0"), "version 1.40.0 lacks level 18"),
        ("other", "int nothing;\n".to_owned(), "not ONNX Runtime (no OrtGetApiBase)"),
    ] {
        let (c, so) = (folder.path().join(format!("{name}.c")), folder.path().join(name));
        fs::write(&c, source).unwrap();
        // Whoever builds this has a C compiler: it links.
        let cc = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&so).arg(&c).status();
        assert!(cc.unwrap().success());
        let error = library::check(&so).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}
