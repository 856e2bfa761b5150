//! A plant file: no text makes the check panic or run away, and a file that is refused is told why.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // An empty folder: the files that a plant names are not there, whatever it names.
    let (is_valid, told) = resonance::check_plant(Path::new("/nonexistent"), text);
    assert!(is_valid || !told.is_empty());
});
