//! `[[asset]]` and `[[asset.point]]`.

use resonance_gateway::sources::image::ADDRESSES;
use resonance_plant::definition::OWN_READING;
use resonance_plant::{DataType, EquipmentClass, QuantityKind, SemanticId, Unit};

use super::addresses::{data_item_problem, node_id_problem};
use super::{Check, Diagnostic, Mistake};
use crate::config::document::Node;

pub(super) fn check(check: &mut Check<'_, '_>, asset: &Node<'_>) {
    source_exists(check, asset);
    class_is_met(check, asset);
    for point in asset.list("point") {
        point_source(check, asset, &point);
        unit_measures(check, &point);
        semantics(check, &point);
        let data_type = point.text_at("type").and_then(|(name, _)| DataType::from_name(name));
        if let Some(data_type) = data_type {
            only_for_its_type(check, &point, data_type);
        }
        range_is_one(check, &point);
        deadband(check, &point);
        check.at_least_one(&point, &["max_age_ms", "sampling_ms"]);
    }
}

/// Warns of what the asset's class expects and the asset lacks. A point without a semantic id may
/// be anything, so an asset may have more than its file says: no error.
fn class_is_met(check: &mut Check<'_, '_>, asset: &Node<'_>) {
    let Some((name, node)) = asset.text_at("class") else { return };
    let Some(class) = EquipmentClass::from_name(name) else { return };
    let definition = class.definition();
    let points = asset.list("point");
    let meant = |point: &Node<'_>| point.text_at("semantic_id").map(|(id, _)| id.to_owned());
    let has: Vec<Option<String>> = points.iter().map(meant).collect();
    let lacks: Vec<String> = definition
        .points
        .iter()
        .filter(|point| point.required)
        .filter(|point| !has.iter().flatten().any(|id| id == point.semantic_id.as_str()))
        .map(|point| format!("{} ({})", point.semantic_id, point.meaning))
        .collect();
    if !lacks.is_empty() {
        let message = format!("the asset lacks points that a {name} is expected to have");
        check.out.push(
            Diagnostic::warning(Mistake::ClassNotMet, &node.place, message)
                .candidates(lacks)
                .remedy(format!(
                    "give its points these semantic ids, or leave `class` out; `resonance plant \
                     classes {name}` lists what the class expects ({OWN_READING})"
                )),
        );
    }
    for (point, id) in points.iter().zip(&has) {
        let expected =
            definition.points.iter().find(|e| id.as_deref() == Some(e.semantic_id.as_str()));
        let Some(expected) = expected else { continue };
        let data_type =
            point.text_at("type").and_then(|(n, at)| Some((DataType::from_name(n)?, at)));
        if let Some((data_type, at)) = data_type
            && !expected.kind.admits(data_type)
        {
            let message =
                format!("{} is not of type {} in a {name}", expected.semantic_id, data_type.name());
            check.warning(Mistake::ClassNotMet, &at.place, message, "correct type or semantic id");
        }
        let unit = point.text_at("unit").and_then(|(code, at)| Some((Unit::from_code(code)?, at)));
        if let (Some((unit, at)), Some(quantity)) = (unit, expected.quantity)
            && !unit.measures(quantity)
        {
            let message = format!(
                "{} is a {quantity} for a {name}; {} ({}) measures none",
                expected.semantic_id,
                unit.code(),
                unit.name()
            );
            check.warning(Mistake::ClassNotMet, &at.place, message, "correct unit or semantic id");
        }
    }
}

fn source_exists(check: &mut Check<'_, '_>, table: &Node<'_>) {
    let Some((source, node)) = table.text_at("source") else { return };
    if check.names.sources.contains_key(source) {
        return;
    }
    let names: Vec<&str> = check.names.sources.keys().copied().collect();
    let nearest = check.out.nearest(source, names.iter().copied());
    let remedy = match names.as_slice() {
        [] => "add a [[source]] with this id".to_owned(),
        few if few.len() <= 8 => format!("sources: {}", few.join(", ")),
        many => format!("write the id of one of the {} sources", many.len()),
    };
    let message = format!("no source is called {source:?}");
    check.out.push(
        Diagnostic::error(Mistake::UnknownName, &node.place, message)
            .nearest(nearest)
            .remedy(remedy),
    );
}

