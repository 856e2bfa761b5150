//! Rows of a Parquet file, field by field as text: what a table of text would have in them.

use std::fs::File;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use parquet::basic::{Compression, LogicalType, TimeUnit, Type as Physical};
use parquet::column::reader::ColumnReader;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;
use resonance_plant::{DataType, Timestamp};

use super::ReplayError;
use super::rows::RowProblem;

/// Rows decoded at once.
const BATCH: usize = 1_024;

/// Reads rows from a Parquet file. Columns of lists, structures and bytes have no form as one
/// field of a row and are left out.
pub(super) struct ParquetRows {
    file: PathBuf,
    reader: SerializedFileReader<File>,
    columns: Vec<Served>,
    /// Names of columns that are left out.
    left_out: Vec<String>,
    /// The next row group.
    group: usize,
    /// Of the row group that is read.
    open: Vec<ColumnReader>,
    left_in_group: usize,
    /// Fields by column, of the rows decoded.
    batch: Vec<Vec<String>>,
    at: usize,
    row: u64,
    fields: Vec<String>,
}

/// A column with a form as one field.
struct Served {
    place: usize,
    name: String,
    holds: Holds,
}

/// How a cell is written.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Holds {
    Boolean,
    Whole(DataType),
    Float32,
    Float64,
    Half,
    Text,
    /// Days since the epoch.
    Date,
    /// Nanoseconds of the unit.
    Instant(i64),
    /// The old form of an instant, twelve bytes.
    Instant96,
    /// Decimal places.
    Decimal(i32),
}

impl std::fmt::Debug for ParquetRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ParquetRows({})", self.file.display())
    }
}

/// Whether a file begins as Parquet does.
pub(super) fn is_parquet(file: &Path) -> bool {
    let mut magic = [0; 4];
    File::open(file).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == *b"PAR1"
}

impl ParquetRows {
    pub(super) fn open(file: &Path) -> Result<Self, ReplayError> {
        let failed = |error| ReplayError::File { path: file.to_owned(), error };
        let refused = |problem: String| ReplayError::Table { path: file.to_owned(), problem };
        let opened = File::open(file).map_err(failed)?;
        let reader = guarded(|| SerializedFileReader::new(opened))
            .map_err(|error| refused(format!("it is no whole Parquet file: {error}")))?;
        let (mut columns, mut left_out) = (Vec::new(), Vec::new());
        let schema = reader.metadata().file_metadata().schema_descr();
        for (place, column) in schema.columns().iter().enumerate() {
            match Holds::of(column) {
                Some(holds) => {
                    columns.push(Served { place, name: column.name().to_owned(), holds });
                }
                None => left_out.push(column.path().string()),
            }
        }
        let chunks = reader.metadata().row_groups().iter().flat_map(|group| group.columns());
        if let Some(chunk) = chunks.map(|chunk| chunk.compression()).find(|codec| !is_known(*codec))
        {
            let name = format!("{chunk}");
            let name = name.split('(').next().unwrap_or_default();
            return Err(refused(format!(
                "it is compressed with {name}; write it with Snappy, or uncompressed"
            )));
        }
        if columns.is_empty() {
            return Err(refused("none of its columns has one number, text or time a row".into()));
        }
        Ok(Self {
            file: file.to_owned(),
            batch: columns.iter().map(|_| Vec::new()).collect(),
            reader,
            columns,
            left_out,
            group: 0,
            open: Vec::new(),
            left_in_group: 0,
            at: 0,
            row: 0,
            fields: Vec::new(),
        })
    }

    /// The names of its columns, and of those that are left out.
    pub(super) fn header(&self) -> (Vec<String>, &[String]) {
        (self.columns.iter().map(|column| column.name.clone()).collect(), &self.left_out)
    }

    /// What its columns hold.
    pub(super) fn types(&self) -> impl Iterator<Item = (&str, DataType)> {
        self.columns.iter().map(|column| (column.name.as_str(), column.holds.data_type()))
    }

