//! Every message against the published B2MML schemas, by validators nobody here wrote.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use resonance_plant::result::FallbackUsed;
use resonance_plant::{ModelCategory, ResultRecord, Status, Value};
use resonance_wire::isa95::{
    Answer, Confirmation, Element, Envelope, Object, Verdict, confirm_bod, message,
};
use serde_json::{Value as Json, json};

use crate::peers;
use crate::result_record::record;

/// The folder of the schemas, or a line on stderr that names the test.
fn schemas(test: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("RESONANCE_SHARED").map(PathBuf::from);
    let shared = shared.unwrap_or_else(|| peers::workspace().join("../shared"));
    let folder = shared.join("reference/b2mml");
    if folder.join("AllSchemas.xsd").exists() {
        return Some(folder);
    }
    eprintln!("SKIPPED {test}: no {}", folder.display());
    None
}

/// What the validators say to each message: null where it is valid.
fn validate(test: &str, messages: &[Json]) -> Option<Vec<Json>> {
    let python = peers::python(test)?;
    let mut child = Command::new(python)
        .arg(peers::workspace().join("tests/peers/validate_b2mml.py"))
        .arg(schemas(test)?)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let text = serde_json::to_string(messages).unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the validators ran");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

fn both_forms(element: &Element) -> [Json; 2] {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    [
        json!({"form": "xml", "text": text(element.to_xml())}),
        json!({"form": "json", "text": text(element.to_json())}),
    ]
}

/// A message with these records, which become the same object.
fn bod(records: &[ResultRecord], confirmation: Confirmation) -> Element {
    let json: Vec<Vec<u8>> =
        records.iter().map(|record| serde_json::to_vec(record).unwrap()).collect();
    let answers: Vec<Answer<'_>> = json.iter().map(|json| Answer::read(json).unwrap()).collect();
    let object = Object::of(&answers[0]);
    let envelope = Envelope { sender: "resonance/mes", id: "a1", confirmation };
    message(&envelope, object, &answers)
}

#[test]
fn every_category_in_both_forms_is_valid_b2mml() {
    let test = "b2mml messages and foreign validators";
    let mut messages = Vec::new();
    for category in ModelCategory::ALL {
        let with = |change: fn(&mut ResultRecord)| {
            let mut record = record(7);
            record.category = *category;
            change(&mut record);
            record
        };
        let several = [with(|_| {}), with(|r| r.sequence = u64::MAX)];
        messages.extend(both_forms(&bod(&several, Confirmation::Always)));
        for change in [
            |r: &mut ResultRecord| r.outputs.clear(),
            |r: &mut ResultRecord| r.outputs[0].value = Value::Float(f64::NAN),
            |r: &mut ResultRecord| r.outputs[0].value = Value::Floats([1.0, 2.5].into()),
            |r: &mut ResultRecord| r.outputs[0].value = Value::Boolean(true),
            |r: &mut ResultRecord| r.outputs[0].value = Value::Text("\u{1}<&\"'>\r\n\t".into()),
            |r: &mut ResultRecord| r.asset = " Fräse\t<1> \u{FFFF}".into(),
            |r: &mut ResultRecord| r.status = Status(0x8123_0480),
            |r: &mut ResultRecord| r.backfilled = true,
            |r: &mut ResultRecord| {
                let model = std::sync::Arc::make_mut(&mut r.model);
                model.fallback = Some(FallbackUsed::HoldLast);
            },
        ] {
            messages.extend(both_forms(&bod(&[with(change)], Confirmation::Never)));
        }
    }
    for verdict in [Verdict::Accepted, Verdict::Rejected("no".into())] {
        messages.extend(both_forms(&confirm_bod("a1", "2026-11-21T08:00:00Z", &verdict)));
    }
    let Some(verdicts) = validate(test, &messages) else { return };
    assert_eq!(verdicts.len(), messages.len());
    for (verdict, message) in verdicts.iter().zip(&messages) {
        assert!(verdict.is_null(), "{verdict}\n{}", message["text"]);
    }
}

#[test]
fn the_validators_find_what_is_wrong() {
    let test = "b2mml mistakes and foreign validators";
    let good = both_forms(&bod(&[record(1)], Confirmation::Always));
    let broken = |form: usize, from: &str, to: &str| {
        let text = good[form]["text"].as_str().unwrap();
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        json!({"form": good[form]["form"], "text": changed})
    };
    let messages = [
        broken(0, "Forecast", "Perhaps"),
        broken(0, " releaseID=\"7.0\"", ""),
        broken(0, "<DataType>double", "<DataType>number"),
        broken(
            0,
            "<WorkType>Maintenance</WorkType><ScheduleState>Forecast</ScheduleState>",
            "<ScheduleState>Forecast</ScheduleState><WorkType>Maintenance</WorkType>",
        ),
        broken(0, "<PublishedDate>2026-11-21T08:00:00.100850Z", "<PublishedDate>yesterday"),
        broken(0, "http://www.mesa.org/xml/B2MML", "http://example/"),
        broken(1, "\"@acknowledgeCode\":\"Always\"", "\"@acknowledgeCode\":\"Perhaps\""),
        broken(1, "\"JobOrder\":[", "\"JobOrders\":["),
        broken(1, "\"@releaseID\":\"7.0\",", ""),
    ];
    let Some(verdicts) = validate(test, &messages) else { return };
    for (verdict, message) in verdicts.iter().zip(&messages) {
        assert!(verdict.is_string(), "{}", message["text"]);
    }
}

#[test]
fn the_document_says_what_each_category_becomes() {
    let document = std::fs::read_to_string(peers::workspace().join("docs/mes.md")).unwrap();
    for category in ModelCategory::ALL {
        let object = Object::of_category(*category);
        let name = object.name().replace("job_order", "job-order").replace('_', " ");
        let row = format!("| `{category}` | {name} | `{}` |", object.message());
        assert!(document.contains(&row), "docs/mes.md lacks {row}");
    }
}
