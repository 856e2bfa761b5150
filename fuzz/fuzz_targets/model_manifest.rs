//! A model package's manifest: no bytes make the package panic.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use resonance_inference::package::read_manifest_bytes;

fuzz_target!(|data: &[u8]| {
    if let Ok(manifest) = read_manifest_bytes(Path::new("package"), data) {
        // What was accepted has tensors and units that can be told.
        for spec in manifest.inputs.iter().map(|input| input.tensor()) {
            let _ = spec.to_string();
        }
    }
});
