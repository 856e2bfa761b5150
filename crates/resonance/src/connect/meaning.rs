//! What points mean: by the machine's own words, by the companion specification it follows, or,
//! as candidates only, by names and units that look alike.

use std::collections::{BTreeMap, BTreeSet};

use resonance_gateway::sources::mtconnect::survey::MTCONNECT;
use resonance_gateway::sources::survey::{Name, Step, Variable};
use resonance_plant::definition::ExpectedPoint;
use resonance_plant::{EquipmentClass, SemanticId};

use super::{Point, names};

/// Where the OPC Foundation's companion specifications have their namespaces.
const COMPANIONS: &str = "http://opcfoundation.org/";

/// Candidates told of a point.
const CANDIDATES_MAX: usize = 3;

/// The class that most of the machine's variables speak for, and why.
pub(super) fn class_of(variables: &[&Variable]) -> (Option<EquipmentClass>, String) {
    let mut best: Option<(usize, EquipmentClass)> = None;
    for class in EquipmentClass::ALL {
        let expected = &class.definition().points;
        let met = expected.iter().filter(|expected| {
            variables.iter().any(|variable| {
                own_meaning(variable).as_ref() == Some(&expected.semantic_id)
                    || found_in(expected, variable).is_some()
            })
        });
        let met = met.count();
        if met > 1 && best.is_none_or(|(most, _)| met > most) {
            best = Some((met, *class));
        }
    }
    match best {
        None => (None, "fewer than two of its points are known of any class".into()),
        Some((met, class)) => {
            let of = class.definition().points.len();
            (Some(class), format!("{met} of the {of} points known of the class are there"))
        }
    }
}

/// Gives a point its semantic id where something says it, or else candidates.
pub(super) fn give(point: &mut Point, variable: &Variable, class: Option<EquipmentClass>) {
    if let Some(meaning) = own_meaning(variable) {
        let of_any = || EquipmentClass::ALL.iter().flat_map(|class| &class.definition().points);
        if let Some(expected) = of_any().find(|expected| expected.semantic_id == meaning) {
            measure(point, expected);
        }
        point.reason = "the machine says so".into();
        point.semantic_id = Some(meaning);
        return;
    }
    let known: Vec<&ExpectedPoint> = match class {
        Some(class) => class.definition().points.iter().collect(),
        None => EquipmentClass::ALL.iter().flat_map(|class| &class.definition().points).collect(),
    };
    let companion =
        known.iter().find_map(|expected| Some((*expected, found_in(expected, variable)?)));
    if let (Some(class), Some((expected, path))) = (class, companion) {
        point.reason = format!("{path}, as class {class} has it");
        point.semantic_id = Some(expected.semantic_id.clone());
        if expected.component.is_some() && point.qualifier.is_empty() {
            point.qualifier = component(variable).unwrap_or_default();
            point.component.clone_from(&expected.component);
        }
        measure(point, expected);
        return;
    }
    point.candidates = alike(point, &known);
}

/// The unit says what is measured first of all; the class may know better.
fn measure(point: &mut Point, expected: &ExpectedPoint) {
    if let (Some(unit), Some(quantity)) = (point.unit, expected.quantity)
        && unit.measures(quantity)
    {
        point.quantity = Some(quantity);
    }
}

/// The first dictionary entry or semantic id that is one.
fn own_meaning(variable: &Variable) -> Option<SemanticId> {
    variable.meanings.iter().find_map(|text| SemanticId::parse(text).ok())
}

/// The path in a companion specification that a variable has, of those at which a point's name
/// was found: `UA/CNC CncSpindleType/ActSpeed` is a variable `ActSpeed` of the namespace UA/CNC
/// below an object whose type is, or is derived from, `CncSpindleType`. In MTConnect a data item's
/// type is its name: `MTConnect Path/EXECUTION`.
fn found_in<'e>(expected: &'e ExpectedPoint, variable: &Variable) -> Option<&'e str> {
    expected.found_in.iter().map(String::as_str).find(|place| {
        let Some((companion, path)) = place.split_once(' ') else { return false };
        let mut path = path.split('/');
        let Some(of_type) = path.next() else { return false };
        let below: Vec<&str> = path.collect();
        let Some(at) = variable.path.len().checked_sub(below.len() + 1) else { return false };
        if below.is_empty() {
            return false;
        }
        let (object, steps) = (&variable.path[at], &variable.path[at + 1..]);
        let is_of = |name: &Name| is_companion(&name.namespace, companion);
        let is_called = |step: &Step, wanted: &str| match companion {
            "MTConnect" => step.types.iter().any(|is_a| is_a.name == wanted && is_of(is_a)),
            _ => step.name.name == wanted,
        };
        object.types.iter().any(|is_a| is_a.name == of_type && is_of(is_a))
            && steps.iter().zip(&below).all(|(step, name)| is_called(step, name))
            && steps.last().is_some_and(|last| is_of(&last.name))
    })
}

