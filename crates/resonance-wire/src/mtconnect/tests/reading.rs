//! What a document says is what is read.

use resonance_plant::Timestamp;

use super::*;

fn at(text: &str) -> Option<Timestamp> {
    Some(Timestamp::parse_rfc3339(text).unwrap())
}

#[test]
fn a_device_model_is_read_whole() {
    let model = Devices::parse(PROBE.as_bytes(), Limits::default()).unwrap();
    assert_eq!(model.header.version.to_string(), "2.7");
    assert_eq!((&*model.header.sender, model.header.instance_id), ("shop & floor", 1_763_712_000));
    assert_eq!(model.header.buffer_size, 131_072);
    assert_eq!(model.devices.len(), 2);
    assert!(model.devices[0].is_agent() && !model.devices[1].is_agent());
    let mill = model.device("maker.mill.1").unwrap();
    assert_eq!(mill.name(), "Mill-1");
    let description = &mill.root().unwrap().description;
    assert_eq!((&*description.serial_number, &*description.text), ("0815", "Mill <hall 2>"));
    let (device, position) = model.data_item("x_pos").unwrap();
    assert_eq!(device.path_of(position), "Axes[base]/Linear[X]");
    assert_eq!((position.category, &*position.units), (Category::Sample, "MILLIMETER"));
    assert_eq!((&*position.native_units, position.native_scale), ("INCH", Some(10.0)));
    let range = (position.constraints.minimum, position.constraints.maximum);
    assert_eq!(range, (Some(-500.0), Some(800.5)));
    assert_eq!(position.filters, Filters { minimum_delta: Some(0.01), period_s: Some(0.1) });
    assert_eq!((&*position.source, position.significant_digits), ("X.1", Some(6)));
    let (_, temperature) = model.data_item("x_temp").unwrap();
    assert_eq!(device.composition_of(temperature).unwrap().kind, "MOTOR");
    let (_, mode) = model.data_item("mode").unwrap();
    assert_eq!(mode.constraints.values, ["AUTOMATIC", "MANUAL"]);
    assert!(model.data_item("vars").unwrap().1.discrete);
    let (_, vibration) = model.data_item("vib").unwrap();
    assert_eq!(vibration.representation, Representation::TimeSeries);
    assert_eq!(vibration.sample_rate, Some(1_000.0));
    assert_eq!(vibration.definition, "urn:maker:vibration & more");
    assert_eq!(model.data_item("parts").unwrap().1.reset_trigger, "DAY");
    assert!(model.data_item("nothing").is_none());
    assert_eq!(model.data_items().count(), 9);
}

#[test]
fn observations_are_read_with_time_sequence_and_value() {
    let all = observations(STREAMS);
    assert_eq!(all.len(), 10);
    let sequences: Vec<u64> = all.iter().map(|o| o.sequence).collect();
    assert_eq!(sequences, (200..210).collect::<Vec<_>>());
    assert_eq!((all[0].element, &*all[0].data_item_id), ("Position", "x_pos"));
    assert_eq!(all[0].time, at("2026-11-21T08:00:00.123456789Z"));
    assert_eq!(all[0].reading.number(), Some(12.25));
    assert_eq!(all[1].reading, Reading::Unavailable);
    assert_eq!(all[5].time, at("2026-11-21T08:00:01Z"), "the offset is applied");
    assert_eq!(all[5].reading.numbers(), Some(vec![1.0, -2.5, 300.0]));
    let Reading::Entries(variables) = &all[7].reading else { panic!("{:?}", all[7]) };
    assert_eq!((&*variables[0].key, variables[1].removed), ("R1", true));
    let Reading::Entries(offsets) = &all[8].reading else { panic!("{:?}", all[8]) };
    let Content::Cells(cells) = &offsets[0].content else { panic!("{offsets:?}") };
    assert_eq!((&*cells[1].key, &*cells[1].text), ("RADIUS", "6"));
    assert_eq!((&*all[9].reset, all[9].reading.number()), ("DAY", Some(0.0)));
}

#[test]
fn headers_say_what_there_is() {
    let mut streams = Streams::open(STREAMS.as_bytes(), Limits::default()).unwrap();
    let header = streams.header().clone();
    assert_eq!(header.sequences, Some(Sequences { first: 1, last: 212, next: 213 }));
    assert!(header.version.is_tested() && !header.is_test);
    streams.next_observation().unwrap();
    assert_eq!((streams.device_uuid(), streams.component_id()), ("maker.mill.1", "x"));
    assert_eq!(Kind::of(PROBE.as_bytes(), Limits::default()), Ok(Kind::Devices));
    for (text, tested) in [("1.7", false), ("1.8", true), ("2.7", true), ("2.8", false)] {
        assert_eq!(Version::parse(text).map(Version::is_tested), Some(tested), "{text}");
    }
}

