use std::sync::Arc;

use resonance_gateway::sources::survey::{Name, Step, Survey, UnitTold, Variable};
use resonance_plant::{DataType, Range, Status, Value};

use super::*;

fn propose(survey: &Survey, models: &[Candidate<'_>]) -> Proposal {
    super::propose(survey, None, models).unwrap()
}

fn name(text: &str) -> Name {
    match text.split_once('|') {
        Some((namespace, name)) => Name { namespace: namespace.into(), name: name.into() },
        None => Name { namespace: "http://maker.example/".into(), name: text.into() },
    }
}

/// Steps as `name` or `name:type`, either with a namespace before a `|`.
pub(super) fn variable(path: &[&str]) -> Variable {
    let step = |text: &&str| {
        let (own, is_a) = text.split_once("::").unwrap_or((text, "BaseObjectType"));
        Arc::new(Step { name: name(own), types: vec![name(is_a)] })
    };
    let id = path.join("/");
    Variable {
        address: format!("nsu=http://maker.example/;s={id}"),
        node: format!("ns=2;s={id}"),
        path: path.iter().map(step).collect(),
        description: String::new(),
        data_type: Ok(DataType::Float64),
        unit: None,
        range: None,
        interpolation: None,
        labels: Vec::new(),
        meanings: Vec::new(),
        qualifier: None,
        value: None,
        status: Status::GOOD,
    }
}

pub(super) fn with_unit(path: &[&str], code: &str) -> Variable {
    let unit = UnitTold { unit: Unit::from_code(code), told: code.into() };
    Variable { unit: Some(unit), ..variable(path) }
}

pub(super) fn survey(variables: Vec<Variable>) -> Survey {
    Survey {
        url: "opc.tcp://mill:4840".into(),
        nodes: variables.len(),
        variables,
        is_partial: false,
        warnings: Vec::new(),
    }
}

#[test]
fn the_asset_is_the_first_object_that_is_more_than_a_folder() {
    let proposal = propose(
        &survey(vec![
            variable(&["Machines::FolderType", "Mill 7", "Spindle", "Speed"]),
            variable(&["Machines::FolderType", "Mill 7", "Door"]),
            variable(&["Machines::FolderType", "Mill 8", "Door"]),
            variable(&["Simulation::FolderType", "Inner::FolderType", "Counter"]),
            variable(&["Loose"]),
        ]),
        &[],
    );
    let found: Vec<(&str, Vec<&str>)> = proposal
        .assets
        .iter()
        .map(|asset| (&*asset.id, asset.points.iter().map(|point| &*point.name).collect()))
        .collect();
    let expected = [
        ("mill-7", vec!["speed", "door"]),
        ("mill-8", vec!["door"]),
        ("simulation", vec!["counter"]),
        ("machine", vec!["loose"]),
    ];
    assert_eq!(found, expected);
}

#[test]
fn names_that_several_have_are_told_apart_by_what_is_above() {
    let proposal = propose(
        &survey(vec![
            variable(&["Mill", "Axes", "X1", "ActLoad"]),
            variable(&["Mill", "Axes", "Y", "ActLoad"]),
            variable(&["Mill", "Axes", "Y", "ActLoad"]),
            variable(&["Mill", "RPMLimit (max)"]),
            variable(&["Mill", "温度"]),
        ]),
        &[],
    );
    let names: Vec<&str> =
        proposal.assets[0].points.iter().map(|point| point.name.as_str()).collect();
    let expected = ["x1.act_load", "axes.y.act_load", "axes.y.act_load_2", "rpm_limit_max", "温度"];
    assert_eq!(names, expected);
}

#[test]
fn semantic_ids_come_from_the_machine_or_its_companion_specification() {
    let spindle = "Spindle::http://opcfoundation.org/UA/CNC|CncSpindleType";
    let speed = "http://opcfoundation.org/UA/CNC|ActSpeed";
    let torque = "http://opcfoundation.org/UA/CNC|ActTorque";
    let mut own = variable(&["Mill", "Whatever"]);
    own.meanings = vec!["no id".into(), "0173-1#02-AAH996#003".into()];
    let proposal = propose(
        &survey(vec![
            with_unit(&["Mill", spindle, speed], "RPM"),
            with_unit(&["Mill", spindle, torque], "NU"),
            own,
            // The same name in the maker's own namespace means nothing.
            variable(&["Mill", spindle, "ActPower"]),
            with_unit(&["Mill", "Monitor", "SpindlePower"], "KWT"),
        ]),
        &[],
    );
    let asset = &proposal.assets[0];
    assert_eq!(asset.class, Some(EquipmentClass::CncMachineTool));
    let ids: Vec<Option<&str>> =
        asset.points.iter().map(|p| p.semantic_id.as_ref().map(SemanticId::as_str)).collect();
    let expected = [
        Some("urn:resonance:cnc:spindle:speed"),
        Some("urn:resonance:cnc:spindle:torque"),
        Some("0173-1#02-AAH996#003"),
        None,
        None,
    ];
    assert_eq!(ids, expected);
    assert_eq!(asset.points[0].qualifier, "", "it is the only spindle");
    assert!(asset.points[0].reason.contains("UA/CNC CncSpindleType/ActSpeed"));
    assert_eq!(asset.points[1].quantity.map(QuantityKind::name), Some("torque"));
    let candidates: Vec<&str> = asset.points[4].candidates.iter().map(SemanticId::as_str).collect();
    assert_eq!(candidates, ["urn:resonance:cnc:spindle:power"]);
}

#[test]
fn in_mtconnect_a_type_below_its_component_is_a_meaning() {
    let item = |path: &[&str], kind: &str| {
        let space = "urn:mtconnect.org:MTConnectDevices";
        let last = format!("{space}|any::{space}|{kind}");
        let component = format!("C::{space}|{}", path[0]);
        variable(&["Mill", &component, &last])
    };
    let proposal = propose(
        &survey(vec![
            item(&["Spindle"], "ROTARY_VELOCITY.ACTUAL"),
            item(&["Spindle"], "ROTARY_VELOCITY.COMMANDED"),
            item(&["Spindle"], "LOAD#CONDITION"),
            item(&["Linear"], "LOAD"),
            item(&["Rotary"], "LOAD"),
            // A name that is a type's means nothing.
            variable(&["Mill", "C::http://maker.example/|Linear", "LOAD"]),
        ]),
        &[],
    );
    let ids: Vec<Option<&str>> = proposal.assets[0]
        .points
        .iter()
        .map(|point| point.semantic_id.as_ref().map(SemanticId::as_str))
        .collect();
    let expected = [
        Some("urn:resonance:cnc:spindle:speed"),
        None,
        None,
        Some("urn:resonance:cnc:axis:load"),
        None,
        None,
    ];
    assert_eq!(ids, expected);
    let reason = &proposal.assets[0].points[0].reason;
    assert!(reason.starts_with("MTConnect Spindle/ROTARY_VELOCITY.ACTUAL"), "{reason}");
}

#[test]
fn what_is_colder_than_anything_can_be_is_warned_of() {
    let mut cold = with_unit(&["M", "Temperature"], "CEL");
    cold.value = Some(Value::Float(-300.0));
    let proposal = propose(&survey(vec![cold]), &[]);
    assert!(proposal.warnings[0].contains("colder than anything"), "{:?}", proposal.warnings);
}

#[test]
fn components_of_which_there_are_several_are_qualifiers() {
    let load = |name: &str| {
        let object = format!("{name}::http://opcfoundation.org/UA/CNC|CncSpindleType");
        variable(&["Mill", &object, "http://opcfoundation.org/UA/CNC|ActLoad"])
    };
    let proposal = propose(&survey(vec![load("S1"), load("S2")]), &[]);
    let qualifiers: Vec<&str> =
        proposal.assets[0].points.iter().map(|point| point.qualifier.as_str()).collect();
    // Two points of one meaning only make no class.
    assert_eq!(proposal.assets[0].class, None);
    assert_eq!(qualifiers, ["", ""]);
    let speed = "http://opcfoundation.org/UA/CNC|ActSpeed";
    let first = variable(&["Mill", "S1::http://opcfoundation.org/UA/CNC|CncSpindleType", speed]);
    let proposal = propose(&survey(vec![load("S1"), load("S2"), first]), &[]);
    let qualifiers: Vec<&str> =
        proposal.assets[0].points.iter().map(|point| point.qualifier.as_str()).collect();
    assert_eq!(qualifiers, ["S1", "S2", "S1"]);
}

#[test]
fn points_of_one_meaning_get_qualifiers_or_a_warning() {
    let axis = |name: &str| Variable {
        meanings: vec!["urn:resonance:cnc:axis:load".into()],
        ..variable(&["Mill", "Axes", name])
    };
    let told = propose(&survey(vec![axis("LoadX"), axis("LoadY")]), &[]);
    let qualifiers: Vec<&str> =
        told.assets[0].points.iter().map(|point| point.qualifier.as_str()).collect();
    assert_eq!((qualifiers, told.warnings.len()), (vec!["X", "Y"], 0));
    let same = propose(&survey(vec![axis("Load"), axis("Load")]), &[]);
    assert!(same.warnings[0].contains("nothing tells them apart"), "{:?}", same.warnings);
}

#[test]
fn values_that_contradict_range_or_labels_are_warned_of() {
    let range = Some(Range { low: 0.0, high: 100.0 });
    let hot = Variable { range, value: Some(Value::Float(5_000.0)), ..variable(&["M", "Load"]) };
    let fine = Variable { range, value: Some(Value::Float(50.0)), ..variable(&["M", "Fine"]) };
    let state = Variable {
        data_type: Ok(DataType::Int32),
        labels: vec!["off".into(), "on".into()],
        value: Some(Value::Int(7)),
        ..variable(&["M", "State"])
    };
    let proposal = propose(&survey(vec![hot, fine, state]), &[]);
    assert_eq!(proposal.warnings.len(), 2, "{:?}", proposal.warnings);
    assert!(proposal.warnings[0].starts_with("m.load is 5000 now, outside its range 0 to 100"));
    assert!(proposal.warnings[1].starts_with("m.state is 7 now, which has no label"));
}

/// Whatever a machine calls things, the file it becomes is one that may run.
#[test]
fn hostile_names_give_a_valid_plant_file() {
    let mut odd = variable(&["Mi\"ll\n[[asset]]", "a = 'b'\u{7f}\u{0}", "\u{1F600}"]);
    odd.description = "\"\"\"\nline\\ \u{0}".into();
    odd.labels = vec!["a\"b".into()];
    odd.data_type = Ok(DataType::Int32);
    let none = Variable {
        data_type: Err("it is odd\n".into()),
        ..variable(&["Mi\"ll\n[[asset]]", "x\ny"])
    };
    let survey = survey(vec![odd, none]);
    let config = toml::from_str(
        "url = 'opc.tcp://mill:4840'\nsecurity_policy = 'none'\nsecurity_mode = 'none'\n\
         allow_weak_security = true",
    )
    .unwrap();
    let proposal = propose(&survey, &[]);
    assert_eq!(proposal.left_out.len(), 1);
    let way = Way::Opcua(config);
    let connection = Connection { way: &way, nodes: 2, at: "now".into() };
    let text = plant_file(&proposal, &connection);
    let plant = crate::config::PlantText::from_memory(std::path::Path::new("plant.toml"), &*text);
    let (plan, report) = plant.plan(crate::config::Purpose::Check);
    assert!(plan.is_some(), "{}\n{text}", report.render(false));
}

#[test]
fn changes_since_a_plant_file_are_told() {
    let plant: toml::Table = toml::from_str(
        r#"
        [[source]]
        id = "machine"
        url = "opc.tcp://mill:4840"
        [[asset]]
        id = "mill"
        source = "machine"
        [[asset.point]]
        name = "speed"
        type = "float64"
        unit = "RPM"
        range = [0, 10]
        address = "ns=2;s=Mill/Speed"
        [[asset.point]]
        name = "gone"
        type = "float64"
        address = "nsu=http://maker.example/;s=Mill/Gone"
        "#,
    )
    .unwrap();
    let mut speed = with_unit(&["Mill", "Speed"], "KWT");
    speed.range = Some(Range { low: 0.0, high: 10.0 });
    let new = variable(&["Mill", "New"]);
    let Changes { lines } = changes(&plant, &survey(vec![speed.clone(), new]));
    let told: Vec<String> = lines.iter().map(ToString::to_string).collect();
    let expected = [
        "~ mill.speed  unit: RPM in the file, KWT in the machine",
        "- mill.gone  nsu=http://maker.example/;s=Mill/Gone",
        "+ Mill/New  nsu=http://maker.example/;s=Mill/New",
    ];
    assert_eq!(told, expected);
}
