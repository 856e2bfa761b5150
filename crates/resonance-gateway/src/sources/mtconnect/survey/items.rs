//! What a data item's values are: by its model, and by what it says now.

use std::collections::HashMap;

use resonance_plant::{DataType, Interpolation, Range, SemanticId, Status, Value};
use resonance_wire::mtconnect::{
    Category, Content, DataItem, EventForm, Level, Limits, Observation, Reading, Representation,
    Streams, WireError, event_form, unit,
};

use crate::sources::mtconnect::values::UNAVAILABLE;
use crate::sources::survey::{UnitTold, Variable};
use crate::sources::text;

/// What a condition's levels are called, from 0 on.
const LEVELS: [&str; 3] = ["normal", "warning", "fault"];

/// What is said now.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    Unavailable,
    Text(String),
    /// The worst that is active, as a number.
    Level(u8),
    /// Entries of a data set by key, cells of a table by row and column.
    Entries(Vec<(Vec<String>, Said)>),
}

/// What each data item says now, by its id.
#[derive(Debug, Default)]
pub(super) struct Latest(HashMap<String, Said>);

impl Latest {
    pub(super) fn read(document: &[u8], limits: Limits) -> Result<Self, WireError> {
        let mut streams = Streams::open(document, limits)?;
        let mut latest = Self::default();
        while let Some(observation) = streams.next_observation()? {
            latest.take(&observation);
        }
        Ok(latest)
    }

    pub(super) fn of(&self, id: &str) -> Option<&Said> {
        self.0.get(id)
    }

    fn take(&mut self, observation: &Observation<'_>) {
        let said = match &observation.reading {
            Reading::Unavailable => Said::Unavailable,
            Reading::Text(text) => Said::Text(text.trim().to_owned()),
            Reading::Series(series) => Said::Text(series.text.trim().to_owned()),
            Reading::Condition(activation) => match activation.level {
                Level::Unavailable => Said::Unavailable,
                Level::Normal => Said::Level(0),
                Level::Warning => Said::Level(1),
                Level::Fault => Said::Level(2),
            },
            Reading::Entries(entries) => {
                let mut parts = Vec::new();
                for entry in entries.iter().filter(|entry| !entry.removed) {
                    let key = || entry.key.clone().into_owned();
                    match &entry.content {
                        Content::Text(text) => {
                            parts.push((vec![key()], Said::Text(text.trim().to_owned())));
                        }
                        Content::Cells(cells) => parts.extend(cells.iter().map(|cell| {
                            let keys = vec![key(), cell.key.clone().into_owned()];
                            (keys, Said::Text(cell.text.trim().to_owned()))
                        })),
                    }
                }
                Said::Entries(parts)
            }
        };
        let before = self.0.entry(observation.data_item_id.clone().into_owned());
        let before = before.or_insert(Said::Unavailable);
        // Of several activations of a condition the worst counts.
        match (&*before, &said) {
            (Said::Level(worst), Said::Level(level)) if worst >= level => {}
            _ => *before = said,
        }
    }
}

/// Says of a variable what the model and the value at the moment tell.
pub(super) fn fill(
    variable: &mut Variable,
    item: &DataItem,
    keys: &[&str],
    said: Option<&Said>,
    warnings: &mut Vec<String>,
) {
    let text = match said {
        Some(Said::Text(text)) => Some(text.as_str()),
        _ => None,
    };
    if let Some(why) = unaddressable(&item.id, keys) {
        variable.data_type = Err(why.to_owned());
        return;
    }
    let form = form(item, keys, text);
    match SemanticId::parse(&item.definition) {
        Ok(_) if keys.is_empty() => variable.meanings.push(item.definition.clone()),
        Ok(_) => {}
        Err(_) => variable.description.clone_from(&item.definition),
    }
    variable.data_type = Ok(form.data_type);
    variable.interpolation = form.interpolation;
    let is_number = form.labels.is_empty() && form.data_type != DataType::String;
    variable.labels = form.labels;
    if is_number && item.category != Category::Condition {
        variable.unit = unit_of(item, variable, warnings);
        variable.range = match (item.constraints.minimum, item.constraints.maximum) {
            (Some(low), Some(high)) if low < high => Some(Range { low, high }),
            _ => None,
        };
    }
    match said {
        Some(Said::Level(level)) => variable.value = Some(Value::Uint(u64::from(*level))),
        Some(Said::Text(text)) => match number_of(text, variable, form.data_type) {
            Some(value) => variable.value = Some(value),
            None => warnings.push(format!(
                "{} says {:?} now, which is no {}",
                shown(variable),
                text.chars().take(64).collect::<String>(),
                form.data_type.name()
            )),
        },
        _ => variable.status = UNAVAILABLE,
    }
    if variable.value.is_none() && variable.status == Status::GOOD {
        variable.status = Status::BAD_TYPE_MISMATCH;
    }
}

