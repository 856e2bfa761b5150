//! What a MES answers: no bytes make the codec panic, and what it reads it writes back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use resonance_wire::isa95::{Element, read_reply};

fuzz_target!(|data: &[u8]| {
    let _ = read_reply(data);
    if let Ok(element) = Element::from_xml(data) {
        let written = element.to_xml();
        // Escapes and the namespace may make it larger than an answer may be.
        if let Ok(again) = Element::from_xml(&written) {
            assert_eq!(again, element);
        }
    }
    if let Ok(element) = Element::from_json(data) {
        let _ = element.to_json();
    }
});