    /// The row read last, from 1.
    pub(super) fn row(&self) -> u64 {
        self.row
    }

    pub(super) fn rewind(&mut self) -> io::Result<()> {
        let begun = Self::open(&self.file).map_err(|error| io::Error::other(error.to_string()))?;
        *self = begun;
        Ok(())
    }

    /// The next row's fields. `None` at the end.
    pub(super) fn next(&mut self) -> Option<Result<&[String], RowProblem>> {
        if self.batch.first().is_none_or(|column| self.at >= column.len()) {
            match guarded(|| self.decode()) {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    // What follows a damaged part cannot be told from it.
                    self.group = self.reader.num_row_groups();
                    self.left_in_group = 0;
                    self.batch.iter_mut().for_each(Vec::clear);
                    return Some(Err(RowProblem::File(error.to_string())));
                }
            }
        }
        self.row += 1;
        self.fields.clear();
        let at = self.at;
        self.at += 1;
        self.fields.extend(
            self.batch
                .iter_mut()
                .map(|column| column.get_mut(at).map(std::mem::take).unwrap_or_default()),
        );
        Some(Ok(&self.fields))
    }

    /// Decodes the next rows; false at the end.
    fn decode(&mut self) -> Result<bool, ParquetError> {
        while self.left_in_group == 0 {
            if self.group >= self.reader.num_row_groups() {
                return Ok(false);
            }
            let group = self.reader.get_row_group(self.group)?;
            self.group += 1;
            self.left_in_group = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
            let readers = self.columns.iter().map(|column| group.get_column_reader(column.place));
            self.open = readers.collect::<Result<_, _>>()?;
        }
        let rows = BATCH.min(self.left_in_group);
        self.left_in_group -= rows;
        self.at = 0;
        let columns = self.columns.iter().zip(&mut self.open).zip(&mut self.batch);
        for ((column, reader), fields) in columns {
            fields.clear();
            read(reader, column.holds, rows, fields)?;
            if fields.len() != rows {
                let problem = format!("column {:?} has fewer rows than the others", column.name);
                return Err(ParquetError::General(problem));
            }
        }
        Ok(true)
    }
}

fn is_known(codec: Compression) -> bool {
    matches!(codec, Compression::UNCOMPRESSED | Compression::SNAPPY)
}

/// Parquet's library panics on some damaged files; to us they are damaged like any other.
fn guarded<T>(read: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ParquetError> {
    let gave_up = || ParquetError::General("its parts contradict each other".into());
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(gave_up()))
}

fn read(
    reader: &mut ColumnReader,
    holds: Holds,
    rows: usize,
    fields: &mut Vec<String>,
) -> Result<(), ParquetError> {
    macro_rules! cells {
        ($reader:ident, $told:expr) => {{
            let (mut there, mut cells) = (Vec::new(), Vec::new());
            $reader.read_records(rows, Some(&mut there), None, &mut cells)?;
            let mut told = cells.into_iter().map($told);
            if there.is_empty() {
                fields.extend(told);
            } else {
                // A cell that is absent is an empty field.
                let told = there.iter().map(|there| match there {
                    0 => Some(String::new()),
                    _ => told.next(),
                });
                fields.extend(told.map_while(|field| field));
            }
        }};
    }
    match reader {
        ColumnReader::BoolColumnReader(reader) => cells!(reader, |cell| cell.to_string()),
        ColumnReader::Int32ColumnReader(reader) => {
            cells!(reader, |cell| holds.whole(i64::from(cell), i64::from(cell as u32)))
        }
        ColumnReader::Int64ColumnReader(reader) => {
            cells!(reader, |cell| match holds {
                Holds::Whole(DataType::Uint64) => (cell as u64).to_string(),
                _ => holds.whole(cell, cell),
            })
        }
        ColumnReader::Int96ColumnReader(reader) => {
            cells!(reader, |cell| Timestamp::from_nanos(cell.to_nanos()).to_string())
        }
        ColumnReader::FloatColumnReader(reader) => cells!(reader, |cell| cell.to_string()),
        ColumnReader::DoubleColumnReader(reader) => cells!(reader, |cell| cell.to_string()),
        ColumnReader::ByteArrayColumnReader(reader) => {
            cells!(reader, |cell| String::from_utf8_lossy(cell.data()).into_owned())
        }
        ColumnReader::FixedLenByteArrayColumnReader(reader) => {
            cells!(reader, |cell| match cell.data() {
                [low, high] => half::f16::from_le_bytes([*low, *high]).to_string(),
                _ => String::new(),
            })
        }
    }
    Ok(())
}