fn point_source(check: &mut Check<'_, '_>, asset: &Node<'_>, point: &Node<'_>) {
    source_exists(check, point);
    if !point.has("source") && !asset.has("source") {
        let name = point.text_at("name").map_or("", |(name, _)| name);
        let message = format!("the point {name:?} has no source");
        let remedy = "add `source` to the point, or to its asset for all its points";
        check.error(Mistake::MissingKey, &point.place, message, remedy);
    }
    let source = point.text_at("source").or_else(|| asset.text_at("source"));
    let kind = source.and_then(|(source, _)| check.names.sources.get(source).copied());
    let Some((address, node)) = point.text_at("address") else { return };
    let (what, remedy, problem) = match kind {
        Some("mtconnect") => (
            "address of an MTConnect data item",
            "write the data item's id as the agent's /probe has it, id#key or id#row#column",
            data_item_problem(address),
        ),
        Some("image") => (
            "address of an image source",
            "write image, part_id or triggered",
            (!ADDRESSES.contains(&address)).then(|| "there is no such thing".to_owned()),
        ),
        Some("replay") => (
            "name of a column",
            "write the column's name as the recording's first row has it",
            address.trim().is_empty().then(|| "it is empty".to_owned()),
        ),
        _ => (
            "OPC UA node id",
            "write ns=NUMBER;s=TEXT, ns=NUMBER;i=NUMBER or nsu=URI;s=TEXT, as the machine's server \
             names the node",
            node_id_problem(address),
        ),
    };
    let unasked = match kind {
        Some("mtconnect") => Some((
            "an MTConnect agent",
            "take it away; filters are set in the agent's device model",
        )),
        Some("image") => Some(("a camera", "take it away; see interval_ms of the source")),
        Some("replay") => Some(("a recording", "take it away; every row is played")),
        _ => None,
    };
    if let Some((who, remedy)) = unasked {
        for key in ["deadband", "deadband_percent", "sampling_ms"] {
            if let Some(set) = point.get(key) {
                let message = format!("{who} cannot be asked for `{key}`");
                check.error(Mistake::Contradiction, &set.place, message, remedy);
            }
        }
    }
    if let Some(problem) = problem {
        let message = format!("{address:?} is not an {what}: {problem}");
        check.error(Mistake::InvalidValue, &node.place, message, remedy);
    }
}

fn unit_measures(check: &mut Check<'_, '_>, point: &Node<'_>) {
    let unit = point.text_at("unit").and_then(|(c, n)| Some((Unit::from_code(c)?, n)));
    let kind = point.text_at("quantity").and_then(|(q, n)| Some((QuantityKind::from_name(q)?, n)));
    let units_of = |kind: QuantityKind| {
        Unit::all()
            .filter(move |unit| unit.measures(kind))
            .map(|unit| format!("{} ({}, {})", unit.code(), unit.symbol(), unit.name()))
    };
    match (unit, kind) {
        (Some((unit, node)), Some((kind, _))) if !unit.measures(kind) => {
            let message = format!(
                "{} ({}) measures {}, not {kind}",
                unit.code(),
                unit.name(),
                unit.quantity()
            );
            check.out.push(
                Diagnostic::error(Mistake::UnitClash, &node.place, message)
                    .candidates(units_of(kind))
                    .remedy(format!(
                        "write a unit of {kind}, or quantity = \"{}\"",
                        unit.quantity()
                    )),
            );
        }
        (None, Some((kind, node))) if !point.has("unit") && needs_unit(kind) => {
            let message = format!("a {kind} without a unit means nothing");
            check.out.push(
                Diagnostic::error(Mistake::MissingKey, &node.place, message)
                    .candidates(units_of(kind))
                    .remedy("add `unit`"),
            );
        }
        _ => {}
    }
}

fn needs_unit(kind: QuantityKind) -> bool {
    !matches!(kind, QuantityKind::Dimensionless | QuantityKind::Ratio | QuantityKind::Count)
}

