//! The buffer without a socket, and the CNC's documents.

use resonance_plant::Timestamp;
use resonance_wire::mtconnect::{
    Conditions, Devices, Level, Limits, Reading, Streams, Version, element_name,
};

use super::*;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_763_712_000_000 + millis)
}

fn agent(buffer_size: u64) -> Agent {
    Agent::new(cnc_model(Version { major: 2, minor: 7 }, buffer_size, 1), at(0))
}

/// Sequence, data item and text of a document's observations; next sequence.
fn read(document: &str) -> (Vec<(u64, String, String)>, u64) {
    let mut streams = Streams::open(document.as_bytes(), Limits::default()).unwrap();
    let mut all = Vec::new();
    while let Some(observation) = streams.next_observation().unwrap() {
        let text = match &observation.reading {
            Reading::Text(text) => text.to_string(),
            Reading::Unavailable => "UNAVAILABLE".into(),
            Reading::Condition(activation) => activation.level.name().into(),
            other => format!("{other:?}"),
        };
        all.push((observation.sequence, observation.data_item_id.into_owned(), text));
    }
    all.sort();
    (all, streams.header().sequences.unwrap().next)
}

#[test]
fn samples_go_on_where_the_last_ended_and_the_buffer_is_the_bound() {
    let mut agent = agent(100);
    let start = agent.next();
    for number in 0..10 {
        assert!(agent.observe("x_pos", at(number), Said::Text(number.to_string())));
    }
    assert!(!agent.observe("x_pos", at(11), Said::Text("9".into())), "no change is no news");
    assert!(!agent.observe("nothing", at(11), Said::Unavailable));
    let (document, next) = agent.sample(None, start, 4, at(20)).unwrap();
    let (all, told) = read(&document);
    assert_eq!((all.len(), next, told), (4, start + 4, start + 4));
    assert_eq!(all[3], (start + 3, "x_pos".into(), "3".into()));
    let (document, next) = agent.sample(None, next, 100, at(20)).unwrap();
    assert_eq!((read(&document).0.len(), next), (6, start + 10));
    assert!(agent.sample(None, next, 100, at(20)).is_ok(), "nothing new is no error");
    for (from, count) in [(next + 1, 1), (start, 0), (start, 101)] {
        assert!(agent.sample(None, from, count, at(20)).unwrap_err().has("OUT_OF_RANGE"));
    }
    for number in 0..200 {
        agent.observe("y_pos", at(number), Said::Text(number.to_string()));
    }
    assert!(agent.sample(None, start, 1, at(20)).unwrap_err().has("OUT_OF_RANGE"), "pushed out");
    let (document, _) = agent.sample(None, 0, 1, at(20)).unwrap();
    assert_eq!(read(&document).0.len(), 1, "from the oldest");
    agent.restart(at(300));
    assert!(agent.next() < 100, "numbers begin again");
    let (all, _) = read(&agent.current(None, at(300)));
    assert!(all.iter().all(|(_, _, text)| text.eq_ignore_ascii_case("unavailable")), "{all:?}");
}

#[test]
fn conditions_are_sets_here_too() {
    let mut agent = agent(1_000);
    let mut say = |level, code: &str| {
        let said = Said::Condition { level, code: code.into(), message: "m".into() };
        (agent.observe("s_temp_cond", at(1), said), {
            let mut set = Conditions::default();
            let document = agent.current(None, at(1));
            let mut streams = Streams::open(document.as_bytes(), Limits::default()).unwrap();
            while let Some(observation) = streams.next_observation().unwrap() {
                if let ("s_temp_cond", Reading::Condition(activation)) =
                    (&*observation.data_item_id, &observation.reading)
                {
                    set.apply(activation);
                }
            }
            (set.level(), set.active().count())
        })
    };
    assert_eq!(say(Level::Normal, "1"), (true, (Some(Level::Normal), 0)), "it was unavailable");
    assert_eq!(say(Level::Normal, "2"), (false, (Some(Level::Normal), 0)));
    assert_eq!(say(Level::Warning, "1"), (true, (Some(Level::Warning), 1)));
    assert_eq!(say(Level::Fault, "2"), (true, (Some(Level::Fault), 2)));
    assert_eq!(say(Level::Fault, "2"), (false, (Some(Level::Fault), 2)));
    assert_eq!(say(Level::Normal, "2"), (true, (Some(Level::Warning), 1)));
    assert_eq!(say(Level::Normal, ""), (true, (Some(Level::Normal), 0)));
    assert_eq!(say(Level::Unavailable, ""), (true, (None, 0)));
}

#[test]
fn the_cnc_s_model_is_whole() {
    let model = cnc_model(Version { major: 1, minor: 8 }, 10, 7);
    let agent = Agent::new(model, at(0));
    let read = Devices::parse(agent.probe(None, at(0)).as_bytes(), Limits::default()).unwrap();
    assert_eq!(read.devices, agent.model().devices);
    let (device, power) = read.data_item("s_power").unwrap();
    assert_eq!((&*device.path_of(power), &*power.units), ("Axes[base]/Rotary[C]", "WATT"));
    assert_eq!(element_name(&power.kind, power.representation), "Wattage");
    assert!(power.constraints.maximum.is_some_and(|watt| watt == 30_000.0));
}
