//! A Parquet file as a table: columns of one physical type each, single cells or lists of them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::column::reader::ColumnReader;
use parquet::data_type::{
    BoolType, ByteArrayType, DoubleType, FixedLenByteArrayType, FloatType, Int32Type, Int64Type,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::reader::{FileReader, RowGroupReader};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::{ColumnDescriptor, Type};
use resonance_table::guarded;

use super::RecordingError;
use super::columns::{Cardinality, Cells, Column, ColumnSpec};

/// A file being written, row group by row group.
pub(super) struct TableWriter {
    writer: SerializedFileWriter<File>,
    file: PathBuf,
    pub(super) columns: Vec<Column>,
    rows: usize,
}

/// Bytes of a row group in memory.
const ROW_GROUP_BYTES: usize = 8 << 20;

/// Rows of a row group.
const ROW_GROUP_ROWS: usize = 64 * 1024;

/// Rows of a group that are read: more than we write, by much.
const ROW_GROUP_ROWS_MAX: usize = 16 * ROW_GROUP_ROWS;

impl TableWriter {
    /// A new file. `about` is kept in it under a key.
    pub(super) fn create(
        file: &Path,
        specs: &[ColumnSpec],
        about: (&str, String),
    ) -> Result<Self, RecordingError> {
        let failed = |error: &dyn std::fmt::Display| RecordingError::write(file, error);
        let fields = specs.iter().map(ColumnSpec::schema).collect::<Result<Vec<_>, _>>();
        let schema = fields
            .and_then(|fields| Type::group_type_builder("resonance").with_fields(fields).build());
        let schema = schema.map_err(|error| failed(&error))?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_statistics_enabled(EnabledStatistics::None)
            .set_created_by(concat!("resonance ", env!("CARGO_PKG_VERSION")).into())
            .set_key_value_metadata(Some(vec![KeyValue::new(about.0.to_owned(), about.1)]));
        let out = File::create_new(file).map_err(|error| failed(&error))?;
        let writer = SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties.build()))
            .map_err(|error| failed(&error))?;
        let columns = specs.iter().map(|spec| Column::of(spec.holds)).collect();
        Ok(Self { writer, file: file.to_owned(), columns, rows: 0 })
    }

    /// Bytes that the file has, or will have at most, before compression.
    pub(super) fn bytes(&self) -> usize {
        self.writer.bytes_written() + self.buffered()
    }

    fn buffered(&self) -> usize {
        self.columns.iter().map(|column| column.bytes()).sum()
    }

    /// So many rows were pushed into every column.
    pub(super) fn pushed(&mut self, rows: usize) -> Result<(), RecordingError> {
        self.rows += rows;
        if self.rows >= ROW_GROUP_ROWS || self.buffered() >= ROW_GROUP_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), RecordingError> {
        if std::mem::take(&mut self.rows) == 0 {
            return Ok(());
        }
        self.write_row_group().map_err(|error| RecordingError::write(&self.file, &error))
    }

    fn write_row_group(&mut self) -> Result<(), ParquetError> {
        let mut group = self.writer.next_row_group()?;
        for column in &mut self.columns {
            // The schema has exactly these columns.
            let Some(writer) = group.next_column()? else { break };
            write_column(writer, column)?;
            column.clear();
        }
        group.close()?;
        Ok(())
    }

    /// Completes the file and has it on the disk.
    pub(super) fn finish(mut self) -> Result<(), RecordingError> {
        self.flush()?;
        let failed = |error: &dyn std::fmt::Display| RecordingError::write(&self.file, error);
        self.writer.finish().map_err(|error| failed(&error))?;
        self.writer.inner().sync_all().map_err(|error| failed(&error))
    }
}

fn write_column(
    mut writer: SerializedColumnWriter<'_>,
    column: &Column,
) -> Result<(), ParquetError> {
    // Levels are not looked at where the schema says that every row has one cell.
    let (there, follows) = (Some(column.there.as_slice()), Some(column.follows.as_slice()));
    match &column.cells {
        Cells::Boolean(cells) => writer.typed::<BoolType>().write_batch(cells, there, follows)?,
        Cells::Int32(cells) => writer.typed::<Int32Type>().write_batch(cells, there, follows)?,
        Cells::Int64(cells) => writer.typed::<Int64Type>().write_batch(cells, there, follows)?,
        Cells::Float(cells) => writer.typed::<FloatType>().write_batch(cells, there, follows)?,
        Cells::Double(cells) => writer.typed::<DoubleType>().write_batch(cells, there, follows)?,
        Cells::Fixed(cells) => {
            writer.typed::<FixedLenByteArrayType>().write_batch(cells, there, follows)?
        }
        Cells::Bytes(cells) => {
            writer.typed::<ByteArrayType>().write_batch(cells, there, follows)?
        }
    };
    writer.close()
}

/// A finished file.
pub(super) struct TableReader {
    reader: resonance_table::Checked,
    file: PathBuf,
}

