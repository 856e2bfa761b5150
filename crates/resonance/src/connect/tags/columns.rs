//! The columns of a list: what they are called, and what a proposal writes into them.

use super::sheet::{Row, Sheet};
use super::{TagError, TagList};
use crate::config::nearest;
use crate::connect::{Asset, Point, Proposal};

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Column {
    Asset,
    Class,
    Point,
    Address,
    Type,
    Interpolation,
    Quantity,
    Unit,
    Low,
    High,
    Labels,
    SemanticId,
    Qualifier,
    Description,
    Path,
    Reason,
    Candidates,
}

impl Column {
    pub(super) const ALL: [Self; 17] = [
        Self::Asset,
        Self::Class,
        Self::Point,
        Self::Address,
        Self::Type,
        Self::Interpolation,
        Self::Quantity,
        Self::Unit,
        Self::Low,
        Self::High,
        Self::Labels,
        Self::SemanticId,
        Self::Qualifier,
        Self::Description,
        Self::Path,
        Self::Reason,
        Self::Candidates,
    ];

    /// The name in the first row.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Asset => "asset",
            Self::Class => "class",
            Self::Point => "point",
            Self::Address => "address",
            Self::Type => "type",
            Self::Interpolation => "interpolation",
            Self::Quantity => "quantity",
            Self::Unit => "unit",
            Self::Low => "low",
            Self::High => "high",
            Self::Labels => "labels",
            Self::SemanticId => "semantic_id",
            Self::Qualifier => "qualifier",
            Self::Description => "description",
            Self::Path => "path",
            Self::Reason => "reason",
            Self::Candidates => "candidates",
        }
    }

    /// By its name, or by what other tools' lists call it.
    fn of(title: &str) -> Option<Self> {
        let title: String =
            title.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
        let own = Self::ALL.into_iter().find(|column| column.name().replace('_', "") == title);
        own.or(match title.as_str() {
            "machine" | "equipment" | "device" => Some(Self::Asset),
            "tag" | "tagname" | "name" | "symbol" | "variable" => Some(Self::Point),
            "nodeid" | "node" | "dataitem" | "dataitemid" => Some(Self::Address),
            "datatype" => Some(Self::Type),
            "units" | "engineeringunit" | "eu" | "uom" => Some(Self::Unit),
            "min" | "minimum" | "eulow" => Some(Self::Low),
            "max" | "maximum" | "euhigh" => Some(Self::High),
            "comment" => Some(Self::Description),
            "semanticid" | "irdi" => Some(Self::SemanticId),
            _ => None,
        })
    }
}

/// Which column each cell of a row is.
pub(super) struct Columns {
    pub(super) used: Vec<Option<Column>>,
    pub(super) warnings: Vec<String>,
}

pub(super) fn of_header(file: &str, sheet: &Sheet) -> Result<Columns, TagError> {
    let malformed = |problem: String| TagError::Malformed { file: file.to_owned(), problem };
    let mut columns = Columns { used: Vec::new(), warnings: Vec::new() };
    for title in &sheet.header {
        let column = Column::of(title);
        if let Some(column) = column
            && columns.used.contains(&Some(column))
        {
            let name = column.name();
            return Err(malformed(format!(
                "row 1: two columns are {name}, the second called {title:?}; remove one"
            )));
        }
        if column.is_none() && !title.trim().is_empty() {
            let near = nearest::nearest(title.trim(), Column::ALL.map(Column::name));
            let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            columns.warnings.push(format!("{file}: the column {title:?} is not used{near}"));
        }
        columns.used.push(column);
    }
    if !columns.used.contains(&Some(Column::Address)) {
        return Err(malformed(format!(
            "row 1: no column is called address; the first row names the columns: {}",
            Column::ALL.map(Column::name).join(", ")
        )));
    }
    Ok(columns)
}

/// The points of a proposal, one a row.
pub(super) fn sheet_of(proposal: &Proposal) -> Sheet {
    let header = Column::ALL.map(|column| column.name().to_owned()).into();
    let points = proposal
        .assets
        .iter()
        .flat_map(|asset| asset.points.iter().map(move |point| (asset, point)));
    let row = |(number, (asset, point)): (usize, (&Asset, &Point))| Row {
        number,
        cells: Column::ALL.map(|column| printable(&cell(column, asset, point))).into(),
    };
    Sheet { header, rows: (2..).zip(points).map(row).collect() }
}

fn cell(column: Column, asset: &Asset, point: &Point) -> String {
    let number = |bound: Option<f64>| bound.map(|bound| bound.to_string()).unwrap_or_default();
    match column {
        Column::Asset => asset.id.clone(),
        Column::Class => asset.class.map(|class| class.name().to_owned()).unwrap_or_default(),
        Column::Point => point.name.clone(),
        Column::Address => point.address.clone(),
        Column::Type => point.data_type.name().to_owned(),
        Column::Interpolation => {
            let name = serde_json::to_value(point.interpolation).unwrap_or_default();
            name.as_str().unwrap_or_default().to_owned()
        }
        Column::Quantity => {
            point.quantity.map(|quantity| quantity.name().to_owned()).unwrap_or_default()
        }
        Column::Unit => point.unit.map(|unit| unit.code().to_owned()).unwrap_or_default(),
        Column::Low => number(point.range.map(|range| range.low)),
        Column::High => number(point.range.map(|range| range.high)),
        Column::Labels => joined(&point.labels),
        Column::SemanticId => {
            point.semantic_id.as_ref().map(ToString::to_string).unwrap_or_default()
        }
        Column::Qualifier => point.qualifier.clone(),
        Column::Description => point.description.clone(),
        Column::Path => point.browse_path.clone(),
        Column::Reason => point.reason.clone(),
        Column::Candidates => {
            let all: Vec<String> = point.candidates.iter().map(ToString::to_string).collect();
            all.join(" ")
        }
    }
}

/// What no file of text can carry is shown as such.
fn printable(text: &str) -> String {
    let is_carried = |c: char| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}');
    text.chars().map(|c| if is_carried(c) { c } else { '\u{fffd}' }).collect()
}

/// Labels in one cell, `|` between them.
pub(super) fn joined(labels: &[String]) -> String {
    let escaped = |label: &String| label.replace('\\', r"\\").replace('|', r"\|");
    labels.iter().map(escaped).collect::<Vec<_>>().join("|")
}

/// The labels of a cell.
pub(super) fn split(cell: &str) -> Vec<String> {
    let mut labels = vec![String::new()];
    let mut letters = cell.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '|' => labels.push(String::new()),
            '\\' => labels.last_mut().into_iter().for_each(|last| last.extend(letters.next())),
            _ => labels.last_mut().into_iter().for_each(|last| last.push(letter)),
        }
    }
    labels.into_iter().map(|label| label.trim().to_owned()).collect()
}

impl TagList {
    /// Where a cell stands, for people.
    pub(super) fn place(&self, row: usize, column: Column) -> String {
        format!("{}: row {row}, {}", self.file, column.name())
    }
}
