//! Tensors in JSON, as golden vectors and as a request given on the command line: no bytes make
//! them panic, and what is accepted has the shapes of the manifest.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use resonance_inference::Manifest;
use resonance_inference::package::{golden, read_manifest_bytes};

/// Of a package whose golden vectors are the seed.
static MANIFEST: LazyLock<Manifest> = LazyLock::new(|| {
    let text = include_bytes!("../../models/tool-wear/model.toml");
    match read_manifest_bytes(Path::new("package"), text) {
        Ok(manifest) => manifest,
        Err(error) => panic!("{error}"),
    }
});

fuzz_target!(|data: &[u8]| {
    if let Ok(vectors) = golden::parse(data, &MANIFEST) {
        for vector in &vectors {
            for (tensor, input) in vector.inputs.tensors.iter().zip(&MANIFEST.inputs) {
                assert!(input.tensor().accepts_shape(&tensor.shape));
            }
        }
    }
    let _ = golden::parse_request(data, &MANIFEST);
});
