//! Which points a data item feeds, after the agent's device model.

use std::collections::HashMap;
use std::sync::Arc;

use resonance_plant::DataType;
use resonance_wire::mtconnect::{Category, DataItem, Devices, Representation};

use crate::sources::SourcePoint;

/// Points by data item.
#[derive(Debug, Default)]
pub(super) struct Layout {
    by_id: HashMap<Box<str>, Vec<Target>>,
    /// Points that this agent cannot feed, and why.
    pub(super) refused: Vec<(usize, Refusal)>,
}

/// Why an agent cannot feed a point.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Refusal {
    /// There is no such data item; the message says which is near.
    Unknown(String),
    /// Its values are of another kind; the message says how to ask.
    Unfit(String),
}

/// A point that a data item feeds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Target {
    /// The place in the source's points.
    pub(super) index: usize,
    pub(super) data_type: DataType,
    /// Words for the values 0, 1, 2 and so on.
    pub(super) labels: Arc<[Arc<str>]>,
    pub(super) part: Part,
}

/// Which part of a data item's value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    Whole,
    Entry(Box<str>),
    Cell(Box<str>, Box<str>),
}

impl Layout {
    pub(super) fn new(model: &Devices, points: &[SourcePoint]) -> Self {
        let items: HashMap<&str, &DataItem> =
            model.data_items().map(|(_, item)| (item.id.as_str(), item)).collect();
        let mut layout = Self::default();
        for (index, point) in points.iter().enumerate() {
            let (id, part) = parts(&point.address);
            let Some(item) = items.get(id) else {
                layout.refused.push((index, Refusal::Unknown(unknown(model, id))));
                continue;
            };
            match unfit(item, &part, point.data_type) {
                Some(why) => layout.refused.push((index, Refusal::Unfit(why))),
                None => {
                    let labels = Arc::clone(&point.labels);
                    let target = Target { index, data_type: point.data_type, labels, part };
                    layout.by_id.entry(id.into()).or_default().push(target);
                }
            }
        }
        layout
    }

    /// The points that a data item feeds.
    #[inline]
    pub(super) fn targets(&self, id: &str) -> &[Target] {
        self.by_id.get(id).map_or(&[], Vec::as_slice)
    }
}

/// `id`, `id#key` or `id#row#column`: no id has a `#`.
fn parts(address: &str) -> (&str, Part) {
    let mut steps = address.splitn(3, '#');
    let id = steps.next().unwrap_or_default();
    match (steps.next(), steps.next()) {
        (None, _) => (id, Part::Whole),
        (Some(key), None) => (id, Part::Entry(key.into())),
        (Some(row), Some(column)) => (id, Part::Cell(row.into(), column.into())),
    }
}

fn unknown(model: &Devices, id: &str) -> String {
    let named = model.data_items().find(|(_, item)| !item.name.is_empty() && item.name == id);
    if let Some((_, item)) = named {
        return format!("the agent has a data item of this name; its id is {:?}", item.id);
    }
    let wanted = id.to_lowercase();
    // One edit in three characters, at least one.
    let edits_max = (wanted.chars().count() / 3).max(1);
    let near = model
        .data_items()
        .map(|(_, item)| (strsim::osa_distance(&wanted, &item.id.to_lowercase()), &item.id))
        .filter(|(edits, _)| *edits <= edits_max)
        .min();
    let count = model.data_items().count();
    match near {
        Some((_, near)) => format!("the agent has no such data item; {near:?} is near"),
        None => format!("the agent has no such data item among its {count}; see its /probe"),
    }
}

/// Why a data item cannot feed a point of this type; `None`: it can, as far as the model tells.
fn unfit(item: &DataItem, part: &Part, declared: DataType) -> Option<String> {
    let id = &item.id;
    let kind = item.representation.name();
    match (item.representation, part) {
        (Representation::TimeSeries, Part::Whole) if declared != DataType::Float64Array => {
            Some(format!(
                "it is a TIME_SERIES; the point's type must be float64_array, not {}",
                declared.name()
            ))
        }
        (Representation::DataSet, Part::Entry(_)) | (Representation::Table, Part::Cell(..)) => None,
        (Representation::DataSet, _) => {
            Some(format!("it is a DATA_SET; address one entry as {id}#key"))
        }
        (Representation::Table, _) => {
            Some(format!("it is a TABLE; address one cell as {id}#row#column"))
        }
        (_, Part::Entry(_) | Part::Cell(..)) => {
            Some(format!("it is a {kind} without entries; address it as {id}"))
        }
        (_, Part::Whole) if item.category == Category::Condition => {
            let fits = declared.is_numeric() || declared == DataType::String;
            let text = "it is a condition; the point's type must be a number, boolean or string";
            (!fits).then(|| text.to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use resonance_plant::PointIndex;
    use resonance_wire::mtconnect::{Device, Header, Version};

    use super::*;

    fn item(id: &str, representation: Representation, category: Category) -> DataItem {
        let name = format!("name of {id}");
        DataItem { id: id.into(), name, representation, category, ..DataItem::default() }
    }

    fn refused(address: &str, data_type: DataType) -> Option<Refusal> {
        let data_items = vec![
            item("x_pos", Representation::Value, Category::Sample),
            item("vib", Representation::TimeSeries, Category::Sample),
            item("vars", Representation::DataSet, Category::Event),
            item("offsets", Representation::Table, Category::Event),
            item("temp", Representation::Value, Category::Condition),
        ];
        let header = Header {
            version: Version { major: 2, minor: 7 },
            agent_version: String::new(),
            sender: String::new(),
            instance_id: 1,
            creation_time: None,
            buffer_size: 1,
            is_test: false,
            sequences: None,
        };
        let model = Devices { header, devices: vec![Device { data_items, ..Device::default() }] };
        let point = SourcePoint {
            point: PointIndex(0),
            path: "mill.p".into(),
            address: address.into(),
            data_type,
            labels: Arc::default(),
            sampling_ms: None,
            deadband: None,
        };
        let layout = Layout::new(&model, &[point]);
        let id = parts(address).0;
        assert_eq!(layout.targets(id).len() + layout.refused.len(), 1);
        layout.refused.into_iter().next().map(|(_, refusal)| refusal)
    }

    #[test]
    fn points_find_their_data_items_or_are_told_the_nearest() {
        use DataType as T;
        for (address, data_type) in [
            ("x_pos", T::Float64),
            ("vib", T::Float64Array),
            ("vars#R1", T::Float64),
            ("offsets#T1#LENGTH", T::Float64),
            ("temp", T::Int32),
            ("temp", T::String),
        ] {
            assert_eq!(refused(address, data_type), None, "{address}");
        }
        for (address, data_type, says) in [
            ("x_poss", T::Float64, "\"x_pos\" is near"),
            ("name of vib", T::Float64, "its id is \"vib\""),
            ("spindle", T::Float64, "among its 5"),
            ("vib", T::Float64, "must be float64_array"),
            ("vars", T::String, "vars#key"),
            ("offsets#T1", T::String, "offsets#row#column"),
            ("x_pos#R1", T::Float64, "address it as x_pos"),
            ("temp", T::Bytes, "condition"),
        ] {
            let refusal = refused(address, data_type);
            let (Some(Refusal::Unknown(text)) | Some(Refusal::Unfit(text))) = &refusal else {
                panic!("{address} was accepted");
            };
            assert!(text.contains(says), "{text}");
        }
    }
}
