#[path = "../../../../tests/required.rs"]
mod required;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::*;

#[test]
fn every_class_is_what_its_file_is_called_and_makes_sense() {
    for class in EquipmentClass::ALL {
        let definition = class.definition();
        assert_eq!(definition.id, *class);
        assert!(definition.points.iter().any(|point| point.kind != ValueForm::Label));
        let mut seen = BTreeSet::new();
        for point in &definition.points {
            assert!(seen.insert(&point.semantic_id), "{class}: {} twice", point.semantic_id);
            if let (Some(unit), Some(quantity)) = (point.unit, point.quantity) {
                assert!(unit.measures(quantity), "{class}: {}", point.semantic_id);
            }
            assert!(point.unit.is_none() || point.quantity.is_some());
            assert!(point.quantity.is_none() || point.kind == ValueForm::Number);
        }
    }
}

#[test]
fn every_category_is_what_its_file_is_called_and_asks_for_something() {
    for category in ModelCategory::ALL {
        let definition = category.definition();
        assert_eq!(definition.id, *category);
        assert!(definition.outputs.iter().any(|output| output.required), "{category}");
        for output in &definition.outputs {
            let numbers = output.kind == ValueForm::Number;
            assert!(numbers || (output.quantities.is_empty() && output.least.is_none()));
            assert!(output.least.unwrap_or(f64::MIN) < output.greatest.unwrap_or(f64::MAX));
        }
    }
}

fn reference(test: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("RESONANCE_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let folder = shared.join("reference");
    if folder.is_dir() {
        return Some(folder);
    }
    required::skip(test, "shared", &format_args!("no {}; set RESONANCE_SHARED", folder.display()));
    None
}

/// The value of an attribute in an XML tag.
fn attribute<'t>(tag: &'t str, name: &str) -> Option<&'t str> {
    tag.split_once(&format!(" {name}=\""))?.1.split('"').next()
}

/// Every path below a type of a NodeSet, as `Type/Child/Grandchild` without namespace indices.
/// A placeholder such as `<CncSpindle>` stands for its type: its children count as the type's.
fn paths_of(nodeset: &str) -> BTreeSet<String> {
    let mut nodes: BTreeMap<&str, (&str, Option<&str>)> = BTreeMap::new();
    for tag in nodeset.split('<').filter(|tag| tag.starts_with("UA")) {
        if let (Some(id), Some(name)) = (attribute(tag, "NodeId"), attribute(tag, "BrowseName")) {
            let name = name.split_once(':').map_or(name, |(_, name)| name);
            nodes.insert(id, (name, attribute(tag, "ParentNodeId")));
        }
    }
    let mut paths = BTreeSet::new();
    for (name, parent) in nodes.values() {
        let mut path = (*name).to_owned();
        let mut above = *parent;
        for _ in 0..8 {
            let Some((name, parent)) = above.and_then(|id| nodes.get(id)) else { break };
            let placeholder = name.strip_prefix("&lt;").and_then(|name| name.strip_suffix("&gt;"));
            if let Some(placeholder) = placeholder {
                let instance = placeholder.split('_').next().unwrap_or(placeholder);
                paths.insert(format!("{instance}Type/{path}"));
            }
            path = format!("{name}/{path}");
            above = *parent;
        }
        paths.insert(path);
    }
    paths
}

fn nodeset_file(specification: &str) -> &str {
    match specification {
        "UA/CNC" => "Opc.Ua.CNC.NodeSet.xml",
        "UA/MachineTool" => "Opc.Ua.MachineTool.NodeSet2.xml",
        "UA/PlasticsRubber/GeneralTypes" => "Opc.Ua.PlasticsRubber.GeneralTypes.NodeSet2.xml",
        "UA/PlasticsRubber/IMM2MES" => "Opc.Ua.PlasticsRubber.IMM2MES.NodeSet2.xml",
        "UA/Robotics" => "Opc.Ua.Robotics.NodeSet2.xml",
        "UA/MachineVision" => "Opc.Ua.MachineVision.NodeSet2.xml",
        "UA/PackML" => "Opc.Ua.PackML.NodeSet2.xml",
        "UA/MetalForming" => "Opc.Ua.MetalForming.NodeSet2.xml",
        "UA/IJT/Base" => "Opc.Ua.Ijt.Base.NodeSet2.xml",
        "UA/Machinery/Result" => "Opc.Ua.Machinery.Result.NodeSet2.xml",
        "UA/PADIM" => "Opc.Ua.PADIM.NodeSet2.xml",
        "UA/DI" => "Opc.Ua.Di.NodeSet2.xml",
        other => panic!("no file is known for {other}"),
    }
}

/// Whether `path` (below `state`) is in the state message's schema of VDA 5050.
fn vda_has(folder: &Path, path: &str) -> bool {
    let schema = std::fs::read_to_string(folder.join("vda5050/3.0.0/state.schema")).unwrap();
    path.split('/').skip(1).all(|key| schema.contains(&format!("\"{key}\"")))
}

/// Whether a component, its type and sub-type are names of MTConnect's schema of devices.
fn mtconnect_has(schema: &str, path: &str) -> bool {
    let (component, item) = path.split_once('/').unwrap();
    let (kind, sub_type) = item.split_once('.').unwrap_or((item, ""));
    let names = [component, kind, sub_type];
    names.iter().all(|name| name.is_empty() || schema.contains(&format!("'{name}'")))
}

#[test]
fn names_that_are_said_to_be_found_are_there() {
    let Some(folder) = reference("names_that_are_said_to_be_found_are_there") else { return };
    let mut read: BTreeMap<&str, (String, BTreeSet<String>)> = BTreeMap::new();
    let mut missing = Vec::new();
    for class in EquipmentClass::ALL {
        for found in class.definition().points.iter().flat_map(|point| &point.found_in) {
            let (specification, path) = found.rsplit_once(' ').unwrap();
            let there = if specification == "VDA 5050" {
                vda_has(&folder, path)
            } else if specification == "MTConnect" {
                let file = folder.join("mtconnect-xsd/MTConnectDevices_2.7_1.0.xsd");
                let (schema, _) = read
                    .entry(specification)
                    .or_insert_with(|| (std::fs::read_to_string(file).unwrap(), BTreeSet::new()));
                mtconnect_has(schema, path)
            } else {
                let (text, paths) = read.entry(specification).or_insert_with(|| {
                    let file = folder.join("opcua-nodesets").join(nodeset_file(specification));
                    let text = std::fs::read_to_string(file).unwrap();
                    let paths = paths_of(&text);
                    (text, paths)
                });
                let named = class.definition().follows.iter().any(|follows| {
                    follows.rsplit_once(' ').is_some_and(|(name, version)| {
                        name == specification && text.contains(&format!("\"{version}\""))
                    })
                });
                named && paths.contains(path)
            };
            if !there {
                missing.push(format!("{class}: {found}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn isa95_elements_are_those_of_b2mml() {
    let Some(folder) = reference("isa95_elements_are_those_of_b2mml") else { return };
    let text: String = std::fs::read_dir(folder.join("b2mml"))
        .unwrap()
        .filter_map(|entry| {
            Some(entry.ok()?.path()).filter(|path| path.extension().is_some_and(|e| e == "xsd"))
        })
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    for category in ModelCategory::ALL {
        let element = &category.definition().expressed_as.isa95;
        assert!(text.contains(&format!("name = \"{element}\"")), "{category}: {element}");
    }
}