impl TableReader {
    /// Opens a file.
    ///
    /// # Errors
    /// Where it cannot be read, is cut off or is no Parquet.
    pub(super) fn open(file: &Path) -> Result<Self, RecordingError> {
        let opened = File::open(file).map_err(|error| RecordingError::read(file, &error))?;
        let reader =
            resonance_table::open(opened).map_err(|error| RecordingError::damaged(file, &error))?;
        Ok(Self { reader, file: file.to_owned() })
    }

    /// What was kept under a key.
    pub(super) fn about(&self, key: &str) -> Option<&str> {
        let kept = self.reader.metadata().file_metadata().key_value_metadata()?;
        kept.iter().find(|entry| entry.key == key)?.value.as_deref()
    }

    pub(super) fn row_groups(&self) -> usize {
        self.reader.num_row_groups()
    }

    /// The places of these columns in the file.
    ///
    /// # Errors
    /// Names the column that is absent or another.
    pub(super) fn columns(&self, specs: &[ColumnSpec]) -> Result<Vec<usize>, RecordingError> {
        let schema = self.reader.metadata().file_metadata().schema_descr();
        let find = |spec: &ColumnSpec| {
            let wrong = |problem: String| RecordingError::Column {
                file: self.file.clone(),
                column: spec.name.clone(),
                problem,
            };
            let first = |column: &ColumnDescriptor| column.path().parts().first().cloned();
            let named = schema
                .columns()
                .iter()
                .enumerate()
                .find(|(_, column)| first(column).as_deref() == Some(spec.name.as_str()));
            let (at, found) = named.ok_or_else(|| wrong("it is absent".into()))?;
            spec.differs(found).map_or(Ok(at), |problem| Err(wrong(problem)))
        };
        specs.iter().map(find).collect()
    }

    /// Some columns of a row group.
    ///
    /// # Errors
    /// Names the column that cannot be read.
    pub(super) fn read(
        &self,
        group: usize,
        specs: &[ColumnSpec],
        places: &[usize],
    ) -> Result<Vec<Column>, RecordingError> {
        let damaged = |error: &ParquetError| RecordingError::damaged(&self.file, error);
        let group = self.reader.get_row_group(group).map_err(|error| damaged(&error))?;
        let rows = usize::try_from(group.metadata().num_rows()).unwrap_or(usize::MAX);
        if rows > ROW_GROUP_ROWS_MAX {
            let error =
                format!("a row group has {rows} rows; at most {ROW_GROUP_ROWS_MAX} are read");
            return Err(damaged(&ParquetError::General(error)));
        }
        let mut columns = Vec::with_capacity(specs.len());
        for (spec, place) in specs.iter().zip(places) {
            let wrong = |problem: String| RecordingError::Column {
                file: self.file.clone(),
                column: spec.name.clone(),
                problem,
            };
            let column = guarded(|| read_column(group.as_ref(), *place, rows, spec))
                .map_err(|error| wrong(format!("it cannot be read: {error}")))?;
            let read = column.rows().len();
            if read != rows {
                return Err(wrong(format!("it has {read} rows where the file has {rows}")));
            }
            columns.push(column);
        }
        Ok(columns)
    }
}

fn read_column(
    group: &dyn RowGroupReader,
    place: usize,
    rows: usize,
    spec: &ColumnSpec,
) -> Result<Column, ParquetError> {
    let mut column = Column::of(spec.holds);
    let (there, follows) = (&mut column.there, &mut column.follows);
    macro_rules! read {
        ($reader:ident, $cells:ident) => {
            $reader.read_records(rows, Some(there), Some(follows), $cells)?
        };
    }
    let mismatch = || ParquetError::General("its type changes within the file".into());
    let (_, cells, _) = match (group.get_column_reader(place)?, &mut column.cells) {
        (ColumnReader::BoolColumnReader(mut from), Cells::Boolean(to)) => read!(from, to),
        (ColumnReader::Int32ColumnReader(mut from), Cells::Int32(to)) => read!(from, to),
        (ColumnReader::Int64ColumnReader(mut from), Cells::Int64(to)) => read!(from, to),
        (ColumnReader::FloatColumnReader(mut from), Cells::Float(to)) => read!(from, to),
        (ColumnReader::DoubleColumnReader(mut from), Cells::Double(to)) => read!(from, to),
        (ColumnReader::FixedLenByteArrayColumnReader(mut from), Cells::Fixed(to)) => {
            read!(from, to)
        }
        (ColumnReader::ByteArrayColumnReader(mut from), Cells::Bytes(to)) => read!(from, to),
        _ => return Err(mismatch()),
    };
    // What is left to the schema is made explicit, so that every column is read alike.
    if spec.cardinality == Cardinality::One {
        column.there = vec![1; cells];
    }
    if spec.cardinality != Cardinality::List {
        column.follows = vec![0; column.there.len()];
    }
    Ok(column)
}
