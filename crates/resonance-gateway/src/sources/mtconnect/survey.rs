//! What an agent says of its machines: the answers to `probe` and `current`.
//!
//! A data item becomes a variable, an entry of a data set and a cell of a table one each. The
//! agent's own data items are told as no points.

mod items;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use resonance_plant::Status;
use resonance_wire::mtconnect::{Category, Component, DataItem, Device, Devices, Representation};

use super::config::MtconnectConfig;
use super::documents::{limits, refusal, target};
use super::http::Agent;
use crate::sources::survey::{Name, Step, Survey, SurveyError, Variable};
use items::{Latest, Said};

/// The namespace of components and types, whatever the version.
pub const MTCONNECT: &str = "urn:mtconnect.org:MTConnectDevices";

/// What a `Rotary` is besides where it turns as a spindle does; the standard has a component of this
/// name, which agents rarely use.
const SPINDLE: &str = "Spindle";

/// Variables told, at most: entries and cells of what is said now come without a bound of their
/// own.
const VARIABLES_MAX: usize = 200_000;

/// Asks an agent what its machines are. `progress` is told how many data items were looked at.
///
/// # Errors
/// Where the agent does not answer, or not with such documents.
pub async fn survey(
    config: &MtconnectConfig,
    mut progress: impl FnMut(usize),
) -> Result<Survey, SurveyError> {
    let agent =
        Agent::new(config).map_err(|(key, problem)| SurveyError(format!("{key}: {problem}")))?;
    let probe = target(config, "probe");
    let document = agent.document(config, &probe).await?;
    let model = Devices::parse(&document, limits(config))
        .map_err(|error| refusal(config, &probe, &document, &error))?;
    drop(document);
    progress(model.data_items().count());
    let current = target(config, "current");
    let document = agent.document(config, &current).await?;
    let latest = Latest::read(&document, limits(config))
        .map_err(|error| refusal(config, &current, &document, &error))?;
    Ok(taken(config, &model, &latest))
}

fn taken(config: &MtconnectConfig, model: &Devices, latest: &Latest) -> Survey {
    let mut survey = Survey {
        url: config.url.clone(),
        variables: Vec::new(),
        nodes: 0,
        is_partial: false,
        warnings: Vec::new(),
    };
    for device in &model.devices {
        survey.nodes += device.components.len() + device.data_items.len();
        let places = Places::of(device);
        for item in &device.data_items {
            let path = places.path(item);
            if survey.variables.len() >= VARIABLES_MAX {
                survey.is_partial = true;
                return survey;
            }
            let said = latest.of(&item.id);
            let parts = parts(item, said);
            if parts.is_empty() || device.is_agent() {
                let why = match device.is_agent() {
                    true => "it tells of the agent itself, not of a machine".to_owned(),
                    false => format!(
                        "it is a {} without an entry at the moment; one is addressed as {}",
                        item.representation.name(),
                        if is_table(item) { "id#row#column" } else { "id#key" }
                    ),
                };
                survey.variables.push(Variable { data_type: Err(why), ..bare(item, path) });
                continue;
            }
            for (keys, said) in parts {
                let mut variable = bare(item, path.clone());
                for key in &keys {
                    variable.address += "#";
                    variable.address += key;
                    let name = Name { namespace: MTCONNECT.to_owned(), name: (*key).to_owned() };
                    variable.path.push(Arc::new(Step { name, types: Vec::new() }));
                }
                variable.node.clone_from(&variable.address);
                items::fill(&mut variable, item, &keys, said, &mut survey.warnings);
                survey.variables.push(variable);
            }
        }
    }
    survey
}

/// The parts of a data item's value that a point each can read, by their keys.
fn parts<'s>(item: &DataItem, said: Option<&'s Said>) -> Vec<(Vec<&'s str>, Option<&'s Said>)> {
    match (item.representation, said) {
        (Representation::DataSet | Representation::Table, Some(Said::Entries(entries))) => {
            let wanted = if is_table(item) { 2 } else { 1 };
            let one = entries.iter().filter(|(keys, _)| keys.len() == wanted);
            one.map(|(keys, said)| (keys.iter().map(String::as_str).collect(), Some(said)))
                .collect()
        }
        (Representation::DataSet | Representation::Table, _) => Vec::new(),
        _ => vec![(Vec::new(), said)],
    }
}

