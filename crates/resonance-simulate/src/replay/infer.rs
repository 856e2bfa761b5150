//! What a table without a sidecar seems to be.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use resonance_plant::DataType;
use resonance_table::{ParquetRows, is_parquet};

use super::rows::split;
use super::sidecar::defaults;
use super::{ColumnEntry, Missing, ReplayError, Separator, Sidecar, TimeUnit};

/// Rows looked at, and bytes at most.
const ROWS_MAX: usize = 1_000;
const BYTES_MAX: u64 = 4 << 20;

/// Columns by what the first rows show: numbers are `float64`, everything else is `string`.
pub(super) fn sidecar(file: &Path) -> Result<Sidecar, ReplayError> {
    if is_parquet(file) {
        return parquet(file);
    }
    let failed = |error| ReplayError::File { path: file.to_owned(), error };
    let refused = |problem: String| ReplayError::Table { path: file.to_owned(), problem };
    let head = BufReader::new(File::open(file).map_err(failed)?.take(BYTES_MAX));
    let mut lines = Vec::new();
    for line in head.split(b'\n').take(ROWS_MAX) {
        let line = line.map_err(failed)?;
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_start_matches('\u{feff}').trim_end_matches('\r');
        if !text.trim().is_empty() {
            lines.push(text.to_owned());
        }
    }
    let first = lines.first().ok_or_else(|| refused("it is empty".to_owned()))?;
    let separator = separator_of(first);
    let mut names = Vec::new();
    split(first, separator, &mut names).map_err(|problem| refused(format!("line 1: {problem}")))?;
    let header = !names.iter().all(|name| is_number(name));
    if !header {
        names = (1..=names.len()).map(|column| format!("Column{column}")).collect();
    }
    let mut is_text = vec![false; names.len()];
    let mut fields = Vec::new();
    for line in lines.iter().skip(usize::from(header)) {
        // What is wrong with a row is said when it is replayed.
        if split(line, separator, &mut fields).is_ok() {
            for (text, field) in is_text.iter_mut().zip(&fields) {
                *text |= !field.is_empty() && !is_number(field);
            }
        }
    }
    let type_of = |is_text| if is_text { DataType::String } else { DataType::Float64 };
    let columns = names.into_iter().zip(is_text);
    let columns = columns.map(|(name, is_text)| entry(name, type_of(is_text))).collect();
    Ok(Sidecar { separator, header, ..of(columns) })
}

/// Columns by the types that the file declares; its first instant tells the time.
fn parquet(file: &Path) -> Result<Sidecar, ReplayError> {
    let rows = ParquetRows::open(file).map_err(|error| ReplayError::of(file, error))?;
    let mut types = rows.types();
    let time_column = types.find(|(_, data_type)| *data_type == DataType::Datetime);
    let time_column = time_column.map(|(name, _)| name.to_owned());
    let mut columns: Vec<_> =
        rows.types().map(|(name, data_type)| entry(name.to_owned(), data_type)).collect();
    for column in &mut columns {
        if Some(&column.name) == time_column.as_ref() {
            column.point = None;
        }
    }
    Ok(Sidecar { time_column, time_unit: TimeUnit::Rfc3339, ..of(columns) })
}

/// A sidecar that says nothing but the columns.
fn of(columns: Vec<ColumnEntry>) -> Sidecar {
    Sidecar {
        machine: defaults::machine(),
        description: defaults::description(),
        period_ms: defaults::period_ms(),
        time_column: None,
        time_unit: TimeUnit::default(),
        separator: Separator::default(),
        header: true,
        group: None,
        missing: Missing::default(),
        columns,
    }
}

fn separator_of(line: &str) -> Separator {
    if line.contains(',') {
        Separator::Comma
    } else if line.contains(';') {
        Separator::Semicolon
    } else if line.contains('\t') {
        Separator::Tab
    } else {
        Separator::Whitespace
    }
}

fn is_number(field: &str) -> bool {
    field.trim().parse::<f64>().is_ok()
}

fn entry(name: String, data_type: DataType) -> ColumnEntry {
    // A dot would be taken for a level of components.
    let point = Some(name.replace('.', "_"));
    ColumnEntry {
        name,
        point,
        data_type,
        quantity: None,
        unit: None,
        range: None,
        interpolation: None,
        semantic_id: None,
        qualifier: String::new(),
        labels: Vec::new(),
        description: String::new(),
    }
}
