//! A model file before any engine sees it: no bytes make the inspection panic or run away.
#![no_main]

use libfuzzer_sys::fuzz_target;
use resonance_inference::{Limits, onnx};

fuzz_target!(|data: &[u8]| {
    let _ = onnx::inspect("model.onnx", data, &Limits::default());
});
