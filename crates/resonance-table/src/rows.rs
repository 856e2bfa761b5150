//! Rows of a Parquet file, field by field as text: what a table of text would have in them.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use parquet::basic::{Compression, ConvertedType, LogicalType, TimeUnit, Type as Physical};
use parquet::column::reader::ColumnReader;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::reader::FileReader;
use parquet::schema::types::ColumnDescriptor;
use resonance_plant::{DataType, Timestamp};

use crate::guard::{Checked, guarded, open};

/// Rows decoded at once.
const BATCH: usize = 1_024;

/// Nanoseconds of a day, and the Julian day of 1970-01-01, from which INT96 counts.
const DAY_NS: i64 = 86_400_000_000_000;
const JULIAN_1970: i64 = 2_440_588;

/// Bytes of all texts decoded at once.
const TEXT_BYTES_MAX: usize = 192 << 20;

/// Why a file is no table.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// It cannot be read.
    #[error("{0}")]
    File(#[from] io::Error),
    /// It is damaged, or its columns cannot be read.
    #[error("{0}")]
    Table(String),
}

/// A column that has no form as one field of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Its name.
    pub name: String,
    /// What it holds, in Parquet's words.
    pub holds: String,
}

/// Reads rows from a Parquet file. Columns of lists, structures and bytes have no form as one
/// field of a row and are left out.
pub struct ParquetRows {
    file: PathBuf,
    reader: Checked,
    columns: Vec<Served>,
    left_out: Vec<LeftOut>,
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
pub fn is_parquet(file: &Path) -> bool {
    let mut magic = [0; 4];
    File::open(file).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == *b"PAR1"
}

impl ParquetRows {
    /// Opens a file; reads what its end says of its columns, and no row yet.
    ///
    /// # Errors
    /// Where it cannot be read, is no whole Parquet file, or has nothing that a table could have.
    pub fn open(file: &Path) -> Result<Self, TableError> {
        let refused = TableError::Table;
        let reader = open(File::open(file)?)
            .map_err(|error| refused(format!("it is no whole Parquet file: {error}")))?;
        let (mut columns, mut left_out) = (Vec::new(), Vec::new());
        let schema = reader.metadata().file_metadata().schema_descr();
        for (place, column) in schema.columns().iter().enumerate() {
            match Holds::of(column) {
                Some(holds) => {
                    columns.push(Served { place, name: column.name().to_owned(), holds });
                }
                None => left_out.push(LeftOut::of(column)),
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

    /// The names of its columns.
    pub fn header(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }

    /// The columns that are left out.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// What its columns hold.
    pub fn types(&self) -> impl Iterator<Item = (&str, DataType)> {
        self.columns.iter().map(|column| (column.name.as_str(), column.holds.data_type()))
    }

    /// The row read last, from 1.
    pub fn row(&self) -> u64 {
        self.row
    }

    /// Begins anew at the first row.
    ///
    /// # Errors
    /// Where the file cannot be opened as before.
    pub fn rewind(&mut self) -> io::Result<()> {
        let begun = Self::open(&self.file).map_err(|error| io::Error::other(error.to_string()))?;
        *self = begun;
        Ok(())
    }

    /// The next row's fields, empty where there is no value. `None` at the end.
    ///
    /// # Errors
    /// Where the file is damaged: what follows cannot be told from it, and nothing more comes.
    pub fn next_row(&mut self) -> Option<Result<&[String], String>> {
        if self.batch.first().is_none_or(|column| self.at >= column.len()) {
            match guarded(|| self.decode()) {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    // What follows a damaged part cannot be told from it.
                    self.group = self.reader.num_row_groups();
                    self.left_in_group = 0;
                    self.batch.iter_mut().for_each(Vec::clear);
                    return Some(Err(error.to_string()));
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
            self.left_in_group = usize::try_from(group.metadata().num_rows()).map_err(|_| {
                ParquetError::General("a row group has fewer rows than none".into())
            })?;
            let readers = self.columns.iter().map(|column| group.get_column_reader(column.place));
            self.open = readers.collect::<Result<_, _>>()?;
        }
        let rows = BATCH.min(self.left_in_group);
        self.left_in_group -= rows;
        self.at = 0;
        let mut room = TEXT_BYTES_MAX;
        let columns = self.columns.iter().zip(&mut self.open).zip(&mut self.batch);
        for ((column, reader), fields) in columns {
            fields.clear();
            read(reader, column.holds, rows, &mut room, fields)?;
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

/// A time as a field; empty where it is none that we can tell: 1677 to 2262.
fn instant(nanos: Option<i64>) -> String {
    nanos.map_or_else(String::new, |nanos| Timestamp::from_nanos(nanos).to_string())
}

impl LeftOut {
    fn of(column: &ColumnDescriptor) -> Self {
        let kind = match column.logical_type_ref() {
            Some(logical) => format!("{logical:?}"),
            None => column.physical_type().to_string(),
        };
        let parts = column.path().parts();
        let holds = match (column.max_rep_level() > 0, parts.len() > 1) {
            (true, _) => format!("lists of {kind}"),
            (false, true) => format!("structures with {kind}"),
            (false, false) => kind,
        };
        Self { name: parts.first().cloned().unwrap_or_default(), holds }
    }
}

fn read(
    reader: &mut ColumnReader,
    holds: Holds,
    rows: usize,
    room: &mut usize,
    fields: &mut Vec<String>,
) -> Result<(), ParquetError> {
    macro_rules! cells {
        ($reader:ident, $told:expr) => {
            cells!($reader, $told, |_| 0)
        };
        ($reader:ident, $told:expr, $bytes:expr) => {{
            let (mut there, mut cells) = (Vec::new(), Vec::new());
            $reader.read_records(rows, Some(&mut there), None, &mut cells)?;
            // Many cells may be one long entry of a dictionary.
            let bytes = cells.iter().map($bytes).sum::<usize>();
            *room = room.checked_sub(bytes).ok_or_else(|| {
                let most =
                    format!("the texts of {rows} rows may take more than {TEXT_BYTES_MAX} bytes");
                ParquetError::General(most)
            })?;
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
            cells!(reader, |cell| {
                let [low, high, day] = *cell.data() else { return String::new() };
                let of_day = i64::try_from(u64::from(low) | u64::from(high) << 32).ok();
                let day = (i64::from(day) - JULIAN_1970).checked_mul(DAY_NS);
                instant(day.zip(of_day).and_then(|(day, of_day)| day.checked_add(of_day)))
            })
        }
        ColumnReader::FloatColumnReader(reader) => cells!(reader, |cell| cell.to_string()),
        ColumnReader::DoubleColumnReader(reader) => cells!(reader, |cell| cell.to_string()),
        ColumnReader::ByteArrayColumnReader(reader) => {
            let text = |cell: ByteArray| String::from_utf8_lossy(cell.data()).into_owned();
            // What is no UTF-8 may grow threefold.
            cells!(reader, text, |cell: &ByteArray| 3 * cell.len())
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
        if logical.is_none()
            && let Some(holds) = Self::of_converted(column)
        {
            return Some(holds);
        }
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

    /// As older programs say it.
    fn of_converted(column: &ColumnDescriptor) -> Option<Self> {
        Some(match (column.physical_type(), column.converted_type()) {
            (
                Physical::BYTE_ARRAY,
                ConvertedType::UTF8 | ConvertedType::ENUM | ConvertedType::JSON,
            ) => Self::Text,
            (Physical::INT32, ConvertedType::DATE) => Self::Date,
            (Physical::INT64, ConvertedType::TIMESTAMP_MILLIS) => Self::Instant(1_000_000),
            (Physical::INT64, ConvertedType::TIMESTAMP_MICROS) => Self::Instant(1_000),
            (Physical::INT32, ConvertedType::INT_8) => Self::Whole(DataType::Int8),
            (Physical::INT32, ConvertedType::INT_16) => Self::Whole(DataType::Int16),
            (Physical::INT32, ConvertedType::UINT_8) => Self::Whole(DataType::Uint8),
            (Physical::INT32, ConvertedType::UINT_16) => Self::Whole(DataType::Uint16),
            (Physical::INT32, ConvertedType::UINT_32) => Self::Whole(DataType::Uint32),
            (Physical::INT64, ConvertedType::UINT_64) => Self::Whole(DataType::Uint64),
            (Physical::INT32 | Physical::INT64, ConvertedType::DECIMAL) => {
                Self::Decimal(column.type_scale())
            }
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
        match self {
            Self::Instant(unit) => instant(signed.checked_mul(unit)),
            Self::Date => instant(signed.checked_mul(DAY_NS)),
            Self::Decimal(places) => (signed as f64 / 10_f64.powi(places)).to_string(),
            Self::Whole(DataType::Uint8 | DataType::Uint16 | DataType::Uint32) => {
                unsigned.to_string()
            }
            _ => signed.to_string(),
        }
    }
}
