//! A result as a flat list of named values: every object carries the same ones.

use std::fmt::Write;

use resonance_plant::Status;
use serde_json::Value;

use super::{Answer, Element, Output};

/// A named value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Property<'a> {
    pub(super) id: String,
    /// Absent: there is none, and the status says why.
    pub(super) value: Option<String>,
    /// One of B2MML's data types.
    pub(super) data_type: &'static str,
    /// UNECE Recommendation 20.
    pub(super) unit: Option<&'a str>,
    pub(super) semantic_id: Option<&'a str>,
}

impl<'a> Property<'a> {
    fn new(id: impl Into<String>, value: impl Into<String>, data_type: &'static str) -> Self {
        let value = Some(value.into());
        Self { id: id.into(), value, data_type, unit: None, semantic_id: None }
    }

    fn in_unit(mut self, unit: Option<&'a str>) -> Self {
        self.unit = unit;
        self
    }

    /// B2MML's ValueType; `None` where there is no value.
    pub(super) fn to_value(&self) -> Option<Element> {
        let mut parts = vec![Element::leaf("ValueString", self.value.clone()?)];
        parts.push(Element::leaf("DataType", self.data_type));
        parts.extend(self.unit.map(|unit| Element::leaf("UnitOfMeasure", unit)));
        Some(Element::parent("Value", parts))
    }
}

/// Every field of a result that is not an element of its object already: outputs first.
pub(super) fn of<'a>(answer: &'a Answer<'a>) -> Vec<Property<'a>> {
    let mut all = Vec::with_capacity(answer.outputs.len() * 8 + 29);
    for output in &answer.outputs {
        of_output(output, &mut all);
    }
    status("result", answer.status, &mut all);
    status("result.input", answer.window.worst_status, &mut all);
    let model = &answer.model;
    for (id, text) in [
        ("result.deployment", &answer.deployment),
        ("result.model", &model.name),
        ("result.model_version", &model.version),
        ("result.model_digest", &model.digest),
        ("result.engine", &model.engine),
        ("result.trained_on", &model.trained_on),
    ] {
        all.push(Property::new(id, &**text, "string"));
    }
    for (id, text) in [
        ("result.equipment_id", &answer.equipment_id),
        ("result.physical_asset_id", &answer.physical_asset_id),
        ("result.part_id", &answer.part_id),
    ] {
        all.extend(text.as_ref().map(|text| Property::new(id, &**text, "string")));
    }
    let category = answer.category.name();
    all.push(Property::new("result.category", category, "string"));
    if let Some(fallback) = &model.fallback {
        all.push(Property::new("result.fallback", &**fallback, "string"));
    }
    let sequence = answer.sequence.to_string();
    all.push(Property::new("result.sequence", sequence, "unsignedLong"));
    for (id, instant) in [
        ("result.window_from", &answer.window.from),
        ("result.window_to", &answer.window.to),
        ("result.source_time", &answer.source_time),
        ("result.computed_at", &answer.computed_at),
        ("result.valid_until", &answer.valid_until),
    ] {
        all.push(Property::new(id, &**instant, "dateTime"));
    }
    let samples = answer.window.samples.to_string();
    all.push(Property::new("result.window_samples", samples, "unsignedInt"));
    let points = serde_json::json!(answer.window.points).to_string();
    all.push(Property::new("result.window_points", points, "string"));
    let latency = answer.latency;
    for (id, us) in [
        ("result.inference_us", latency.inference_us),
        ("result.total_us", latency.total_us),
        ("result.budget_us", latency.budget_us),
    ] {
        // B98: microsecond.
        all.push(Property::new(id, us.to_string(), "unsignedInt").in_unit(Some("B98")));
    }
    all.push(Property::new("result.backfilled", answer.backfilled.to_string(), "boolean"));
    all
}

fn of_output<'a>(output: &'a Output<'a>, all: &mut Vec<Property<'a>>) {
    let unit = output.unit.as_deref();
    let name = &*output.name;
    let (value, data_type) = text(&output.value);
    all.push(Property {
        id: name.to_owned(),
        value,
        data_type,
        unit,
        semantic_id: output.semantic_id.as_deref(),
    });
    if let Some(label) = &output.label {
        all.push(Property::new(format!("{name}.label"), &**label, "string"));
    }
    if let Some(id) = &output.semantic_id {
        all.push(Property::new(format!("{name}.semantic_id"), &**id, "string"));
    }
    if let Some(interval) = &output.uncertainty {
        for (end, value, unit) in [
            ("low", interval.low, unit),
            ("high", interval.high, unit),
            ("coverage", interval.coverage, None),
        ] {
            if let Some(value) = value {
                let property = Property::new(format!("{name}.{end}"), double(value), "double");
                all.push(property.in_unit(unit));
            }
        }
    }
    status(name, output.status, all);
}

fn status(of: &str, status: Status, all: &mut Vec<Property<'_>>) {
    all.push(Property::new(format!("{of}.status"), status.to_string(), "string"));
    all.push(Property::new(format!("{of}.status_code"), status.0.to_string(), "unsignedInt"));
}

/// A value as text, with its data type. Arrays are JSON.
fn text(value: &Value) -> (Option<String>, &'static str) {
    match value {
        Value::Null => (None, "double"),
        Value::Bool(value) => (Some(value.to_string()), "boolean"),
        Value::Number(number) if number.is_f64() => (number.as_f64().map(double), "double"),
        Value::Number(number) => (Some(number.to_string()), "integer"),
        Value::String(text) => (Some(text.clone()), "string"),
        Value::Array(_) | Value::Object(_) => (Some(value.to_string()), "string"),
    }
}

/// The shortest digits that read back as the same number.
fn double(value: f64) -> String {
    serde_json::json!(value).to_string()
}

/// One sentence for people: what was found and by which model.
pub(super) fn sentence(answer: &Answer<'_>) -> String {
    let mut text = String::new();
    for output in &answer.outputs {
        let value = output.label.as_deref().map_or_else(|| display(output), str::to_owned);
        // Writing to a String does not fail.
        let _ = write!(text, "{} {value}, ", output.name);
    }
    let model = &answer.model;
    let _ = write!(
        text,
        "says {} {} (trained on {}) about ",
        model.name, model.version, model.trained_on
    );
    if let Some(part) = &answer.part_id {
        let _ = write!(text, "part {part} of ");
    }
    let _ = write!(text, "{}; {}", answer.asset, answer.status);
    text
}

fn display(output: &Output<'_>) -> String {
    let value = self::text(&output.value).0.unwrap_or_else(|| "without a value".into());
    match &output.unit {
        Some(unit) => format!("{value} {unit}"),
        None => value,
    }
}

/// Where in the role-based hierarchy of equipment: the asset. Its level is the plant's own
/// matter, so it is not guessed.
pub(super) fn scope(answer: &Answer<'_>) -> Element {
    Element::parent(
        "HierarchyScope",
        vec![
            Element::leaf("EquipmentID", &*answer.asset),
            Element::leaf("EquipmentLevel", "Other").with("OtherValue", "asset"),
        ],
    )
}
