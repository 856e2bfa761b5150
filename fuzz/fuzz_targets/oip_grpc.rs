//! An inference request over gRPC: no bytes make the codec panic, and what it accepts has the
//! shapes of the signature.
#![no_main]

use libfuzzer_sys::fuzz_target;
use prost::Message;
use resonance_plant::{Dim, ElementType, Signature, TensorBuf, TensorSpec};
use resonance_wire::oip::grpc::{ModelInferRequest, decode_infer};

fuzz_target!(|data: &[u8]| {
    let Ok(request) = ModelInferRequest::decode(data) else { return };
    let tensor = |name: &str, element| TensorSpec {
        name: name.into(),
        element,
        shape: vec![Dim::Any, Dim::Fixed(2)],
    };
    let signature = Signature {
        inputs: [("x", ElementType::Fp32), ("n", ElementType::Int8), ("s", ElementType::Bytes)]
            .map(|(name, element)| tensor(name, element))
            .into(),
        outputs: vec![tensor("y", ElementType::Fp16)],
    };
    let mut tensors = TensorBuf::default();
    if let Ok(decoded) = decode_infer(&request, &signature, &mut tensors) {
        for (tensor, spec) in tensors.tensors.iter().zip(&signature.inputs) {
            assert!(spec.accepts_shape(&tensor.shape));
        }
        assert!(decoded.outputs.iter().all(|output| output.index == 0));
    }
});