fn is_companion(namespace: &str, companion: &str) -> bool {
    if companion == "MTConnect" {
        return namespace == MTCONNECT;
    }
    namespace.strip_prefix(COMPANIONS).is_some_and(|rest| rest.trim_end_matches('/') == companion)
}

/// The object that a variable belongs to.
fn component(variable: &Variable) -> Option<String> {
    let parent = variable.path.len().checked_sub(2)?;
    Some(variable.path[parent].name.name.clone())
}

/// What points with as many words in common may mean, where their units agree.
fn alike(point: &Point, known: &[&ExpectedPoint]) -> Vec<SemanticId> {
    let own: BTreeSet<String> = names::words(&point.browse_path).into_iter().collect();
    let mut scored: BTreeMap<usize, Vec<&SemanticId>> = BTreeMap::new();
    for expected in known {
        if !expected.kind.admits(point.data_type) {
            continue;
        }
        if let (Some(unit), Some(quantity)) = (point.unit, expected.quantity)
            && !unit.measures(quantity)
        {
            continue;
        }
        let text = format!("{} {}", expected.semantic_id, expected.meaning);
        let theirs: BTreeSet<String> = names::words(&text).into_iter().collect();
        let common = own.intersection(&theirs).filter(|word| word.chars().count() > 2).count();
        if common > 1 {
            scored.entry(common).or_default().push(&expected.semantic_id);
        }
    }
    let mut all = scored.into_values().rev().flatten().cloned();
    let mut best: Vec<SemanticId> = Vec::new();
    while let Some(id) = all.next()
        && best.len() < CANDIDATES_MAX
    {
        if !best.contains(&id) {
            best.push(id);
        }
    }
    best
}

/// Takes qualifiers away that tell nothing apart: of components that the asset has but one of.
pub(super) fn of_the_only_one(points: &mut [Point]) {
    let mut names: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for point in points.iter() {
        if let Some(component) = &point.component {
            names.entry(component.clone()).or_default().insert(point.qualifier.clone());
        }
    }
    for point in points {
        let known = point.component.as_ref().and_then(|component| names.get(component));
        if known.is_some_and(|names| names.len() == 1) {
            point.qualifier.clear();
        }
    }
}

/// Several points with one semantic id get qualifiers, from what their names differ in.
pub(super) fn tell_apart(points: &mut [Point], warnings: &mut Vec<String>) {
    let mut same: BTreeMap<(SemanticId, String), Vec<usize>> = BTreeMap::new();
    for (at, point) in points.iter().enumerate() {
        if let Some(id) = &point.semantic_id {
            same.entry((id.clone(), point.qualifier.clone())).or_default().push(at);
        }
    }
    for ((id, _), together) in same.into_iter().filter(|(_, together)| together.len() > 1) {
        let paths: Vec<Vec<String>> =
            together.iter().map(|at| names::words(&points[*at].browse_path)).collect();
        let differing: Vec<String> = paths.iter().map(|path| difference(path, &paths)).collect();
        let distinct: BTreeSet<&String> = differing.iter().collect();
        if distinct.len() < together.len() || differing.iter().any(String::is_empty) {
            warnings.push(format!(
                "{} points mean {id} and nothing tells them apart; give them qualifiers",
                together.len()
            ));
            continue;
        }
        for (at, qualifier) in together.into_iter().zip(differing) {
            points[at].qualifier = qualifier;
        }
    }
}

/// The words of a path that not all of them have.
fn difference(path: &[String], all: &[Vec<String>]) -> String {
    let own = path.iter().filter(|word| !all.iter().all(|other| other.contains(word)));
    own.map(|word| word.to_uppercase()).collect::<Vec<_>>().join("-")
}
