//! What a machine has that a plant file has not, and the other way round.

use std::collections::{HashMap, HashSet};
use std::fmt;

use resonance_gateway::sources::survey::{Survey, Variable};
use serde::Serialize;
use toml::{Table, Value};

use super::browse_path;

/// The differences.
pub(crate) struct Changes {
    pub(crate) lines: Vec<Change>,
}

/// One difference.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub(crate) enum Change {
    /// The machine has a variable that is no point of the file.
    New { address: String, browse_path: String },
    /// The machine has a point's node no more.
    Vanished { point: String, address: String },
    /// The machine says otherwise.
    Differs { point: String, key: &'static str, file: String, machine: String },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New { address, browse_path } => write!(f, "+ {browse_path}  {address}"),
            Self::Vanished { point, address } => write!(f, "- {point}  {address}"),
            Self::Differs { point, key, file, machine } => {
                write!(f, "~ {point}  {key}: {file} in the file, {machine} in the machine")
            }
        }
    }
}

/// A URL without what makes no difference at its end.
fn bare(url: &str) -> &str {
    url.trim_end_matches('/')
}

/// Compares the points of the sources at the surveyed address with its variables.
pub(crate) fn changes(plant: &Table, survey: &Survey) -> Changes {
    let by_address: HashMap<&str, &Variable> = survey
        .variables
        .iter()
        .flat_map(|variable| [(&*variable.address, variable), (&*variable.node, variable)])
        .collect();
    let sources: HashSet<&str> = tables(plant, "source")
        .filter(|source| text(source, "url").is_some_and(|url| bare(url) == bare(&survey.url)))
        .filter_map(|source| text(source, "id"))
        .collect();
    let mut lines = Vec::new();
    let mut known = HashSet::new();
    for asset in tables(plant, "asset") {
        for point in tables(asset, "point") {
            let source = text(point, "source").or_else(|| text(asset, "source"));
            let Some(address) = text(point, "address") else { continue };
            if !source.is_some_and(|source| sources.contains(source)) {
                continue;
            }
            let id = text(asset, "id").unwrap_or_default();
            let path = format!("{id}.{}", text(point, "name").unwrap_or_default());
            match by_address.get(address) {
                None => {
                    lines.push(Change::Vanished { point: path, address: address.to_owned() });
                }
                Some(variable) => {
                    known.insert(&*variable.address);
                    differences(&mut lines, &path, point, variable);
                }
            }
        }
    }
    let unknown = survey
        .variables
        .iter()
        .filter(|variable| variable.data_type.is_ok() && !known.contains(&*variable.address));
    lines.extend(unknown.map(|variable| Change::New {
        address: variable.address.clone(),
        browse_path: browse_path(variable),
    }));
    Changes { lines }
}

fn differences(lines: &mut Vec<Change>, path: &str, point: &Table, variable: &Variable) {
    let mut differs = |key, file: String, machine: String| {
        if file != machine {
            lines.push(Change::Differs { point: path.to_owned(), key, file, machine });
        }
    };
    if let (Some(file), Ok(machine)) = (text(point, "type"), &variable.data_type) {
        differs("type", file.to_owned(), machine.name().to_owned());
    }
    if let (Some(file), Some(unit)) =
        (text(point, "unit"), variable.unit.as_ref().and_then(|told| told.unit))
    {
        differs("unit", file.to_owned(), unit.code().to_owned());
    }
    if let (Some(Value::Array(file)), Some(range)) = (point.get("range"), variable.range) {
        let numbers: Vec<f64> = file.iter().filter_map(number).collect();
        differs("range", format!("{numbers:?}"), format!("{:?}", [range.low, range.high]));
    }
    if let Some(Value::Array(file)) = point.get("labels")
        && !variable.labels.is_empty()
    {
        let labels: Vec<&str> = file.iter().filter_map(Value::as_str).collect();
        differs("labels", format!("{labels:?}"), format!("{:?}", variable.labels));
    }
}

fn number(value: &Value) -> Option<f64> {
    value.as_float().or_else(|| value.as_integer().map(|number| number as f64))
}

fn tables<'t>(table: &'t Table, key: &str) -> impl Iterator<Item = &'t Table> {
    let list = table.get(key).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    list.iter().filter_map(Value::as_table)
}

fn text<'t>(table: &'t Table, key: &str) -> Option<&'t str> {
    table.get(key).and_then(Value::as_str)
}
