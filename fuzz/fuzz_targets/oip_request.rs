//! An inference request, JSON alone or followed by binary tensors: no bytes make the codec panic,
//! and what it accepts has the shapes of the signature.
#![no_main]

use libfuzzer_sys::fuzz_target;
use resonance_plant::{Dim, ElementType, Signature, TensorBuf, TensorSpec};
use resonance_wire::oip::decode_request;

fuzz_target!(|data: &[u8]| {
    let [split, body @ ..] = data else { return };
    let signature = Signature {
        inputs: [("x", ElementType::Fp32), ("n", ElementType::Int64), ("s", ElementType::Bytes)]
            .into_iter()
            .map(|(name, element)| TensorSpec {
                name: name.into(),
                element,
                shape: vec![Dim::Any, Dim::Fixed(2)],
            })
            .collect(),
        outputs: Vec::new(),
    };
    let json_length = (*split > 0).then(|| usize::from(*split) * body.len() / 256);
    let mut tensors = TensorBuf::default();
    if decode_request(body, json_length, &signature, &mut tensors).is_ok() {
        for (tensor, spec) in tensors.tensors.iter().zip(&signature.inputs) {
            assert!(spec.accepts_shape(&tensor.shape));
        }
    }
});