/// Why no address names it.
fn unaddressable(id: &str, keys: &[&str]) -> Option<&'static str> {
    let is_id = !id.contains(|c: char| c.is_whitespace() || c.is_control() || c == '#')
        && !id.starts_with("ns=")
        && !id.starts_with("nsu=");
    // The last key may contain anything, since nothing follows it.
    let rest = keys.split_last().map_or(&[][..], |(_, rest)| rest);
    let are_keys = keys.iter().all(|key| !key.is_empty() && !key.contains(char::is_control))
        && !rest.iter().any(|key| key.contains('#'))
        && (keys.len() != 1 || !keys.iter().any(|key| key.contains('#')));
    match (is_id, are_keys) {
        (false, _) => Some("its id has spaces or a #, so no address can name it"),
        (_, false) => Some("its key is empty or has a #, so no address can name it"),
        _ => None,
    }
}

/// How values are carried.
struct Form {
    data_type: DataType,
    interpolation: Option<Interpolation>,
    labels: Vec<String>,
}

impl Form {
    fn of(data_type: DataType) -> Self {
        Self { data_type, interpolation: None, labels: Vec::new() }
    }

    fn steps(data_type: DataType) -> Self {
        Self { interpolation: Some(Interpolation::Step), ..Self::of(data_type) }
    }

    fn states(data_type: DataType, labels: Vec<String>) -> Self {
        Self { data_type, interpolation: Some(Interpolation::Category), labels }
    }
}

fn form(item: &DataItem, keys: &[&str], said: Option<&str>) -> Form {
    if item.category == Category::Condition {
        return Form::states(DataType::Uint8, LEVELS.map(str::to_owned).into());
    }
    if item.representation == Representation::TimeSeries || item.units.ends_with("_3D") {
        return Form::of(DataType::Float64Array);
    }
    let is_number = |text: &str| text::parse(text, DataType::Float64).is_ok();
    if !keys.is_empty() {
        // Nothing but the value tells what entries and cells are.
        return match said.is_some_and(is_number) {
            true => Form::steps(DataType::Float64),
            false => Form::steps(DataType::String),
        };
    }
    if item.category == Category::Sample {
        return Form::of(DataType::Float64);
    }
    let words = match event_form(&item.kind) {
        _ if !item.constraints.values.is_empty() => item.constraints.values.clone(),
        EventForm::Words(words) => words.iter().map(|word| (*word).to_owned()).collect(),
        other => {
            let data_type = match other {
                EventForm::Number => DataType::Float64,
                EventForm::Count => DataType::Int64,
                EventForm::Time => DataType::Datetime,
                _ if !item.units.is_empty() => DataType::Float64,
                _ => DataType::String,
            };
            // What is said counts for more than what the type should be.
            let fits = said.is_none_or(|text| text::parse(text, data_type).is_ok());
            return Form::steps(if fits { data_type } else { DataType::String });
        }
    };
    match said.is_none_or(|text| words.iter().any(|word| word == text)) {
        true => Form::states(DataType::Int32, words),
        false => Form::steps(DataType::String),
    }
}

/// A text as a value: one of the labels, or what the type says.
fn number_of(text: &str, variable: &Variable, data_type: DataType) -> Option<Value> {
    match variable.labels.iter().position(|label| label == text) {
        Some(at) => Some(Value::Int(i64::try_from(at).ok()?)),
        None => text::parse(text, data_type).ok(),
    }
}

fn unit_of(item: &DataItem, variable: &Variable, warnings: &mut Vec<String>) -> Option<UnitTold> {
    let told = match item.units.as_str() {
        // Overrides are percentages, said or not (Part 2).
        "" if item.kind.ends_with("_OVERRIDE") => "PERCENT",
        "" => return None,
        told => told,
    };
    let found = unit(told.strip_suffix("_3D").unwrap_or(told));
    let native = unit(&item.native_units);
    if let (Some(found), Some(native)) = (found, native)
        && !native.measures(found.quantity())
    {
        warnings.push(format!(
            "{}: nativeUnits {} cannot be converted into units {told}: check both",
            shown(variable),
            item.native_units
        ));
    }
    Some(UnitTold { unit: found, told: told.into() })
}

fn shown(variable: &Variable) -> String {
    let names: Vec<&str> = variable.path.iter().map(|step| step.name.name.as_str()).collect();
    names.join("/")
}