fn is_table(item: &DataItem) -> bool {
    item.representation == Representation::Table
}

/// A variable of which only the place is known.
fn bare(item: &DataItem, path: Vec<Arc<Step>>) -> Variable {
    Variable {
        address: item.id.clone(),
        node: item.id.clone(),
        path,
        description: String::new(),
        data_type: Err(String::new()),
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

/// A device's components as steps.
struct Places<'d> {
    device: &'d Device,
    steps: Vec<Arc<Step>>,
    compositions: HashMap<&'d str, Arc<Step>>,
}

impl<'d> Places<'d> {
    fn of(device: &'d Device) -> Self {
        let spindles = spindles(device);
        let step = |(at, component): (usize, &Component)| {
            let name = if component.name.is_empty() { &component.kind } else { &component.name };
            let kind = named(&component.kind);
            let types = match spindles.contains(&at) {
                true => vec![named(SPINDLE), kind],
                false => vec![kind],
            };
            Arc::new(Step { name: named(name), types })
        };
        let all = device.components.iter().flat_map(|component| &component.compositions);
        let compositions = all.map(|one| {
            let name = if one.name.is_empty() { &one.kind } else { &one.name };
            let step = Step { name: named(name), types: vec![named(&one.kind)] };
            (one.id.as_str(), Arc::new(step))
        });
        Self {
            device,
            steps: device.components.iter().enumerate().map(step).collect(),
            compositions: compositions.filter(|(id, _)| !id.is_empty()).collect(),
        }
    }

    /// From the device to a data item.
    fn path(&self, item: &DataItem) -> Vec<Arc<Step>> {
        let mut path = Vec::new();
        let mut at = Some(item.component);
        // Parents come before children, so this ends.
        while let Some((here, step)) = at.and_then(|at| Some((at, self.steps.get(at)?))) {
            path.push(Arc::clone(step));
            at = self.device.components.get(here).and_then(|component| component.parent);
        }
        path.reverse();
        path.extend(self.compositions.get(item.composition_id.as_str()).cloned());
        let name = match item.name.as_str() {
            "" => [item.kind.as_str(), &item.sub_type].join(" ").trim().to_owned(),
            name => name.to_owned(),
        };
        path.push(Arc::new(Step { name: named(&name), types: vec![named(&type_of(item))] }));
        path
    }
}

/// The rotary components that turn as spindles: by their speed or their mode.
fn spindles(device: &Device) -> HashSet<usize> {
    let tells = |item: &&DataItem| match item.kind.as_str() {
        "ROTARY_VELOCITY" | "SPINDLE_SPEED" => item.category == Category::Sample,
        "ROTARY_MODE" => item.constraints.values.iter().any(|mode| mode == "SPINDLE"),
        _ => false,
    };
    let is_rotary = |at: &usize| device.components.get(*at).is_some_and(|c| c.kind == "Rotary");
    device.data_items.iter().filter(tells).map(|item| item.component).filter(is_rotary).collect()
}

fn named(name: &str) -> Name {
    Name { namespace: MTCONNECT.to_owned(), name: name.to_owned() }
}

/// A data item's type with all that makes it another: `POSITION.ACTUAL`, `LOAD@AVERAGE`,
/// `LOAD#CONDITION`.
fn type_of(item: &DataItem) -> String {
    let mut name = item.kind.clone();
    for (mark, text) in [('.', &item.sub_type), ('@', &item.statistic)] {
        if !text.is_empty() {
            name.push(mark);
            name += text;
        }
    }
    let form = match (item.category, item.representation) {
        (Category::Condition, _) => "CONDITION",
        (_, Representation::Value | Representation::Discrete) => return name,
        (_, representation) => representation.name(),
    };
    name + "#" + form
}

#[cfg(test)]
mod tests;
