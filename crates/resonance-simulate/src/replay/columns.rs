//! Columns as they are served, and fields as values.

use std::path::Path;
use std::sync::Arc;

use resonance_plant::{DataType, Range, Status, Timestamp, Value};
use serde::Deserialize;

use super::sidecar::is_whole;
use super::{ColumnEntry, ReplayError, Sidecar};
use crate::machine::Channel;

/// What is served for a field that is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// No value, with status BadNoData.
    #[default]
    BadNoData,
    /// The value before it: the recorder only wrote changes.
    Hold,
}

/// A column that is served.
#[derive(Clone, Debug)]
pub(super) struct Column {
    /// Its place in a row.
    pub(super) place: usize,
    pub(super) channel: Channel,
}

impl Column {
    /// The columns in the order of the sidecar.
    pub(super) fn all(
        file: &Path,
        sidecar: &Sidecar,
        header: Option<&[String]>,
        notices: &mut Vec<String>,
    ) -> Result<Vec<Self>, ReplayError> {
        let refused = |problem| ReplayError::Table { path: file.to_owned(), problem };
        let mut columns = Vec::with_capacity(sidecar.columns.len());
        for entry in &sidecar.columns {
            let place = sidecar.place(header, &entry.name).ok_or_else(|| {
                let known = header.unwrap_or_default().join(", ");
                refused(format!(
                    "the sidecar describes a column {:?} that the header does not have; it has: \
                     {known}",
                    entry.name
                ))
            })?;
            let is_time = sidecar.time_column.as_deref() == Some(&entry.name);
            let path = entry.point.as_deref().unwrap_or(&entry.name);
            // A time column is served only where the sidecar gives it a point.
            let is_served = entry.point.is_some() || !is_time;
            if is_served && !path.is_empty() {
                columns.push(Self { place, channel: channel(entry, path) });
            }
        }
        let left_out: Vec<&str> = header
            .unwrap_or_default()
            .iter()
            .filter(|name| sidecar.columns.iter().all(|column| &column.name != *name))
            .map(String::as_str)
            .collect();
        if !left_out.is_empty() {
            notices.push(format!(
                "{}: columns the sidecar does not describe are left out: {}",
                file.display(),
                left_out.join(", ")
            ));
        }
        Ok(columns)
    }

    /// A field as a value. `Ok(None)`: the field is empty.
    pub(super) fn value(&self, field: &str) -> Result<Option<Value>, String> {
        let field = field.trim();
        if field.is_empty() {
            return Ok(None);
        }
        let data_type = self.channel.data_type;
        let not_one = || format!("{field:?} is not of type {}", data_type.name());
        let value = match data_type {
            DataType::Float64 | DataType::Float32 => {
                Value::Float(field.parse().map_err(|_| not_one())?)
            }
            DataType::Boolean => Value::Boolean(boolean(field).ok_or_else(not_one)?),
            DataType::Datetime => Value::Time(Timestamp::parse_rfc3339(field).ok_or_else(not_one)?),
            DataType::String => Value::Text(field.into()),
            whole if is_whole(whole) => self.whole(field)?,
            _ => return Err(not_one()),
        };
        Ok(Some(value))
    }

    fn whole(&self, field: &str) -> Result<Value, String> {
        let data_type = self.channel.data_type;
        let labels = &self.channel.labels;
        if let Some(state) = labels.iter().position(|label| &**label == field) {
            return Ok(Value::Int(state as i64));
        }
        let number = field
            .parse::<i128>()
            .ok()
            .or_else(|| field.parse::<f64>().ok().filter(|x| x.fract() == 0.0).map(|x| x as i128))
            .ok_or_else(|| {
                if labels.is_empty() {
                    format!("{field:?} is not of type {}", data_type.name())
                } else {
                    format!("{field:?} is none of the labels: {}", labels.join(", "))
                }
            })?;
        let (low, high) = bounds(data_type);
        if !(low..=high).contains(&number) {
            return Err(format!("{number} does not fit type {}", data_type.name()));
        }
        // Within the bounds of its type a number fits one of the two.
        Ok(i64::try_from(number).map_or(Value::Uint(number as u64), Value::Int))
    }
}

/// The status that goes with a field that could not be read.
pub(super) const UNREADABLE: Status = Status::BAD_TYPE_MISMATCH;

fn channel(entry: &ColumnEntry, path: &str) -> Channel {
    let (component, name) = path.rsplit_once('.').unwrap_or(("", path));
    Channel {
        quantity: entry.quantity.or(entry.unit.map(|unit| unit.quantity())),
        unit: entry.unit,
        range: entry.range.map(|[low, high]| Range { low, high }),
        interpolation: entry.interpolation.unwrap_or_default(),
        semantic_id: entry.semantic_id.clone(),
        qualifier: entry.qualifier.as_str().into(),
        labels: entry.labels.iter().map(|label| Arc::from(label.as_str())).collect(),
        description: entry.description.as_str().into(),
        ..Channel::plain(component, name, entry.data_type)
    }
}

fn boolean(field: &str) -> Option<bool> {
    match field {
        "1" | "true" | "True" | "TRUE" => Some(true),
        "0" | "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

fn bounds(data_type: DataType) -> (i128, i128) {
    match data_type {
        DataType::Int8 => (i8::MIN.into(), i8::MAX.into()),
        DataType::Uint8 => (0, u8::MAX.into()),
        DataType::Int16 => (i16::MIN.into(), i16::MAX.into()),
        DataType::Uint16 => (0, u16::MAX.into()),
        DataType::Int32 => (i32::MIN.into(), i32::MAX.into()),
        DataType::Uint32 => (0, u32::MAX.into()),
        DataType::Uint64 => (0, u64::MAX.into()),
        _ => (i64::MIN.into(), i64::MAX.into()),
    }
}
