//! Rows of a recording, one at a time, with their lines: of a text table, or of a Parquet file.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use resonance_table::{ParquetRows, TableError, is_parquet};

use super::{ReplayError, Separator, Sidecar};

/// What is wrong with a row, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}:{line}: {problem}", file.display())]
pub struct RowError {
    /// The recording.
    pub file: PathBuf,
    /// The line, from 1; in a Parquet file the row.
    pub line: u64,
    /// What is wrong.
    pub problem: RowProblem,
}

/// What is wrong with a row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowProblem {
    /// Too few or too many fields; the row is left out.
    #[error("{found} fields where {expected} are expected; the row is left out")]
    Fields {
        /// How many there are.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// A field that is not what its column is; the others of the row are served.
    #[error("column {column} ({name:?}): {problem}")]
    Field {
        /// The column, from 1.
        column: usize,
        /// The channel's path.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// A time that cannot be; the row follows after the usual period.
    #[error("column {column}: {problem}; the usual period is kept")]
    Time {
        /// The column, from 1.
        column: usize,
        /// What is wrong.
        problem: String,
    },
    /// Not text, or a line without end; the row is left out.
    #[error("{0}; the row is left out")]
    Unreadable(String),
    /// The file cannot be read on; the recording ends here.
    #[error("the file cannot be read on: {0}")]
    File(String),
}

/// The longest line that is taken for a row.
const LINE_BYTES_MAX: usize = 1 << 20;

/// Reads rows from a file.
#[derive(Debug)]
pub(super) struct Rows {
    file: PathBuf,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Text(TextRows),
    Parquet(Box<ParquetRows>),
}

impl ReplayError {
    pub(super) fn of(file: &Path, error: TableError) -> Self {
        let path = file.to_owned();
        match error {
            TableError::File(error) => Self::File { path, error },
            TableError::Table(problem) => Self::Table { path, problem },
        }
    }
}

impl Rows {
    /// Opens the table; also gives its header, if it has one.
    pub(super) fn open(
        file: &Path,
        sidecar: &Sidecar,
    ) -> Result<(Self, Option<Vec<String>>), ReplayError> {
        let (form, header) = if is_parquet(file) {
            let rows = ParquetRows::open(file).map_err(|error| ReplayError::of(file, error))?;
            let header = rows.header().map(str::to_owned).collect();
            (Form::Parquet(Box::new(rows)), Some(header))
        } else {
            let (rows, header) = TextRows::open(file, sidecar)?;
            (Form::Text(rows), header)
        };
        if let Some(header) = &header {
            let twice = |(at, name): &(usize, &String)| header[at + 1..].contains(name);
            if let Some((_, name)) = header.iter().enumerate().find(twice) {
                let problem = format!("the header has two columns {name:?}");
                return Err(ReplayError::Table { path: file.to_owned(), problem });
            }
        }
        Ok((Self { file: file.to_owned(), form }, header))
    }

    /// Columns that have no form as one field of a row.
    pub(super) fn left_out(&self) -> Vec<&str> {
        match &self.form {
            Form::Text(_) => Vec::new(),
            Form::Parquet(rows) => rows.left_out().iter().map(|one| one.name.as_str()).collect(),
        }
    }

    /// The next row's fields. `None` at the end.
    pub(super) fn next(&mut self) -> Option<Result<&[String], RowError>> {
        let (file, line) = (&self.file, self.line() + 1);
        let error = |line, problem| RowError { file: file.clone(), line, problem };
        match &mut self.form {
            Form::Text(rows) => match rows.next() {
                Ok(false) => None,
                Ok(true) => Some(Ok(&rows.fields)),
                Err(problem) => Some(Err(error(rows.line, problem))),
            },
            Form::Parquet(rows) => {
                let damaged = |problem| error(line, RowProblem::File(problem));
                rows.next_row().map(|next| next.map_err(damaged))
            }
        }
    }

    /// The line of the row read last, from 1.
    pub(super) fn line(&self) -> u64 {
        match &self.form {
            Form::Text(rows) => rows.line,
            Form::Parquet(rows) => rows.row(),
        }
    }

    /// A problem of the row in this line.
    pub(super) fn error_at(&self, line: u64, problem: RowProblem) -> RowError {
        RowError { file: self.file.clone(), line, problem }
    }

    /// Begins anew at the first row.
    pub(super) fn rewind(&mut self) -> io::Result<()> {
        match &mut self.form {
            Form::Text(rows) => rows.rewind(),
            Form::Parquet(rows) => rows.rewind(),
        }
    }
}

/// Reads rows from a text table.
#[derive(Debug)]
struct TextRows {
    separator: Separator,
    has_header: bool,
    reader: BufReader<File>,
    line: u64,
    /// Fields per row, once known.
    expected: usize,
    buffer: Vec<u8>,
    fields: Vec<String>,
}

impl TextRows {
    fn open(file: &Path, sidecar: &Sidecar) -> Result<(Self, Option<Vec<String>>), ReplayError> {
        let failed = |error| ReplayError::File { path: file.to_owned(), error };
        let mut rows = Self {
            separator: sidecar.separator,
            has_header: sidecar.header,
            reader: BufReader::new(File::open(file).map_err(failed)?),
            line: 0,
            expected: sidecar.columns.len(),
            buffer: Vec::new(),
            fields: Vec::new(),
        };
        if !sidecar.header {
            return Ok((rows, None));
        }
        let refused = |problem: String| ReplayError::Table { path: file.to_owned(), problem };
        match rows.next_line() {
            Ok(true) => {}
            Ok(false) => return Err(refused("it is empty; a header was expected".to_owned())),
            Err(problem) => return Err(refused(format!("line 1: {problem}"))),
        }
        let header = rows.fields.clone();
        rows.expected = header.len();
        Ok((rows, Some(header)))
    }

    /// Whether there is a next row, in `fields`.
    fn next(&mut self) -> Result<bool, RowProblem> {
        let found = self.next_line()?;
        if found && self.fields.len() != self.expected {
            let (found, expected) = (self.fields.len(), self.expected);
            return Err(RowProblem::Fields { found, expected });
        }
        Ok(found)
    }

    fn rewind(&mut self) -> io::Result<()> {
        io::Seek::rewind(&mut self.reader)?;
        self.line = 0;
        if self.has_header {
            // It was read before; should it be unreadable now, so is what follows.
            let _ = self.next_line();
        }
        Ok(())
    }

    /// Fills `fields` from the next line that is not blank; false at the end.
    fn next_line(&mut self) -> Result<bool, RowProblem> {
        loop {
            self.buffer.clear();
            let limit = LINE_BYTES_MAX as u64 + 1;
            let read =
                Read::by_ref(&mut self.reader).take(limit).read_until(b'\n', &mut self.buffer);
            if read.map_err(|error| RowProblem::File(error.to_string()))? == 0 {
                return Ok(false);
            }
            self.line += 1;
            if self.buffer.len() > LINE_BYTES_MAX {
                self.skip_line()?;
                let problem = format!("the line is longer than {LINE_BYTES_MAX} bytes");
                return Err(RowProblem::Unreadable(problem));
            }
            let text = std::str::from_utf8(&self.buffer).map_err(|error| {
                let at = error.valid_up_to() + 1;
                RowProblem::Unreadable(format!("byte {at} of the line is not UTF-8"))
            })?;
            let text = text.trim_start_matches('\u{feff}').trim_end_matches(['\r', '\n']);
            if text.trim().is_empty() {
                continue;
            }
            split(text, self.separator, &mut self.fields)?;
            return Ok(true);
        }
    }

    fn skip_line(&mut self) -> Result<(), RowProblem> {
        while self.buffer.last() != Some(&b'\n') {
            self.buffer.clear();
            let limit = LINE_BYTES_MAX as u64;
            let read =
                Read::by_ref(&mut self.reader).take(limit).read_until(b'\n', &mut self.buffer);
            if read.map_err(|error| RowProblem::File(error.to_string()))? == 0 {
                break;
            }
        }
        Ok(())
    }
}

/// Splits a line; fields between quotes may hold the separator, and quotes as `""` (RFC 4180).
/// A field with a line break in it is refused: machines' recordings have none.
pub(super) fn split(
    text: &str,
    separator: Separator,
    fields: &mut Vec<String>,
) -> Result<(), RowProblem> {
    fields.clear();
    let separator = match separator {
        Separator::Comma => ',',
        Separator::Semicolon => ';',
        Separator::Tab => '\t',
        Separator::Whitespace => {
            fields.extend(text.split_whitespace().map(str::to_owned));
            return Ok(());
        }
    };
    let mut rest = text;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let end = rest.find(separator).unwrap_or(rest.len());
                let (field, after) = rest.split_at(end);
                (field.trim().to_owned(), after)
            }
        };
        fields.push(field);
        match after.strip_prefix(separator) {
            Some(more) => rest = more,
            None if after.is_empty() => return Ok(()),
            None => {
                let column = fields.len();
                let problem = format!("text follows the closing quote of column {column}");
                return Err(RowProblem::Unreadable(problem));
            }
        }
    }
}

fn unquote(quoted: &str) -> Result<(String, &str), RowProblem> {
    let (mut field, mut rest) = (String::new(), quoted);
    loop {
        let Some((before, after)) = rest.split_once('"') else {
            return Err(RowProblem::Unreadable("a quote is not closed".to_owned()));
        };
        field.push_str(before);
        match after.strip_prefix('"') {
            Some(more) => {
                field.push('"');
                rest = more;
            }
            None => return Ok((field, after)),
        }
    }
}
