use proptest::prelude::*;

use super::sample::{
    bytes, external, input, int, model, model_with, node, node_of, output, weight,
};
use super::*;
use crate::{EngineError, Limits};

fn read(bytes: &[u8]) -> Result<OnnxSummary, EngineError> {
    inspect("m.onnx", bytes, &Limits { tensor_elements_max: 1_000, ..Limits::default() })
}

fn refused(bytes: &[u8]) -> String {
    read(bytes).unwrap_err().to_string()
}

#[test]
fn a_model_says_what_it_is() {
    let summary = read(&sample::sum(32)).unwrap();
    assert_eq!(summary.ir_version, 8);
    assert_eq!(summary.producer, "sample");
    assert_eq!(summary.opsets["ai.onnx"], 18);
    assert_eq!(summary.operators["ai.onnx:Gemm"], 1);
    assert_eq!((summary.weights, summary.parameters), (2, 33));
    assert_eq!(summary.inputs[0].kind.to_string(), "FP32[N, 32]");
    assert_eq!(summary.outputs[0].kind.to_string(), "FP32[N, 1]");
    assert!(summary.external.is_empty());
}

#[test]
fn weights_listed_as_inputs_are_no_inputs() {
    let old = model(&[weight("w", &[1], &[0.0]), input("w", 1, &[1]), input("x", 1, &[1])]);
    let names: Vec<String> = read(&old).unwrap().inputs.into_iter().map(|x| x.name).collect();
    assert_eq!(names, ["x"]);
}

#[test]
fn operators_of_inner_graphs_and_functions_are_seen() {
    let inner = [node_of("com.acme", "Deep", &[], &[]), external("w", "/etc/passwd")].concat();
    let branch = bytes(5, bytes(6, inner));
    let outer = bytes(1, [bytes(4, "If"), branch].concat());
    let function =
        bytes(25, [bytes(1, "Own"), bytes(10, "local"), bytes(7, bytes(4, "Sqrt"))].concat());
    let summary = read(&model_with(&[outer], &[function])).unwrap();
    for operator in ["com.acme:Deep", "ai.onnx:If", "ai.onnx:Sqrt"] {
        assert!(summary.operators.contains_key(operator), "{operator}");
    }
    assert!(summary.functions.contains("local:Own"));
    assert_eq!(summary.external.keys().next().map(String::as_str), Some("/etc/passwd"));
}

#[test]
fn what_is_no_model_is_refused() {
    for bytes in [&b""[..], b"PK\x03\x04zip", b"hello, this is text", &[0xff; 64], &int(1, 8)] {
        let error = refused(bytes);
        assert!(error.starts_with("m.onnx is not a model: "), "{error}");
    }
    let whole = sample::sum(4);
    assert!(read(&whole[..whole.len() - 3]).is_err());
}

#[test]
fn absurd_shapes_are_refused_by_name() {
    let huge = refused(&model(&[weight("w", &[1 << 40, 1 << 40], &[])]));
    assert!(huge.contains("tensor \"w\"") && huge.contains("more than the 1000"), "{huge}");
    let negative = refused(&model(&[weight("w", &[-5], &[])]));
    assert!(negative.contains("tensor \"w\" has the dimension -5"), "{negative}");
    let short = refused(&model(&[weight("w", &[4], &[1.0])]));
    assert!(short.contains("has 4 bytes, but its shape [4] needs 16"), "{short}");
    let wide = refused(&model(&[input("x", 1, &[-1, 1 << 50])]));
    assert!(wide.contains("\"x\""), "{wide}");
    let rank = refused(&model(&[output("y", 1, &[1; 65])]));
    assert!(rank.contains("dimensions of a tensor is 65"), "{rank}");
}

#[test]
fn bounds_on_file_and_nesting_are_kept() {
    let limits = Limits { model_bytes_max: 10, ..Limits::default() };
    let error = inspect("m.onnx", &sample::sum(4), &limits).unwrap_err();
    assert!(matches!(error, EngineError::OverLimit { limit: 10, .. }), "{error}");
    let mut graph = node("Add", &[], &[]);
    for _ in 0..40 {
        graph = bytes(1, [bytes(4, "If"), bytes(5, bytes(6, graph))].concat());
    }
    let error = refused(&model(&[graph]));
    assert!(error.contains("nesting of graphs"), "{error}");
}

proptest! {
    #[test]
    fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&bytes);
    }

    #[test]
    fn damaged_models_never_panic(at in 0_usize..200, byte in any::<u8>(), cut in 0_usize..300) {
        let mut bytes = sample::sum(8);
        let length = bytes.len();
        bytes[at % length] = byte;
        let _ = read(&bytes);
        let _ = read(&bytes[..cut.min(length)]);
    }
}
