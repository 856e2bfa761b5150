use resonance_plant::{ElementType, Tensor, TensorBuf};

use super::*;
use crate::engines::sample::{packed, sum_of};
use crate::onnx::sample;
use crate::{GoldenMismatch, verify_golden};

fn load(model: &VerifiedModel) -> Result<Box<dyn Program>, EngineError> {
    Tract::default().load(model, &Limits::default())
}

#[test]
fn the_version_told_is_the_version_pinned() {
    let manifest = include_str!("../../../../../Cargo.toml");
    assert!(manifest.contains(&format!("tract-onnx = {{ version = \"={VERSION}\"")));
    assert_eq!(IDENTITY, format!("tract {}", Tract::default().version()));
}

#[test]
fn a_model_answers_its_golden_vectors_and_any_number_of_rows() {
    let model = sum_of(3);
    let program = load(&model).unwrap();
    let report = verify_golden(&*program, &model).unwrap();
    assert_eq!((report.vectors, report.elements), (1, 1));
    let mut session = program.session().unwrap();
    let mut outputs = TensorBuf::default();
    for rows in [1_usize, 64, 7] {
        let numbers: Vec<f32> = (0..rows * 3).map(|at| at as f32).collect();
        let bytes = bytemuck::cast_slice(&numbers);
        let tensors = vec![Tensor::from_bytes(ElementType::Fp32, &[rows, 3], bytes).unwrap()];
        session.infer(&TensorBuf { tensors }, &mut outputs).unwrap();
        assert_eq!(outputs.tensors[0].shape, [rows, 1]);
        let last = numbers[rows * 3 - 3..].iter().sum::<f32>();
        assert_eq!(outputs.tensors[0].as_slice::<f32>()[rows - 1], last);
    }
}

#[test]
fn an_input_that_does_not_fit_is_refused() {
    let model = sum_of(3);
    let mut session = load(&model).unwrap().session().unwrap();
    let tensors = vec![Tensor::zeros(ElementType::Fp32, &[1, 4]).unwrap()];
    let error = session.infer(&TensorBuf { tensors }, &mut TensorBuf::default()).unwrap_err();
    assert_eq!(error.to_string(), "input \"x\" must be FP32[-1, 3], not FP32[1, 4]");
}

#[test]
fn operators_that_it_lacks_are_named() {
    let onnx = sample::model_with(
        &[
            sample::node_of("ai.onnx.ml", "Scaler", &["x"], &["s"]),
            sample::node_of("ai.onnx.ml", "SVMRegressor", &["s"], &["y"]),
            sample::input("x", 1, &[-1, 2]),
            sample::output("y", 1, &[-1, 1]),
        ],
        &[sample::opset("ai.onnx.ml", 3)],
    );
    let model = packed(&onnx, ("FP32", "[-1, 2]"), ("FP32", "[-1, 1]"), ("[[1, 2]]", "[[3]]"));
    let lacking = EngineError::UnknownOperators {
        engine: IDENTITY.into(),
        operators: vec!["ai.onnx.ml:SVMRegressor".into(), "ai.onnx.ml:Scaler".into()],
    };
    assert_eq!(load(&model).err(), Some(lacking));
}

#[test]
fn a_manifest_that_says_otherwise_is_refused() {
    let onnx = sample::sum(3);
    let model = packed(&onnx, ("FP64", "[-1, 3]"), ("FP32", "[-1, 1]"), ("[[1, 2, 3]]", "[[6]]"));
    let error = load(&model).err().unwrap().to_string();
    assert!(error.contains("tensor \"x\": the manifest says FP64[-1, 3]"), "{error}");
}

#[test]
fn a_golden_vector_answered_otherwise_is_reported_with_the_difference() {
    let onnx = sample::sum(3);
    let model =
        packed(&onnx, ("FP32", "[-1, 3]"), ("FP32", "[-1, 1]"), ("[[1, 2, 3]]", "[[6.01]]"));
    let program = load(&model).unwrap();
    let Err(GoldenMismatch::Value(deviation)) = verify_golden(&*program, &model) else {
        panic!("it passed");
    };
    assert_eq!((deviation.output.as_str(), deviation.at), ("y", 0));
    assert_eq!((deviation.actual.as_str(), deviation.expected.as_str()), ("6", "6.01"));
}

#[test]
fn a_panic_of_the_library_is_an_error() {
    let result: Result<(), String> = guarded(|| panic!("index out of bounds"));
    assert_eq!(result.unwrap_err(), "it panicked: index out of bounds");
}