impl Holds {
    /// What a column holds; `None` where it has no form as one field.
    fn of(column: &ColumnDescriptor) -> Option<Self> {
        // Lists repeat, structures have a path.
        if column.max_rep_level() > 0 || column.path().parts().len() > 1 {
            return None;
        }
        let logical = column.logical_type_ref();
        Some(match (column.physical_type(), logical) {
            (Physical::BOOLEAN, _) => Self::Boolean,
            (Physical::FLOAT, _) => Self::Float32,
            (Physical::DOUBLE, _) => Self::Float64,
            (Physical::INT96, _) => Self::Instant96,
            (Physical::INT32, None) => Self::Whole(DataType::Int32),
            (Physical::INT64, None) => Self::Whole(DataType::Int64),
            (Physical::INT32, Some(LogicalType::Date)) => Self::Date,
            (Physical::INT32 | Physical::INT64, Some(LogicalType::Integer(integer))) => {
                Self::Whole(match (integer.bit_width, integer.is_signed) {
                    (8, true) => DataType::Int8,
                    (8, false) => DataType::Uint8,
                    (16, true) => DataType::Int16,
                    (16, false) => DataType::Uint16,
                    (32, true) => DataType::Int32,
                    (32, false) => DataType::Uint32,
                    (_, true) => DataType::Int64,
                    (_, false) => DataType::Uint64,
                })
            }
            (Physical::INT32 | Physical::INT64, Some(LogicalType::Decimal(decimal))) => {
                Self::Decimal(decimal.scale)
            }
            (Physical::INT64, Some(LogicalType::Timestamp(instant))) => {
                Self::Instant(match instant.unit {
                    TimeUnit::MILLIS => 1_000_000,
                    TimeUnit::MICROS => 1_000,
                    TimeUnit::NANOS => 1,
                })
            }
            (
                Physical::BYTE_ARRAY,
                Some(LogicalType::String | LogicalType::Enum | LogicalType::Json),
            ) => Self::Text,
            (Physical::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::Float16)) => Self::Half,
            _ => return None,
        })
    }

    fn data_type(self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Whole(whole) => whole,
            Self::Float32 | Self::Half => DataType::Float32,
            Self::Float64 | Self::Decimal(_) => DataType::Float64,
            Self::Text => DataType::String,
            Self::Date | Self::Instant(_) | Self::Instant96 => DataType::Datetime,
        }
    }

    /// A whole number, in the sense of the column.
    fn whole(self, signed: i64, unsigned: i64) -> String {
        const DAY_NS: i64 = 86_400_000_000_000;
        match self {
            Self::Instant(unit) => Timestamp::from_nanos(signed.saturating_mul(unit)).to_string(),
            Self::Date => Timestamp::from_nanos(signed.saturating_mul(DAY_NS)).to_string(),
            Self::Decimal(places) => (signed as f64 / 10_f64.powi(places)).to_string(),
            Self::Whole(DataType::Uint8 | DataType::Uint16 | DataType::Uint32) => {
                unsigned.to_string()
            }
            _ => signed.to_string(),
        }
    }
}