#[test]
fn a_condition_is_a_set() {
    let mut set = Conditions::default();
    assert_eq!(set.level(), None, "nothing was said yet");
    let told = observations(STREAMS);
    let activations = told.iter().filter_map(|observation| match &observation.reading {
        Reading::Condition(activation) => Some(activation),
        _ => None,
    });
    let mut levels = Vec::new();
    for activation in activations {
        set.apply(activation);
        levels.push((set.level(), set.active().count()));
    }
    let fault = Some(Level::Fault);
    assert_eq!(levels, [(fault, 1), (fault, 2), (fault, 1)], "Normal W7 clears W7 alone");
    assert_eq!(set.summary(), "Fault E101: drive > 90 °C");
    let end = |level, code: &'static str| Activation {
        level,
        kind: "TEMPERATURE".into(),
        native_code: code.into(),
        condition_id: "".into(),
        native_severity: "".into(),
        qualifier: "".into(),
        message: "".into(),
    };
    let with_id = Activation { condition_id: "7-1".into(), ..end(Level::Warning, "W9") };
    set.apply(&with_id);
    set.apply(&end(Level::Normal, "W9"));
    assert!(set.active().all(|(_, key, _)| key != "7-1"), "ended by its native code");
    set.apply(&with_id);
    set.apply(&Activation { level: Level::Normal, ..with_id.clone() });
    assert!(set.active().all(|(_, key, _)| key != "7-1"), "ended by its id");
    set.apply(&end(Level::Warning, "W8"));
    set.apply(&end(Level::Normal, ""));
    assert_eq!((set.level(), &*set.summary()), (Some(Level::Normal), "Normal"));
    set.apply(&end(Level::Unavailable, ""));
    assert_eq!(set.level(), None);
    for code in 0..1_000 {
        let code: &'static str = Box::leak(code.to_string().into_boxed_str());
        set.apply(&end(if code == "0" { Level::Fault } else { Level::Warning }, code));
    }
    assert_eq!((set.active().count(), set.level()), (256, fault), "the worst stays");
}

#[test]
fn refusals_of_old_and_new_versions_have_the_same_codes() {
    let header = "sender=\"a\" version=\"1\" creationTime=\"2026-11-21T08:00:00Z\" \
                  instanceId=\"1\" bufferSize=\"8\"";
    for (version, errors) in [
        ("1.8", "<Error errorCode=\"OUT_OF_RANGE\"> from is too small </Error>"),
        (
            "2.7",
            "<OutOfRange><URI>/sample</URI><ErrorMessage>from is too small</ErrorMessage>\
             <QueryParameter name=\"from\"><Value>1</Value></QueryParameter></OutOfRange>",
        ),
    ] {
        let document = format!(
            "<MTConnectError xmlns=\"urn:mtconnect.org:MTConnectError:{version}\"><Header \
             {header}/><Errors>{errors}</Errors></MTConnectError>"
        );
        let refusal = Refusal::parse(document.as_bytes(), Limits::default()).unwrap();
        assert!(refusal.has("OUT_OF_RANGE") && !refusal.has("NO_DEVICE"), "{refusal:?}");
        assert_eq!(refusal.errors[0].message, "from is too small");
    }
}

/// What an agent writes, byte by byte: another form would be a change for whoever reads it.
#[test]
fn a_document_is_written_in_these_bytes() {
    let mut model = Devices::parse(PROBE.as_bytes(), Limits::default()).unwrap();
    model.header.sequences = Some(Sequences { first: 1, last: 2, next: 3 });
    model.header.creation_time = at("2026-11-21T08:00:00.5Z");
    let (device, item) = model.data_item("x_temp").unwrap();
    let mut writer = emit::StreamsWriter::new(&model.header);
    writer.device(device);
    writer.component(&device.components[item.component]);
    let activation = Activation {
        level: Level::Fault,
        kind: "TEMPERATURE".into(),
        native_code: "E1".into(),
        condition_id: "".into(),
        native_severity: "3".into(),
        qualifier: "HIGH".into(),
        message: "drive > 90 °C".into(),
    };
    let observation = Observation {
        category: item.category,
        element: "Fault",
        data_item_id: "x_temp".into(),
        sequence: 2,
        time: at("2026-11-21T08:00:00.25Z"),
        reset: "".into(),
        reading: Reading::Condition(activation),
    };
    writer.observation(item, &observation);
    let golden = include_str!("golden.xml");
    assert_eq!(writer.finish(), golden);
    assert_eq!(observations(golden)[0].sequence, 2);
}

#[test]
fn elements_are_named_after_types() {
    for (kind, element) in [
        ("PATH_FEEDRATE", "PathFeedrate"),
        ("AMPERAGE_AC", "AmperageAC"),
        ("PH", "PH"),
        ("MTCONNECT_VERSION", "MTConnectVersion"),
        ("x:TOOL_WEAR", "x:ToolWear"),
    ] {
        assert_eq!(element_name(kind, Representation::Value), element);
    }
    assert_eq!(element_name("TOOL_OFFSET", Representation::Table), "ToolOffsetTable");
}

#[test]
fn times_of_old_agents_and_other_forms_are_read() {
    let timed = |text: &str| {
        let document = STREAMS.replace("2026-11-21T08:00:00.123456789Z", text);
        observations(&document)[0].time
    };
    assert_eq!(timed("2026-11-21T08:00:00Z@12.5"), at("2026-11-21T08:00:00Z"), "with a duration");
    assert_eq!(timed("2026-11-21T08:00:00.1234567891Z"), at("2026-11-21T08:00:00.123456789Z"));
    assert_eq!(timed("yesterday"), None);
}
