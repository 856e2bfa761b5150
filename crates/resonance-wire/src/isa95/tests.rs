//! Golden messages, both forms against each other, and hostile answers.

use proptest::prelude::*;
use resonance_plant::ModelCategory;

use super::*;

/// A result with every field in use.
fn record(category: ModelCategory) -> String {
    format!(
        r#"{{"id":"34161a4d95c40d1d3d9872dcca554160","deployment":"tool-wear",
        "asset":"line 1/mill-1","equipment_id":"acme/north/hall-1/line 1/mill-1",
        "physical_asset_id":"SN-7","part_id":"P-17","category":"{category}","model":{{"name":"cnc-tool-wear",
        "version":"1.2.0","digest":"sha256:3f","engine":"onnxruntime 1.31.1",
        "trained_on":"simulated","fallback":null}},"sequence":1,"outputs":[{{"name":"flank_wear",
        "value":0.185,"unit":"MMT","semantic_id":"0173-1#02-AAV232#002","uncertainty":
        {{"low":0.171,"high":0.203,"coverage":0.9}},"status":{{"code":0,"name":"Good"}}}},
        {{"name":"tool_state","value":1,"label":"worn & torn <1>","status":{{"code":0,
        "name":"Good"}}}}],"window":{{"from":"2026-11-21T08:00:00Z",
        "to":"2026-11-21T08:00:00.100Z","samples":32,"points":["mill-1.spindle_power"],
        "worst_status":{{"code":0,"name":"Good"}}}},"source_time":"2026-11-21T08:00:00.100Z",
        "computed_at":"2026-11-21T08:00:00.100850Z","valid_until":"2026-11-21T08:00:05.100Z",
        "latency":{{"inference_us":41,"total_us":850,"budget_us":5000}},"status":{{"code":0,
        "name":"Good"}},"backfilled":false}}"#
    )
}

fn element(json: &str) -> Element {
    let answer = Answer::read(json.as_bytes()).unwrap();
    let envelope = Envelope {
        sender: "resonance/mes",
        id: &answer.id.clone(),
        confirmation: Confirmation::Always,
    };
    message(&envelope, Object::of(&answer), &[answer])
}

/// The golden file of an object; RESONANCE_GOLDEN=write makes it anew.
fn check_golden(name: &str, bytes: &[u8]) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/isa95").join(name);
    // One element a line, so that a difference can be read.
    let text = String::from_utf8(bytes.to_vec()).unwrap().replace("><", ">\n<") + "\n";
    if std::env::var_os("RESONANCE_GOLDEN").is_some_and(|what| what == "write") {
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, golden, "{}", path.display());
}

#[test]
fn every_object_is_written_as_before() {
    for category in [
        ModelCategory::QualityPrediction,
        ModelCategory::AnomalyDetection,
        ModelCategory::PredictiveMaintenance,
        ModelCategory::EnergyOptimization,
    ] {
        let element = element(&record(category));
        let object = Object::of_category(category);
        check_golden(&format!("{object}.xml"), &element.to_xml());
        check_golden(&format!("{object}.json"), &element.to_json());
    }
}

#[test]
fn every_category_has_an_object_and_every_object_a_category() {
    for category in ModelCategory::ALL {
        let element = &category.definition().expressed_as.isa95;
        assert_eq!(Object::of_category(*category).element(), element, "{category}");
    }
    let objects: Vec<Object> =
        ModelCategory::ALL.iter().map(|category| Object::of_category(*category)).collect();
    for object in [
        Object::TestResult,
        Object::WorkAlert,
        Object::MaintenanceRequest,
        Object::JobOrderProposal,
    ] {
        assert!(objects.contains(&object), "{object}");
        assert_eq!(object.message(), format!("{}{}", object.verb(), object.noun()));
    }
}

#[test]
fn what_is_not_good_enough_to_act_on_is_only_a_test_result() {
    let good = record(ModelCategory::PredictiveMaintenance);
    let object = |json: &str| Object::of(&Answer::read(json.as_bytes()).unwrap());
    assert_eq!(object(&good), Object::MaintenanceRequest);
    let backfilled = good.replace("\"backfilled\":false", "\"backfilled\":true");
    assert_eq!(object(&backfilled), Object::TestResult);
    let fallback = good.replace("\"fallback\":null", "\"fallback\":\"hold_last\"");
    assert_eq!(object(&fallback), Object::TestResult);
    let bad = good.replace(
        "\"status\":{\"code\":0,\n        \"name\":\"Good\"},\"backfilled",
        "\"status\":{\"code\":2156462080,\"name\":\"x\"},\"backfilled",
    );
    assert_ne!(bad, good);
    assert_eq!(object(&bad), Object::TestResult);
}

