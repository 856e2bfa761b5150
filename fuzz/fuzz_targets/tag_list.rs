//! A list of tags: CSV, or an XLSX workbook where it begins as a ZIP archive does. No bytes make it
//! panic or run away, and a list that is refused is told why.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

/// One file each a process.
static FILES: LazyLock<[PathBuf; 2]> = LazyLock::new(|| {
    let name = format!("resonance-fuzz-tags-{}", std::process::id());
    ["csv", "xlsx"].map(|kind| std::env::temp_dir().join(&name).with_extension(kind))
});

fuzz_target!(|data: &[u8]| {
    let [csv, xlsx] = &*FILES;
    let file = if data.starts_with(b"PK") { xlsx } else { csv };
    std::fs::write(file, data).expect("the temporary folder can be written");
    if let Err(told) = resonance::check_tags(file) {
        assert!(!told.is_empty());
    }
});
