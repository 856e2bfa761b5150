use resonance_plant::{ElementType, Tensor};

use super::*;
use crate::engines::EngineKind;
use crate::engines::sample::sum_of;
use crate::json::JsonTensor;
use crate::package::manifest::Tolerance;

fn ran(identity: &str, outputs: &[&[f32]]) -> Answer {
    let vector = |numbers: &&[f32]| {
        let shape = [numbers.len(), 1];
        let tensor = Tensor::from_bytes(ElementType::Fp32, &shape, bytemuck::cast_slice(numbers));
        VectorAnswer::Outputs(vec![JsonTensor::of(&"y".into(), &tensor.unwrap())])
    };
    let answers = outputs.iter().map(vector).collect();
    Answer { identity: Some(identity.into()), outcome: Outcome::Ran { answers, median_us: 1.0 } }
}

#[test]
fn the_greatest_difference_is_told_with_its_place() {
    let model = sum_of(2);
    let rows: Vec<Vec<f64>> = vec![vec![1.0, 1.0], vec![2.0, 3.0]];
    let sets = [golden(&model), from_rows("rows.csv", &rows, &model.manifest).unwrap()];
    let answers = vec![
        (EngineKind::OnnxRuntime, Ok(ran("one 1", &[&[1.0], &[2.0, 5.0]]))),
        (EngineKind::Tract, Ok(ran("two 2", &[&[1.0], &[2.0, 5.5]]))),
    ];
    let compared = compare(&model, &sets, answers, Tolerance::default());
    assert!(!compared.agree);
    assert_eq!(compared.sets.len(), 3, "both on golden vectors, one against the other on rows");
    let rows = &compared.sets[2];
    assert_eq!((&*rows.engine, &*rows.reference), ("two 2", "one 1"));
    let output = &rows.outputs[0];
    assert_eq!((output.elements, output.deviating), (2, 1));
    let greatest = output.greatest.as_ref().unwrap();
    assert_eq!((greatest.by, greatest.element, &*greatest.vector), (0.5, 1, "rows 1 to 2"));
    assert_eq!((&*greatest.expected, &*greatest.actual), ("5", "5.5"));
}

#[test]
fn an_engine_that_lacks_operators_does_not_disagree_one_that_dies_does() {
    let model = sum_of(2);
    let sets = [golden(&model)];
    let with = |outcome: Result<Answer, String>| {
        let answers = vec![
            (EngineKind::OnnxRuntime, Ok(ran("one 1", &[&[1.0]]))),
            (EngineKind::Tract, outcome),
        ];
        compare(&model, &sets, answers, Tolerance::default())
    };
    let lacks = Outcome::Lacks(vec!["ai.onnx.ml:Scaler".into()]);
    let compared = with(Ok(Answer { identity: None, outcome: lacks }));
    assert!(compared.agree);
    assert_eq!(compared.engines[1].lacks, ["ai.onnx.ml:Scaler"]);
    assert!(!with(Err("it was killed after 60 s".into())).agree);
    assert!(!with(Ok(ran("two 2", &[&[1.0, 2.0]]))).agree, "another shape");
    let answers = vec![VectorAnswer::Failed("no memory".into())];
    let outcome = Outcome::Ran { answers, median_us: 0.0 };
    let failed = vec![(EngineKind::OnnxRuntime, Ok(Answer { identity: None, outcome }))];
    let compared = compare(&model, &[generated_one(&model)], failed, Tolerance::default());
    assert!(!compared.agree, "an engine alone that never answers agrees with nobody");
    assert!(compared.engines[0].problem.as_ref().unwrap().contains("no memory"));
    assert!(with(Ok(ran("two 2", &[&[1.0]]))).agree);
}

fn generated_one(model: &crate::package::VerifiedModel) -> VectorSet {
    let mut set = generated(&model.manifest).unwrap();
    set.vectors.truncate(1);
    set
}

#[test]
fn rows_that_do_not_fit_are_named() {
    let model = sum_of(2);
    let rows = vec![vec![1.0, 2.0], vec![1.0]];
    let error = from_rows("r", &rows, &model.manifest).unwrap_err().to_string();
    assert!(error.contains("row 2 has 1 values, the model takes 2: x FP32[1, 2]"), "{error}");
    assert_eq!(from_rows("r", &[], &model.manifest), Err(VectorError::Empty));
}

#[test]
fn what_is_made_up_is_the_same_each_time() {
    let model = sum_of(2);
    assert_eq!(generated(&model.manifest), generated(&model.manifest));
    let set = generated(&model.manifest).unwrap();
    assert!(set.vectors.iter().any(|(_, inputs)| inputs.tensors[0].shape == [7, 2]));
}

#[test]
fn a_lone_file_declares_its_own_signature() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sum.onnx");
    std::fs::write(&path, crate::onnx::sample::sum(3)).unwrap();
    let model = of_file(&path).unwrap();
    assert_eq!(model.manifest.inputs[0].tensor().to_string(), "FP32[-1, 3]");
    assert!(model.golden.is_empty());
    std::fs::write(&path, "no model").unwrap();
    assert!(matches!(of_file(&path), Err(LoneError::Model(_))));
}
