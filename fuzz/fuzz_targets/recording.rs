//! A recording and the sidecar that says what its columns are, parted by a zero byte: no bytes
//! make them panic, and a recording that is refused is told why.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use resonance_simulate::replay::{Recording, ReplayOptions};

/// One file each a process: the recording, its sidecar.
static FILES: LazyLock<[PathBuf; 2]> = LazyLock::new(|| {
    let name = format!("resonance-fuzz-{}", std::process::id());
    ["csv", "sidecar"].map(|kind| std::env::temp_dir().join(&name).with_extension(kind))
});

fuzz_target!(|data: &[u8]| {
    let [table, sidecar] = &*FILES;
    let (described, rows) = match data.iter().position(|byte| *byte == 0) {
        Some(at) => (Some(&data[..at]), &data[at + 1..]),
        None => (None, data),
    };
    std::fs::write(table, rows).expect("the temporary folder can be written");
    let mut options = ReplayOptions::new(table);
    if let Some(text) = described {
        std::fs::write(sidecar, text).expect("the temporary folder can be written");
        options.describe = Some(sidecar.clone());
    }
    if let Err(error) = Recording::open(options) {
        assert!(!error.to_string().is_empty());
    }
});
