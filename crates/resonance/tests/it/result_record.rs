//! The JSON form of a result against its published schema and document.

use resonance_plant::result::{
    FallbackUsed, Latency, ModelUsed, OutputValue, Uncertainty, WindowRef,
};
use resonance_plant::{
    ModelCategory, Qualifier, QuantityKind, ResultId, ResultRecord, SemanticId, Status, Timestamp,
    Unit, Value,
};
use serde_json::{Value as Json, json};

use crate::peers;

/// The `sequence`-th result of the deployment `tool-wear`, with every field in use.
pub fn record(sequence: u64) -> ResultRecord {
    let start = Timestamp::parse_rfc3339("2026-11-21T08:00:00Z").unwrap();
    let end = start.plus(std::time::Duration::from_millis(sequence * 100));
    let digest = format!("sha256:{}", "3f".repeat(32));
    let wear = OutputValue {
        name: "flank_wear".into(),
        point: None,
        value: Value::Float(0.185),
        label: None,
        quantity: Some(QuantityKind::Length),
        unit: Unit::from_code("MMT"),
        semantic_id: SemanticId::parse("https://resonance.dev/semantics/flank-wear").ok(),
        qualifier: "spindle-1".into(),
        uncertainty: Some(Uncertainty { low: 0.171, high: 0.203, coverage: 0.9 }),
        status: Status::GOOD,
    };
    let state = OutputValue {
        name: "tool_state".into(),
        value: Value::Int(1),
        label: Some("worn".into()),
        quantity: None,
        unit: None,
        semantic_id: None,
        qualifier: Qualifier::default(),
        uncertainty: None,
        ..wear.clone()
    };
    ResultRecord {
        id: ResultId::derive("tool-wear", &digest, end, sequence),
        deployment: "tool-wear".into(),
        asset: "line 1/mill-1".into(),
        equipment_id: "acme/north/hall-1/line 1/mill-1".into(),
        physical_asset_id: Some("SN-20871".into()),
        part_id: None,
        category: ModelCategory::PredictiveMaintenance,
        model: std::sync::Arc::new(ModelUsed {
            name: "cnc-tool-wear".into(),
            version: "1.2.0".into(),
            digest: digest.into(),
            engine: "onnxruntime 1.31.1".into(),
            trained_on: "simulated".into(),
            fallback: None,
        }),
        sequence,
        outputs: vec![wear, state],
        window: WindowRef {
            from: start,
            to: end,
            samples: 32,
            points: ["mill-1.spindle_power".into(), "mill-1.spindle_speed".into()].into(),
            worst_status: Status::GOOD,
        },
        source_time: end,
        computed_at: end.plus(std::time::Duration::from_micros(850)),
        valid_until: end.plus(std::time::Duration::from_secs(5)),
        latency: Latency { inference_us: 41, total_us: 850, budget_us: 5_000 },
        status: Status::GOOD,
        backfilled: false,
    }
}

fn published(name: &str) -> String {
    std::fs::read_to_string(peers::workspace().join("docs/specs").join(name)).unwrap()
}

fn schema() -> Json {
    serde_json::from_str(&published("result-record.schema.json")).unwrap()
}

/// Follows `$ref` within the schema.
fn resolve<'a>(schema: &'a Json, of: &'a Json) -> &'a Json {
    match of["$ref"].as_str() {
        Some(place) => schema.pointer(place.trim_start_matches('#')).expect("a definition"),
        None => of,
    }
}

/// Every field is described, every field required is there, and objects are closed.
fn assert_described(schema: &Json, of: &Json, value: &Json, path: &str) {
    let of = resolve(schema, of);
    match value {
        Json::Object(fields) => {
            assert_eq!(of["additionalProperties"], false, "{path} is closed");
            for (name, field) in fields {
                let described = &of["properties"][name];
                let path = format!("{path}.{name}");
                assert!(
                    resolve(schema, described)["description"].is_string()
                        || described["description"].is_string(),
                    "{path} is described"
                );
                assert_described(schema, described, field, &path);
            }
            for required in of["required"].as_array().unwrap() {
                assert!(fields.contains_key(required.as_str().unwrap()), "{path}.{required}");
            }
        }
        Json::Array(items) => items
            .iter()
            .for_each(|item| assert_described(schema, &of["items"], item, &format!("{path}[]"))),
        _ => {}
    }
}