#[test]
fn a_result_that_names_neither_part_nor_machine_is_about_its_asset() {
    let json = record(ModelCategory::VisualInspection);
    let of_asset = json.replace("\"physical_asset_id\":\"SN-7\",\"part_id\":\"P-17\",", "");
    assert_ne!(of_asset, json);
    let written = |json: &str| String::from_utf8(element(json).to_xml()).unwrap();
    let about = |id: &str| format!("<TestableObjectID>{id}</TestableObjectID>");
    let (part, asset) = (written(&json), written(&of_asset));
    assert!(part.contains(&about("P-17")) && part.contains("about part P-17 of line 1/mill-1"));
    assert!(asset.contains(&about("line 1/mill-1")) && asset.contains("about line 1/mill-1"));
    let maintenance =
        |json: &str| written(&json.replace("visual_inspection", "predictive_maintenance"));
    let of = |id: &str| format!("<PhysicalAssetID>{id}</PhysicalAssetID>");
    assert!(maintenance(&json).contains(&of("SN-7")));
    assert!(maintenance(&of_asset).contains(&of("line 1/mill-1")));
}

#[test]
fn several_results_share_one_envelope() {
    let json = record(ModelCategory::SoftSensor);
    let answers = vec![Answer::read(json.as_bytes()).unwrap(); 3];
    let envelope = Envelope { sender: "s", id: "b", confirmation: Confirmation::Never };
    let all = message(&envelope, Object::TestResult, &answers);
    assert_eq!(all.child("DataArea").unwrap().all("TestResult").count(), 3);
    assert_eq!(Element::from_json(&all.to_json()).unwrap(), all);
}

/// As read from XML, which does not say what repeats, and joins what it cannot tell apart.
fn as_xml(element: &Element) -> Element {
    let content = match &element.content {
        Content::Text(text) => Content::Text(text.clone()),
        Content::Children(children) => Content::Children(children.iter().map(as_xml).collect()),
    };
    Element { content, repeats: false, ..element.clone() }
}

proptest! {
    #[test]
    fn both_forms_read_back_as_what_was_written(
        asset in any::<String>(),
        label in any::<String>(),
        value in prop_oneof![
            any::<f64>().prop_map(|x| serde_json::json!(x)),
            any::<i64>().prop_map(|x| serde_json::json!(x)),
            any::<String>().prop_map(|x| serde_json::json!(x)),
            any::<Vec<f32>>().prop_map(|x| serde_json::json!(x)),
            any::<bool>().prop_map(|x| serde_json::json!(x)),
        ],
        category in 0..12_usize,
    ) {
        let json = record(ModelCategory::ALL[category]);
        let mut json: serde_json::Value = serde_json::from_str(&json).unwrap();
        json["asset"] = asset.into();
        json["outputs"][0]["value"] = value;
        json["outputs"][1]["label"] = label.into();
        let element = element(&json.to_string());
        prop_assert_eq!(&Element::from_json(&element.to_json()).unwrap(), &element);
        let plain = as_xml(&element);
        prop_assert_eq!(&Element::from_xml(&element.to_xml()).unwrap(), &plain);
    }

    #[test]
    fn no_bytes_make_an_answer_panic(bytes in any::<Vec<u8>>()) {
        let _ = read_reply(&bytes);
        let _ = Element::from_xml(&bytes);
        let _ = Element::from_json(&bytes);
    }
}

const AT: &str = "2026-11-21T08:00:00Z";

