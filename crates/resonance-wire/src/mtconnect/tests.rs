//! Documents written here, after the schemas' names; nothing was copied.

mod hostile;
mod reading;
mod round_trip;

use super::*;

const PROBE: &str = include_str!("tests/probe.xml");
const STREAMS: &str = include_str!("tests/streams.xml");

fn observations(document: &str) -> Vec<Observation<'_>> {
    let mut streams = Streams::open(document.as_bytes(), Limits::default()).unwrap();
    let mut all = Vec::new();
    while let Some(observation) = streams.next_observation().unwrap() {
        all.push(observation);
    }
    all
}

/// What refuses a document of observations.
fn refused(document: &[u8], limits: Limits) -> WireError {
    let mut streams = match Streams::open(document, limits) {
        Ok(streams) => streams,
        Err(error) => return error,
    };
    loop {
        match streams.next_observation() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it was accepted"),
            Err(error) => return error,
        }
    }
}
