//! What is written is read back.

use proptest::prelude::*;
use resonance_plant::Timestamp;

use super::*;
use crate::mtconnect::emit::StreamsWriter;

/// Text as XML can carry it, and as is not trimmed.
fn text() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9<>&\"'é€][a-zA-Z0-9<>&\"'é€ ]{0,11}[a-z0-9<>&]"
}

fn model() -> Devices {
    Devices::parse(PROBE.as_bytes(), Limits::default()).unwrap()
}

#[test]
fn a_device_model_comes_back() {
    let mut model = model();
    let written = emit::devices(&model);
    let read = Devices::parse(written.as_bytes(), Limits::default()).unwrap();
    for device in &mut model.devices {
        // Written by component, which is the order they had.
        device.data_items.sort_by_key(|item| item.component);
    }
    assert_eq!(read, model);
}

#[test]
fn refusals_come_back() {
    for version in ["1.8", "2.7"] {
        let header = Header { version: Version::parse(version).unwrap(), ..model().header };
        let error = |code: &str| AgentError { code: code.into(), message: "a < b".into() };
        let errors = ["OUT_OF_RANGE", "INVALID_URI", "INVALID_XPATH"].map(error).into();
        let refusal = Refusal { header, errors };
        let written = emit::refusal(&refusal, "/sample?from=1&count=2");
        assert_eq!(Refusal::parse(written.as_bytes(), Limits::default()), Ok(refusal));
    }
}

fn reading() -> impl Strategy<Value = (usize, Reading<'static>)> {
    let entries = proptest::collection::vec((text(), any::<bool>(), text()), 0..4);
    prop_oneof![
        Just((0, Reading::Unavailable)),
        any::<f64>()
            .prop_filter("finite", |x| x.is_finite())
            .prop_map(|x| (0, Reading::Text(x.to_string().into()))),
        text()
            .prop_filter("a value", |t| t != "UNAVAILABLE")
            .prop_map(|t| (1, Reading::Text(t.into()))),
        proptest::collection::vec(-1e6..1e6_f64, 1..5).prop_map(|numbers| {
            let text = numbers.iter().map(f64::to_string).collect::<Vec<_>>().join(" ");
            let series =
                Series { count: numbers.len() as u64, rate: Some(10.0), text: text.into() };
            (2, Reading::Series(series))
        }),
        entries.prop_map(|entries| {
            let entries = entries.into_iter().map(|(key, removed, text)| {
                let content = Content::Text(text.into());
                Entry { key: key.into(), removed, content }
            });
            (3, Reading::Entries(entries.collect()))
        }),
        (0..3_u8, text(), text(), text()).prop_map(|(level, code, id, message)| {
            let level = [Level::Normal, Level::Warning, Level::Fault][usize::from(level)];
            (
                4,
                Reading::Condition(Activation {
                    level,
                    kind: "TEMPERATURE".into(),
                    native_code: code.into(),
                    // The schemas give an id to what is active alone.
                    condition_id: if level.is_active() { id.into() } else { "".into() },
                    native_severity: "1".into(),
                    qualifier: "HIGH".into(),
                    message: message.into(),
                }),
            )
        }),
    ]
}

proptest! {
    #[test]
    fn observations_come_back(
        readings in proptest::collection::vec((reading(), 0_i64..4_000_000_000_000_000_000), 0..20),
    ) {
        let model = model();
        let device = model.device("Mill-1").unwrap();
        let sequences = Some(Sequences { first: 1, last: 20, next: 21 });
        let mut writer = StreamsWriter::new(&Header { sequences, ..model.header.clone() });
        writer.device(device);
        writer.component(&device.components[0]);
        let mut written: Vec<Observation<'_>> = Vec::new();
        for (number, ((item, reading), nanos)) in readings.into_iter().enumerate() {
            let id = ["x_pos", "mode", "vib", "vars", "x_temp"][item];
            let item = &model.data_item(id).unwrap().1;
            let element = match &reading {
                Reading::Condition(activation) => activation.level.name(),
                _ => ["Position", "ControllerMode", "AccelerationTimeSeries", "VariableDataSet"]
                    [["x_pos", "mode", "vib", "vars"].iter().position(|i| *i == id).unwrap()],
            };
            let observation = Observation {
                category: item.category,
                element,
                data_item_id: id.into(),
                sequence: number as u64 + 1,
                time: Some(Timestamp::from_nanos(nanos)),
                reset: "".into(),
                reading,
            };
            writer.observation(item, &observation);
            written.push(observation);
        }
        let document = writer.finish();
        prop_assert_eq!(observations(&document), written);
    }

    #[test]
    fn noise_in_a_document_never_panics(
        at in 0..STREAMS.len(), noise in proptest::collection::vec(any::<u8>(), 0..8),
    ) {
        let mut document = STREAMS.as_bytes().to_vec();
        let end = (at + noise.len()).min(document.len());
        document.splice(at..end, noise);
        if let Ok(mut streams) = Streams::open(&document, Limits::default()) {
            while let Ok(Some(_)) = streams.next_observation() {}
        }
        let _ = Devices::parse(&document, Limits::default());
        let _ = Refusal::parse(&document, Limits::default());
    }
}
