//! Tag lists: the points of a proposal as a table that people edit in a spreadsheet, and back.
//!
//! A list is foreign input. What it says of a point goes before what the machine says; each cell
//! that cannot be used is named by file, row and column, and nothing is half taken.

mod columns;
mod delimited;
mod fold;
mod sheet;
#[cfg(test)]
mod tests;
mod workbook;

use std::path::Path;

pub(crate) use fold::fold;

use columns::Column;

/// The longest list, bytes.
const FILE_BYTES_MAX: u64 = 32 << 20;

/// The most rows.
const ROWS_MAX: usize = 200_000;

/// The most cells of a row that are looked at.
const CELLS_MAX: usize = 256;

/// The most characters of a cell: what spreadsheets hold.
const CHARS_MAX: usize = 32_767;

/// Mistakes told at once.
const MISTAKES_MAX: usize = 20;

/// Why a list cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TagError {
    /// The file cannot be read or written.
    #[error("{file}: {error}")]
    File { file: String, error: std::io::Error },
    /// It is of no kind that is read or written here.
    #[error("{file}: name a file that ends in .csv or .xlsx")]
    Kind { file: String },
    /// It is larger than is read, or written.
    #[error("{file}: more than {limit} {what}; split the list")]
    TooLarge { file: String, what: &'static str, limit: u64 },
    /// It is not what its name says.
    #[error("{file}: {problem}")]
    Malformed { file: String, problem: String },
    /// Cells that cannot be used, one a line.
    #[error("{}", .0.join("\n"))]
    Cells(Vec<String>),
}

/// The kinds of lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Csv,
    Xlsx,
}

fn kind_of(path: &Path) -> Result<Kind, TagError> {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    match ending.as_deref() {
        Some("csv") => Ok(Kind::Csv),
        Some("xlsx") => Ok(Kind::Xlsx),
        _ => Err(TagError::Kind { file: path.display().to_string() }),
    }
}

/// A row of a list: what it says of a point. `None` and empty: it says nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Tag {
    /// The row's number as spreadsheets show it.
    row: usize,
    cells: std::collections::BTreeMap<Column, String>,
}

/// A list of tags that was read.
#[derive(Debug)]
pub(crate) struct TagList {
    /// The file's name, for people.
    file: String,
    tags: Vec<Tag>,
    /// What a person should look at.
    warnings: Vec<String>,
}

impl TagList {
    /// Reads a list, `.csv` or `.xlsx` by the file's ending.
    ///
    /// # Errors
    /// Where the file is no such list, or too large.
    pub(crate) fn read(path: &Path) -> Result<Self, TagError> {
        let file = path.display().to_string();
        let kind = kind_of(path)?;
        let of_file = |error| TagError::File { file: file.clone(), error };
        let bytes = std::fs::metadata(path).map_err(of_file)?.len();
        if bytes > FILE_BYTES_MAX {
            let (what, limit) = ("bytes", FILE_BYTES_MAX);
            return Err(TagError::TooLarge { file, what, limit });
        }
        let bytes = std::fs::read(path).map_err(of_file)?;
        Self::parse(&file, kind, &bytes)
    }

    /// How many tags it has.
    pub(crate) fn len(&self) -> usize {
        self.tags.len()
    }

    fn parse(file: &str, kind: Kind, bytes: &[u8]) -> Result<Self, TagError> {
        let read = match kind {
            Kind::Csv => delimited::read(bytes),
            Kind::Xlsx => workbook::read(bytes),
        };
        let sheet = read.map_err(|problem| problem.of(file))?;
        let columns = columns::of_header(file, &sheet)?;
        let mut tags = Vec::new();
        for row in &sheet.rows {
            let mut tag = Tag { row: row.number, ..Tag::default() };
            for (cell, column) in row.cells.iter().zip(&columns.used) {
                let text = cell.trim();
                if let Some(column) = column
                    && !text.is_empty()
                {
                    tag.cells.insert(*column, text.to_owned());
                }
            }
            if !tag.cells.is_empty() {
                tags.push(tag);
            }
        }
        Ok(Self { file: file.to_owned(), tags, warnings: columns.warnings })
    }
}

/// Writes the points of a proposal as a list, `.csv` or `.xlsx` by the file's ending. A file that
/// is there is not overwritten.
///
/// # Errors
/// Where the file cannot be written, or a cell is longer than spreadsheets hold.
pub(crate) fn write(path: &Path, proposal: &super::Proposal) -> Result<(), TagError> {
    let file = path.display().to_string();
    let kind = kind_of(path)?;
    let sheet = columns::sheet_of(proposal);
    let made = match kind {
        Kind::Csv => delimited::write(&sheet),
        Kind::Xlsx => workbook::write(&sheet),
    };
    let bytes = made.map_err(|problem| problem.of(&file))?;
    let of_file = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            let problem = "it is there already; name another, or remove it".to_owned();
            TagError::Malformed { file: file.clone(), problem }
        }
        _ => TagError::File { file: file.clone(), error },
    };
    let mut target =
        std::fs::OpenOptions::new().write(true).create_new(true).open(path).map_err(of_file)?;
    std::io::Write::write_all(&mut target, &bytes).map_err(of_file)
}