fn semantics(check: &mut Check<'_, '_>, point: &Node<'_>) {
    if let Some((text, node)) = point.text_at("semantic_id")
        && let Err(problem) = SemanticId::parse(text)
    {
        let message = format!("{text:?} is not a semantic id: {problem}");
        let remedy = "write a URI such as urn:example:spindle:load, or an IRDI such as \
                      0173-1#02-AAH996#003";
        check.error(Mistake::InvalidValue, &node.place, message, remedy);
    }
    if let Some(qualifier) = point.get("qualifier")
        && !point.has("semantic_id")
    {
        let message = "a qualifier says which component a semantic id is about; there is none";
        check.error(Mistake::Contradiction, &qualifier.place, message, "add `semantic_id`");
    }
}

/// Keys that mean nothing for some types of values.
fn only_for_its_type(check: &mut Check<'_, '_>, point: &Node<'_>, data_type: DataType) {
    let number = data_type.is_numeric() && data_type != DataType::Boolean;
    let numbers = number || data_type == DataType::Float64Array;
    let whole = number && !matches!(data_type, DataType::Float32 | DataType::Float64);
    for (key, fits, needs) in [
        ("unit", numbers, "numbers"),
        ("quantity", numbers, "numbers"),
        ("range", numbers, "numbers"),
        ("deadband", number, "single numbers"),
        ("deadband_percent", number, "single numbers"),
        ("labels", whole || data_type == DataType::Boolean, "whole numbers and booleans"),
    ] {
        if let (false, Some(value)) = (fits, point.get(key)) {
            let message = format!("`{key}` is for {needs}; the type is {}", data_type.name());
            let remedy = format!("take `{key}` away, or correct the type");
            check.error(Mistake::Contradiction, &value.place, message, remedy);
        }
    }
    if let Some((how, node)) = point.text_at("interpolation")
        && matches!(how, "linear" | "angle" | "counter")
        && !number
    {
        let message = format!("{} values have no {how} interpolation", data_type.name());
        let remedy = "write step or category, or correct the type";
        check.error(Mistake::Contradiction, &node.place, message, remedy);
    }
    let labels = point.list("labels");
    if data_type == DataType::Boolean
        && labels.len() > 2
        && let Some(third) = labels.get(2)
    {
        let message = format!("{} labels for the two values of a boolean", labels.len());
        check.error(Mistake::OutOfBounds, &third.place, message, "give two: of false, of true");
    }
    if let (Some(_), Some(labels)) = (point.get("unit"), point.get("labels")) {
        let message = "labels name states, and states have no unit";
        check.error(Mistake::Contradiction, &labels.place, message, "keep one of the two");
    }
    let mut seen = std::collections::BTreeSet::new();
    for label in labels {
        if let Some(text) = label.text()
            && !seen.insert(text)
        {
            let message = format!("two states are called {text:?}");
            check.error(Mistake::Duplicate, &label.place, message, "give each state its own name");
        }
    }
}

fn range_is_one(check: &mut Check<'_, '_>, point: &Node<'_>) {
    let Some(range) = point.get("range") else { return };
    let bounds: Vec<f64> = range.items().filter_map(|bound| bound.number()).collect();
    if let [low, high] = bounds.as_slice()
        && low >= high
    {
        let message = format!("the range from {low} to {high} is empty");
        let remedy = "write the least value first, then the greatest";
        check.error(Mistake::OutOfBounds, &range.place, message, remedy);
    }
}

fn deadband(check: &mut Check<'_, '_>, point: &Node<'_>) {
    if let Some(deadband) = point.get("deadband")
        && deadband.number().is_some_and(|width| width < 0.0)
    {
        let remedy = "write how large a change must be to be reported, or leave it out";
        check.error(Mistake::OutOfBounds, &deadband.place, "a deadband is not negative", remedy);
    }
    let Some(percent) = point.get("deadband_percent") else { return };
    if percent.number().is_some_and(|share| !(0.0..=100.0).contains(&share)) {
        let remedy = "write a share of the machine's range, 0 to 100";
        let message = "a deadband in percent is between 0 and 100";
        check.error(Mistake::OutOfBounds, &percent.place, message, remedy);
    }
    if point.get("deadband").is_some() {
        let message = "`deadband` and `deadband_percent` say the same in two ways";
        check.error(Mistake::Contradiction, &percent.place, message, "keep one of the two");
    }
}