#[test]
fn confirmations_are_read_in_both_forms() {
    for verdict in [Verdict::Accepted, Verdict::Rejected("no such order; retry never".into())] {
        let written = confirm_bod("a1", AT, &verdict);
        for bytes in [written.to_xml(), written.to_json()] {
            let reply = read_reply(&bytes).unwrap();
            assert_eq!(reply.verdict, verdict);
            assert!(reply.is_about("a1") && !reply.is_about("b2"));
        }
    }
    let prefixed = br#"<?xml version="1.0"?><!-- hi --><b:AcknowledgeWorkSchedule
        xmlns:b="http://www.mesa.org/xml/B2MML" releaseID="7.0"><b:ApplicationArea/>
        <b:DataArea><b:Acknowledge><b:ResponseCriteria><b:ResponseExpression
        actionCode="Modified"/></b:ResponseCriteria></b:Acknowledge><b:WorkSchedule/></b:DataArea>
        </b:AcknowledgeWorkSchedule>"#;
    let reply = read_reply(prefixed).unwrap();
    assert_eq!(reply, Reply { about: vec![], verdict: Verdict::Accepted });
    let text = br#"{"ConfirmBOD":{"DataArea":{"Confirm":{"ResponseCriteria":[
        {"ResponseExpression":{"@actionCode":"REJECTED"},"ChangeStatus":{"Reason":["a",{"$":"b"}]}}
        ]},"BOD":[{"Note":["c"]}]}}}"#;
    assert_eq!(read_reply(text).unwrap().verdict, Verdict::Rejected("a: b; c".into()));
}

#[test]
fn hostile_answers_are_refused_by_name() {
    let bomb = b"<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><x>&b;</x>";
    assert_eq!(read_reply(bomb), Err(ReplyError::Entities));
    assert_eq!(read_reply(b"<ConfirmBOD>&unknown;</ConfirmBOD>"), Err(ReplyError::Entities));
    assert_eq!(read_reply(b"<x a='&xxe;'/>"), Err(ReplyError::Entities));
    let deep = "<a>".repeat(100_000 / 3);
    assert_eq!(
        read_reply(deep.as_bytes()),
        Err(ReplyError::TooLarge { what: "levels", limit: 32 })
    );
    let wide = format!("<a>{}</a>", "<b/>".repeat(20_000));
    let too_many = ReplyError::TooLarge { what: "elements", limit: 8_192 };
    assert_eq!(read_reply(wide.as_bytes()), Err(too_many));
    let large = vec![b' '; 300 << 10];
    assert_eq!(
        read_reply(&[&b"<a>"[..], &large].concat()).unwrap_err().to_string(),
        "the answer is larger than 262144 bytes"
    );
    let attributes: String = (0..100).map(|n| format!(" a{n}=''")).collect();
    let many = format!("<a{attributes}/>");
    assert!(matches!(read_reply(many.as_bytes()), Err(ReplyError::TooLarge { .. })));
    for json in ["[".repeat(200), format!("{{\"a\":[{}1]}}", "1,".repeat(20_000)), "{}".into()] {
        let error = read_reply(json.as_bytes()).unwrap_err();
        assert!(matches!(error, ReplyError::Malformed { form: "JSON", .. }), "{error}");
    }
    for (bytes, part) in [
        (&b""[..], "empty"),
        (b" \n", "empty"),
        (b"<a", "XML"),
        (b"<a></b>", "XML"),
        (b"<a/><b/>", "XML"),
        (b"<></>", "no element's name"),
        (b"<a:b:c/>", "no element's name"),
        (b"<a 1=''/>", "no attribute's name"),
        (b"<a>\xff</a>", "UTF-8"),
        (b"ok", "JSON at byte 0"),
        (b"{\n\"a\": ?}", "JSON at byte 7"),
        (b"<html/>", "not a ConfirmBOD"),
        (b"<ConfirmBOD/>", "lacks DataArea"),
        (b"<ConfirmBOD><DataArea/></ConfirmBOD>", "lacks Confirm"),
        (b"{\"ConfirmBOD\":null,\"x\":1}", "exactly one"),
        (
            b"<AcknowledgeX><DataArea><Acknowledge><ResponseCriteria><ResponseExpression \
           actionCode='Perhaps'/></ResponseCriteria></Acknowledge></DataArea></AcknowledgeX>",
            "\"Perhaps\"",
        ),
    ] {
        let error = read_reply(bytes).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn what_is_no_result_is_refused() {
    for text in ["", "{}", "[1]", r#"{"id":"x","error":"y"}"#] {
        assert!(Answer::read(text.as_bytes()).is_err(), "{text}");
    }
}
