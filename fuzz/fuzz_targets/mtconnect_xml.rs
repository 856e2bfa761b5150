//! What an MTConnect agent may send, as a document or as a stream of them: no bytes make the reader
//! panic, it keeps no more than its limits, and what it accepts is in the standard's order.
#![no_main]

use libfuzzer_sys::fuzz_target;
use resonance_wire::mtconnect::{Conditions, Devices, Limits, Multipart, Reading, Refusal, Streams};

const LIMITS: Limits = Limits { document_bytes_max: 1 << 16, items_max: 1_000 };

fuzz_target!(|data: &[u8]| {
    let _ = Devices::parse(data, LIMITS);
    let _ = Refusal::parse(data, LIMITS);
    read(data);
    let [step, stream @ ..] = data else { return };
    let kind = "multipart/x-mixed-replace;boundary=b";
    let Ok(mut multipart) = Multipart::new(kind, LIMITS.document_bytes_max) else { return };
    for bytes in stream.chunks(usize::from(*step).max(1)) {
        if multipart.push(bytes).is_err() {
            return;
        }
        while let Ok(Some(part)) = multipart.next_part() {
            read(part.body);
        }
    }
});

fn read(document: &[u8]) {
    let Ok(mut streams) = Streams::open(document, LIMITS) else { return };
    let mut conditions = Conditions::default();
    while let Ok(Some(observation)) = streams.next_observation() {
        match &observation.reading {
            Reading::Condition(activation) => conditions.apply(activation),
            reading => {
                let _ = (reading.number(), reading.numbers());
            }
        }
    }
    assert!(conditions.active().count() <= 256);
}
