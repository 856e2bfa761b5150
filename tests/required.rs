//! What tests need and a computer may lack; taken in by each crate that has such tests.
//!
//! `RESONANCE_REQUIRE` names what is there: `peers`, `mosquitto`, `onnxruntime`, `tract`, `shared`,
//! `root`, separated by commas. A test that says it lacks one of these fails; any other skip is told.
//! `tools/test` sets it.

use std::fmt::Display;
use std::io::Write;

/// Says that a test is skipped, for want of what and why.
///
/// # Panics
/// Where `RESONANCE_REQUIRE` names `lacks`: then the test must run.
#[track_caller]
pub(crate) fn skip(test: &str, lacks: &str, why: &dyn Display) {
    let required = std::env::var("RESONANCE_REQUIRE").unwrap_or_default();
    assert!(
        !required.split(',').any(|named| named.trim() == lacks),
        "{test} may not be skipped, RESONANCE_REQUIRE names {lacks}: {why}"
    );
    let told = format!("SKIPPED {test}: {why}\n");
    // Written at once and as a whole: what goes through `eprintln` is captured where a test passes.
    let _ = std::io::stderr().write_all(told.as_bytes());
    if let Some(list) = std::env::var_os("RESONANCE_SKIPPED") {
        let list = std::fs::File::options().create(true).append(true).open(list);
        let _ = list.and_then(|mut list| list.write_all(told.as_bytes()));
    }
}