#[test]
fn every_field_is_in_the_schema_and_in_the_document() {
    let schema = schema();
    let mut record = record(1);
    let model = std::sync::Arc::make_mut(&mut record.model);
    model.fallback = Some(FallbackUsed::HoldLast);
    let json = serde_json::to_value(&record).unwrap();
    assert_described(&schema, &schema, &json, "result");
    let document = published("result-record.md");
    let mut names = Vec::new();
    let definitions = schema["$defs"].as_object().unwrap().values();
    for object in definitions.chain([&schema]) {
        names.extend(object["properties"].as_object().into_iter().flatten().map(|(name, _)| name));
    }
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        assert!(document.contains(&format!("`{name}`")), "{name} is missing in result-record.md");
    }
    let categories: Vec<Json> = ModelCategory::ALL.iter().map(|c| c.name().into()).collect();
    assert_eq!(schema["properties"]["category"]["enum"], Json::Array(categories));
    let kinds: Vec<Json> = QuantityKind::ALL.iter().map(|kind| json!(kind)).collect();
    assert_eq!(schema["$defs"]["output"]["properties"]["quantity"]["enum"], Json::Array(kinds));
}

#[test]
fn the_document_shows_a_true_example() {
    let document = published("result-record.md");
    let example = document.split("```json\n").nth(1).and_then(|rest| rest.split("```").next());
    let example: Json = serde_json::from_str(example.expect("an example")).unwrap();
    let now = serde_json::to_string_pretty(&record(1)).unwrap();
    assert_eq!(example, serde_json::from_str::<Json>(&now).unwrap(), "today it is\n{now}");
}

#[test]
fn a_foreign_validator_accepts_results_and_refuses_what_is_none() {
    let test = "result records and a foreign JSON Schema validator";
    let with = |change: fn(&mut ResultRecord)| {
        let mut record = record(7);
        change(&mut record);
        serde_json::to_value(record).unwrap()
    };
    let valid = [
        with(|_| {}),
        with(|r| r.outputs[0].value = Value::Float(f64::NAN)),
        with(|r| r.outputs[0].value = Value::Floats([1.0, f64::INFINITY].into())),
        with(|r| r.outputs[0].value = Value::Text("ok".into())),
        with(|r| r.status = Status::UNCERTAIN_LAST_USABLE_VALUE),
        with(|r| r.status = Status(0x8123_0480)),
        with(|r| r.outputs.clear()),
        with(|r| r.physical_asset_id = None),
    ];
    let broken = |path: &str, value: Json| {
        let mut json = serde_json::to_value(record(7)).unwrap();
        *json.pointer_mut(path).unwrap() = value;
        json
    };
    let invalid = [
        broken("/id", json!("xyz")),
        broken("/sequence", json!(0)),
        broken("/category", json!("magic")),
        broken("/status", json!("Good")),
        broken("/equipment_id", json!(null)),
        broken("/physical_asset_id", json!("")),
        broken("/outputs/0/quantity", json!("magic")),
        broken("/outputs/0/qualifier", json!("")),
        broken("/computed_at", json!("yesterday")),
        broken("/outputs/0/value", json!({})),
        broken("/outputs/0/uncertainty/coverage", json!(1.5)),
        broken("/model/fallback", json!("guess")),
        broken("/latency/total_us", json!(-1)),
        json!({}),
    ];
    let schema = peers::workspace().join("docs/specs/result-record.schema.json");
    let all: Vec<Json> = valid.iter().chain(&invalid).cloned().collect();
    let Some(verdicts) = peers::validate(test, &schema, &all) else { return };
    let expected: Vec<bool> =
        valid.iter().map(|_| true).chain(invalid.iter().map(|_| false)).collect();
    assert_eq!(verdicts, expected);
}
