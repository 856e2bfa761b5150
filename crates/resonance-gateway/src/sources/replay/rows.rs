//! Rows of a recording, one at a time, each within a bound: of a CSV file, or of a Parquet file, whose
//! cells are then texts too.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use resonance_plant::DataType;
use resonance_table::{ParquetRows, is_parquet};

use super::config::Separator;

/// The longest line that is taken for a row, bytes.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// Why there is no row.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RowError {
    /// This row cannot be read; others may follow.
    #[error("line {0}: {1}")]
    Row(u64, String),
    /// The file cannot be read on.
    #[error("{0}")]
    File(String),
}

/// Reads rows.
#[derive(Debug)]
pub(super) struct Rows {
    form: Form,
    /// The names of the columns.
    pub(super) header: csv::StringRecord,
}

#[derive(Debug)]
enum Form {
    Text(TextRows),
    Parquet(Box<ParquetRows>),
}

impl Rows {
    /// Opens a file, whatever its name: Parquet says in its first bytes that it is.
    pub(super) fn open(path: &Path, separator: Separator) -> Result<Self, RowError> {
        let (form, header) = if is_parquet(path) {
            let rows =
                ParquetRows::open(path).map_err(|error| RowError::File(error.to_string()))?;
            let header = rows.header().collect();
            (Form::Parquet(Box::new(rows)), header)
        } else {
            let (rows, header) = TextRows::open(path, separator)?;
            (Form::Text(rows), header)
        };
        for (at, name) in header.iter().enumerate() {
            if !name.is_empty() && header.iter().skip(at + 1).any(|other| other == name) {
                let text = format!("two columns are called {name:?}; rename one");
                return Err(RowError::File(text));
            }
        }
        Ok(Self { form, header })
    }

    /// What a column holds, where the file says so.
    pub(super) fn type_of(&self, column: usize) -> Option<DataType> {
        match &self.form {
            Form::Text(_) => None,
            Form::Parquet(rows) => rows.types().nth(column).map(|(_, data_type)| data_type),
        }
    }

    /// What a column holds that has no form as one value of a row.
    pub(super) fn left_out(&self, name: &str) -> Option<&str> {
        match &self.form {
            Form::Text(_) => None,
            Form::Parquet(rows) => {
                let left_out = rows.left_out().iter().find(|one| one.name == name)?;
                Some(&left_out.holds)
            }
        }
    }

    /// The next row; false at the end.
    pub(super) fn next(&mut self, row: &mut csv::StringRecord) -> Result<bool, RowError> {
        match &mut self.form {
            Form::Text(rows) => rows.next(row, self.header.len()),
            Form::Parquet(rows) => {
                row.clear();
                let next = rows.row() + 1;
                match rows.next_row() {
                    None => Ok(false),
                    Some(Ok(fields)) => {
                        fields.iter().for_each(|field| row.push_field(field));
                        Ok(true)
                    }
                    Some(Err(problem)) => {
                        let text = format!("{problem}; nothing after it can be read");
                        Err(RowError::Row(next, text))
                    }
                }
            }
        }
    }

    /// What is counted by [`Rows::line`].
    pub(super) fn word(&self) -> &'static str {
        match &self.form {
            Form::Text(_) => "line",
            Form::Parquet(_) => "row",
        }
    }

    /// The line of the row that was read last, from 1; in a Parquet file the row.
    pub(super) fn line(&self) -> u64 {
        match &self.form {
            Form::Text(rows) => rows.line,
            Form::Parquet(rows) => rows.row(),
        }
    }
}

/// Reads rows of a CSV file.
#[derive(Debug)]
struct TextRows {
    reader: BufReader<File>,
    /// The file's length when it was opened, bytes.
    file_bytes: u64,
    separator: u8,
    line: u64,
    bytes: Vec<u8>,
}

impl TextRows {
    fn open(path: &Path, separator: Separator) -> Result<(Self, csv::StringRecord), RowError> {
        let file = File::open(path).map_err(|error| RowError::File(error.to_string()))?;
        let file_bytes = file.metadata().map_or(0, |file| file.len());
        let separator = match separator {
            Separator::Comma => b',',
            Separator::Semicolon => b';',
            Separator::Tab => b'\t',
        };
        let mut rows = Self {
            reader: BufReader::new(file),
            file_bytes,
            separator,
            line: 0,
            bytes: Vec::new(),
        };
        let mut header = csv::StringRecord::new();
        if !rows.next_line(&mut header)? {
            return Err(RowError::File("it is empty; its first row must name the columns".into()));
        }
        header.trim();
        Ok((rows, header))
    }

    /// The next row, of so many fields; false at the end.
    fn next(&mut self, row: &mut csv::StringRecord, expected: usize) -> Result<bool, RowError> {
        if !self.next_line(row)? {
            return Ok(false);
        }
        if row.len() != expected {
            let found = row.len();
            let text = format!("{found} fields where {expected} are expected");
            return Err(RowError::Row(self.line, text));
        }
        Ok(true)
    }

    /// Fields of the next line that is not blank; false at the end. Recordings of machines have no
    /// line breaks within a field.
    fn next_line(&mut self, row: &mut csv::StringRecord) -> Result<bool, RowError> {
        loop {
            self.bytes.clear();
            let failed = |error: std::io::Error| RowError::File(error.to_string());
            let mut bounded = Read::by_ref(&mut self.reader).take(LINE_BYTES_MAX);
            if bounded.read_until(b'\n', &mut self.bytes).map_err(failed)? == 0 {
                return Ok(false);
            }
            self.line += 1;
            if self.bytes.len() as u64 >= LINE_BYTES_MAX && self.bytes.last() != Some(&b'\n') {
                self.skip_line()?;
                let text = format!("it is longer than {LINE_BYTES_MAX} bytes");
                return Err(RowError::Row(self.line, text));
            }
            if self.bytes.last() != Some(&b'\n') && self.was_cut() {
                let text = "the file was cut off here while it was played".into();
                return Err(RowError::Row(self.line, text));
            }
            let line = self.bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&self.bytes);
            if line.trim_ascii().is_empty() {
                continue;
            }
            if line.iter().filter(|byte| **byte == b'"').count() % 2 != 0 {
                return Err(RowError::Row(self.line, "a quote is not closed".into()));
            }
            let mut reader = csv::ReaderBuilder::new()
                .delimiter(self.separator)
                .has_headers(false)
                .buffer_capacity(line.len())
                .from_reader(line);
            let read = reader.read_record(row);
            return read.map_err(|error| match error.kind() {
                csv::ErrorKind::Utf8 { .. } => RowError::Row(self.line, "it is not UTF-8".into()),
                _ => RowError::Row(self.line, error.to_string()),
            });
        }
    }

    /// Whether the file became shorter: what is left of its last row may read as another value.
    fn was_cut(&self) -> bool {
        let now = self.reader.get_ref().metadata();
        now.is_ok_and(|file| file.len() < self.file_bytes)
    }

    fn skip_line(&mut self) -> Result<(), RowError> {
        loop {
            self.bytes.clear();
            let mut bounded = Read::by_ref(&mut self.reader).take(LINE_BYTES_MAX);
            let read = bounded.read_until(b'\n', &mut self.bytes);
            let read = read.map_err(|error| RowError::File(error.to_string()))?;
            if read == 0 || self.bytes.last() == Some(&b'\n') {
                return Ok(());
            }
        }
    }
}
