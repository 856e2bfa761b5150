//! A table of texts, however it is kept in a file.

use super::TagError;

/// The first row and the others.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Sheet {
    pub(super) header: Vec<String>,
    pub(super) rows: Vec<Row>,
}

/// A row and its number as spreadsheets show it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Row {
    pub(super) number: usize,
    pub(super) cells: Vec<String>,
}

/// What is wrong with a file.
#[derive(Debug, PartialEq)]
pub(super) enum Problem {
    Malformed(String),
    TooLarge(&'static str, u64),
}

impl Problem {
    pub(super) fn of(self, file: &str) -> TagError {
        let file = file.to_owned();
        match self {
            Self::Malformed(problem) => TagError::Malformed { file, problem },
            Self::TooLarge(what, limit) => TagError::TooLarge { file, what, limit },
        }
    }
}

/// Whether a spreadsheet would take a text for a formula.
fn is_formula(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '\t', '\r'])
}

/// A text as it may stand in a file whose cells have no types: what a spreadsheet would compute
/// gets an apostrophe before it, and so does what has one there already.
pub(super) fn guarded(text: &str) -> String {
    let quoted =
        text.strip_prefix('\'').is_some_and(|rest| is_formula(rest.trim_start_matches('\'')));
    let is_number = text.parse::<f64>().is_ok_and(f64::is_finite);
    if quoted || is_formula(text) && !is_number { format!("'{text}") } else { text.to_owned() }
}

/// The text that was guarded.
pub(super) fn unguarded(text: &str) -> &str {
    match text.strip_prefix('\'') {
        Some(rest) if is_formula(rest.trim_start_matches('\'')) => rest,
        _ => text,
    }
}
