//! The sidecar file: what a recording's columns are.

use std::path::Path;

use resonance_plant::{DataType, Interpolation, QuantityKind, SemanticId, Unit};
use serde::Deserialize;

use super::{Missing, ReplayError};

/// What a recording is. All keys but `[[column]]` have a default.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sidecar {
    /// The name of the machine: the first part of every node id.
    #[serde(default = "defaults::machine")]
    pub machine: String,
    /// For people.
    #[serde(default = "defaults::description")]
    pub description: String,
    /// Time between two rows, milliseconds, where no column tells the time.
    #[serde(default = "defaults::period_ms")]
    pub period_ms: f64,
    /// The column that tells when a row was recorded; the time between rows follows from it.
    #[serde(default)]
    pub time_column: Option<String>,
    /// What the time column holds.
    #[serde(default)]
    pub time_unit: TimeUnit,
    /// What stands between two fields.
    #[serde(default)]
    pub separator: Separator,
    /// Whether the first row names the columns. If not, `[[column]]` entries stand for the
    /// columns in their order.
    #[serde(default = "defaults::header")]
    pub header: bool,
    /// The column that tells groups of rows apart, such as the unit of a run-to-failure table.
    #[serde(default)]
    pub group: Option<String>,
    /// What is served for a field that is empty.
    #[serde(default)]
    pub missing: Missing,
    /// The columns. Those of a table with a header that are not listed are left out.
    #[serde(rename = "column")]
    pub columns: Vec<ColumnEntry>,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnEntry {
    /// The name in the header, or any name where there is none.
    pub name: String,
    /// Where it is served: `component.name`, components nested with further dots. Absent: its
    /// name. Empty: it is not served (for the columns of a table without header).
    #[serde(default)]
    pub point: Option<String>,
    /// What its values are.
    #[serde(default = "defaults::data_type", rename = "type")]
    pub data_type: DataType,
    /// What is measured. Absent: what the unit measures first of all.
    #[serde(default)]
    pub quantity: Option<QuantityKind>,
    /// The UNECE common code of its unit.
    #[serde(default)]
    pub unit: Option<Unit>,
    /// The least and the greatest value that is expected.
    #[serde(default)]
    pub range: Option<[f64; 2]>,
    /// How a value holds between two rows.
    #[serde(default)]
    pub interpolation: Option<Interpolation>,
    /// What it means: a URI or an IRDI.
    #[serde(default)]
    pub semantic_id: Option<SemanticId>,
    /// Which of several like components.
    #[serde(default)]
    pub qualifier: String,
    /// The names of its states 0, 1, 2, ...; with them a whole-number column may hold the names.
    #[serde(default)]
    pub labels: Vec<String>,
    /// For people.
    #[serde(default)]
    pub description: String,
}

/// What stands between two fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Separator {
    /// `,`
    #[default]
    Comma,
    /// `;`
    Semicolon,
    /// One tabulator.
    Tab,
    /// Any number of blanks and tabulators.
    Whitespace,
}

/// What a time column holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeUnit {
    /// Seconds from any beginning.
    #[default]
    Seconds,
    /// Milliseconds from any beginning.
    Milliseconds,
    /// Date and time as in RFC 3339.
    Rfc3339,
}

impl Sidecar {
    /// Reads a sidecar file.
    ///
    /// # Errors
    /// Names the file with the line, the column and what is wrong there.
    pub fn read(path: &Path) -> Result<Self, ReplayError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ReplayError::File { path: path.to_owned(), error })?;
        Self::parse(&text)
            .map_err(|problem| ReplayError::Sidecar { path: path.to_owned(), problem })
    }

    /// Reads a sidecar's text.
    ///
    /// # Errors
    /// Says what is wrong and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        let sidecar: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        sidecar.check()?;
        Ok(sidecar)
    }

    /// The place in a row of the column with this name.
    pub(super) fn place(&self, header: Option<&[String]>, name: &str) -> Option<usize> {
        match header {
            Some(names) => names.iter().position(|known| known == name),
            None => self.columns.iter().position(|column| column.name == name),
        }
    }

    fn check(&self) -> Result<(), String> {
        if !(self.period_ms > 0.0 && self.period_ms <= 86_400_000.0) {
            return Err(format!(
                "period_ms is {}; it must be above 0 and at most a day (86400000)",
                self.period_ms
            ));
        }
        for column in &self.columns {
            let refused = |problem: String| Err(format!("column {:?}: {problem}", column.name));
            if let (Some(unit), Some(kind)) = (column.unit, column.quantity)
                && !unit.measures(kind)
            {
                return refused(format!("unit {unit} does not measure {kind}"));
            }
            if let Some([low, high]) = column.range
                && !(low < high && low.is_finite() && high.is_finite())
            {
                return refused(format!("range [{low}, {high}] must rise"));
            }
            if matches!(column.data_type, DataType::Bytes | DataType::Float64Array) {
                let name = column.data_type.name();
                return refused(format!("type {name} has no form as one field of a row"));
            }
            if !column.labels.is_empty() && !is_whole(column.data_type) {
                return refused("labels need a whole-number type such as uint8".to_owned());
            }
        }
        for (at, column) in self.columns.iter().enumerate() {
            if self.columns.iter().skip(at + 1).any(|other| other.name == column.name) {
                return Err(format!("column {:?} is described twice", column.name));
            }
        }
        Ok(())
    }
}

pub(super) const fn is_whole(data_type: DataType) -> bool {
    matches!(
        data_type,
        DataType::Int8
            | DataType::Uint8
            | DataType::Int16
            | DataType::Uint16
            | DataType::Int32
            | DataType::Uint32
            | DataType::Int64
            | DataType::Uint64
    )
}

pub(super) mod defaults {
    use resonance_plant::DataType;

    pub(in crate::replay) fn machine() -> String {
        "Replay".to_owned()
    }
    pub(in crate::replay) fn description() -> String {
        "A recording replayed as a live machine".to_owned()
    }
    pub(in crate::replay) fn period_ms() -> f64 {
        1_000.0
    }
    pub(super) fn header() -> bool {
        true
    }
    pub(super) fn data_type() -> DataType {
        DataType::Float64
    }
}
