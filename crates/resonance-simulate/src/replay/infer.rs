//! What a table without a sidecar seems to be.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use resonance_plant::DataType;

use super::rows::split;
use super::sidecar::defaults;
use super::{ColumnEntry, Missing, ReplayError, Separator, Sidecar, TimeUnit};

/// Rows looked at, and bytes at most.
const ROWS_MAX: usize = 1_000;
const BYTES_MAX: u64 = 4 << 20;

/// Columns by what the first rows show: numbers are `float64`, everything else is `string`.
pub(super) fn sidecar(file: &Path) -> Result<Sidecar, ReplayError> {
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
    let columns = names.into_iter().zip(is_text).map(|(name, text)| entry(name, text)).collect();
    Ok(Sidecar {
        machine: defaults::machine(),
        description: defaults::description(),
        period_ms: defaults::period_ms(),
        time_column: None,
        time_unit: TimeUnit::default(),
        separator,
        header,
        group: None,
        missing: Missing::default(),
        columns,
    })
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

fn entry(name: String, is_text: bool) -> ColumnEntry {
    // A dot would be taken for a level of components.
    let point = Some(name.replace('.', "_"));
    ColumnEntry {
        name,
        point,
        data_type: if is_text { DataType::String } else { DataType::Float64 },
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
