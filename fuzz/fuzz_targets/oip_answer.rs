//! What another inference server answers, over HTTP or gRPC: no bytes make the codec panic, and what
//! it accepts has the shapes of the signature.
#![no_main]

use libfuzzer_sys::fuzz_target;
use prost::Message;
use resonance_plant::{Dim, ElementType, Signature, TensorBuf, TensorSpec};
use resonance_wire::oip::grpc::{ModelInferResponse, decode_answer};
use resonance_wire::oip::decode_response;

fuzz_target!(|data: &[u8]| {
    let [split, body @ ..] = data else { return };
    let tensor = |name: &str, element| TensorSpec {
        name: name.into(),
        element,
        shape: vec![Dim::Any, Dim::Fixed(2)],
    };
    let outputs = [("y", ElementType::Fp32), ("n", ElementType::Int64), ("s", ElementType::Bytes)];
    let signature = Signature {
        inputs: Vec::new(),
        outputs: outputs.map(|(name, element)| tensor(name, element)).into(),
    };
    // Where JSON ends and binary tensors begin; zero: all is JSON; the largest: a gRPC message.
    let mut found = TensorBuf::default();
    let decoded = match *split {
        u8::MAX => {
            let Ok(answer) = ModelInferResponse::decode(body) else { return };
            decode_answer(answer, &signature, &mut found)
        }
        split => {
            let json = (split > 0).then(|| usize::from(split) * body.len() / 256);
            decode_response(body, json, &signature, &mut found)
        }
    };
    if decoded.is_ok() {
        assert_eq!(found.tensors.len(), signature.outputs.len());
        for (tensor, spec) in found.tensors.iter().zip(&signature.outputs) {
            assert!(spec.accepts_shape(&tensor.shape));
        }
    }
});
