//! The rows of a model's windows, and what it answered.
//!
//! Rows that were inferred together stay together, in order: some engines answer the last bit of a
//! row according to how many go with it.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::data_type::ByteArray;
use resonance_plant::tensor::Dim;
use resonance_plant::{ResultRecord, Signature, Status, Tensor, TensorBuf, TensorSpec, Timestamp};
use serde::{Deserialize, Serialize};

use super::RecordingError;
use super::columns::{Cardinality, Cells, Column, ColumnSpec, Holds};
use super::table::{TableReader, TableWriter};
use crate::models::ServedModel;

/// The key under which a file keeps its header.
const ABOUT: &str = "resonance.windows";

/// The only form there is yet.
const FORM: u32 = 1;

/// What a file of windows says about itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WindowsHeader {
    /// The form of the file; 1.
    pub form: u32,
    /// The model's name.
    pub model: String,
    /// Its version.
    pub version: String,
    /// The digest of its package.
    pub digest: String,
    /// What ran it.
    pub engine: String,
    /// Its tensors.
    pub signature: Signature,
}

/// One row of a batch that was answered.
#[derive(Clone, Debug)]
pub(crate) struct ServedRow {
    /// Whose row.
    pub(crate) deployment: Arc<str>,
    /// Source time of the oldest sample.
    pub(crate) from: Timestamp,
    /// Source time of the newest sample.
    pub(crate) to: Timestamp,
    /// The worst status among the samples.
    pub(crate) worst: Status,
    /// The result; `None` where the deployment was suspended meanwhile.
    pub(crate) record: Option<Arc<ResultRecord>>,
}

/// A batch that was answered.
#[derive(Clone, Debug)]
pub(super) struct ServedBatch {
    pub(super) served: Arc<ServedModel>,
    pub(super) inputs: TensorBuf,
    pub(super) outputs: TensorBuf,
    pub(super) rows: Vec<ServedRow>,
}

/// The columns besides the tensors', in the file's order.
const COLUMNS: [(&str, Holds, Cardinality); 10] = [
    ("batch", Holds::Integer { bits: 64, signed: true }, Cardinality::One),
    ("row", Holds::Integer { bits: 32, signed: true }, Cardinality::One),
    ("deployment", Holds::Text, Cardinality::One),
    ("window_from", Holds::Time, Cardinality::One),
    ("window_to", Holds::Time, Cardinality::One),
    ("window_status", Holds::Integer { bits: 32, signed: false }, Cardinality::One),
    ("result_id", Holds::Text, Cardinality::AtMostOne),
    ("sequence", Holds::Integer { bits: 64, signed: false }, Cardinality::AtMostOne),
    ("computed_at", Holds::Time, Cardinality::AtMostOne),
    ("status", Holds::Integer { bits: 32, signed: false }, Cardinality::AtMostOne),
];

/// Where a reader finds what it needs among [`COLUMNS`].
const READ: [usize; 4] = [0, 1, 2, 6];

fn fixed(at: usize) -> ColumnSpec {
    let (name, holds, cardinality) = COLUMNS[at];
    ColumnSpec::new(name, holds, cardinality)
}

fn tensors<'a>(prefix: &'a str, specs: &'a [TensorSpec]) -> impl Iterator<Item = ColumnSpec> + 'a {
    specs.iter().map(move |spec| {
        let name = format!("{prefix}_{}", spec.name);
        ColumnSpec::new(name, Holds::of(spec.element), Cardinality::List)
    })
}

/// A file of windows being written.
pub(super) struct WindowsWriter {
    pub(super) table: TableWriter,
    batches: i64,
}

impl WindowsWriter {
    pub(super) fn create(file: &Path, served: &ServedModel) -> Result<Self, RecordingError> {
        let signature = served.signature();
        let header = WindowsHeader {
            form: FORM,
            model: served.used.name.to_string(),
            version: served.used.version.to_string(),
            digest: served.used.digest.to_string(),
            engine: served.used.engine.to_string(),
            signature: signature.clone(),
        };
        let header =
            serde_json::to_string(&header).map_err(|error| RecordingError::write(file, &error))?;
        let mut specs: Vec<ColumnSpec> = (0..COLUMNS.len()).map(fixed).collect();
        specs.extend(tensors("input", &signature.inputs));
        specs.extend(tensors("output", &signature.outputs));
        let table = TableWriter::create(file, &specs, (ABOUT, header))?;
        Ok(Self { table, batches: 0 })
    }

    pub(super) fn push(&mut self, batch: &ServedBatch) -> Result<(), RecordingError> {
        let rows = batch.rows.len();
        let [number, place, deployment, from, to, worst, id, sequence, at, status, tensors @ ..] =
            self.table.columns.as_mut_slice()
        else {
            return Ok(());
        };
        for (nth, row) in batch.rows.iter().enumerate() {
            number.push_i64(self.batches);
            place.push_i32(nth as i32);
            deployment.push_bytes(ByteArray::from(&*row.deployment));
            from.push_i64(row.from.nanos());
            to.push_i64(row.to.nanos());
            worst.push_i32(row.worst.0 as i32);
            match &row.record {
                Some(record) => {
                    id.push_bytes(ByteArray::from(record.id.to_string().as_str()));
                    sequence.push_i64(record.sequence as i64);
                    at.push_i64(record.computed_at.nanos());
                    status.push_i32(record.status.0 as i32);
                }
                None => {
                    for column in [&mut *id, &mut *sequence, &mut *at, &mut *status] {
                        column.push_none();
                    }
                }
            }
            let all = batch.inputs.tensors.iter().chain(&batch.outputs.tensors);
            for (column, tensor) in tensors.iter_mut().zip(all) {
                column.push_elements(tensor, elements_of(tensor, nth, rows));
            }
        }
        self.batches += 1;
        self.table.pushed(rows)
    }
}

/// The elements of one of the rows of a batch.
fn elements_of(tensor: &Tensor, row: usize, rows: usize) -> Range<usize> {
    match tensor.shape.first() {
        Some(first) if *first == rows => {
            let each = tensor.len() / rows.max(1);
            row * each..(row + 1) * each
        }
        // What does not have a row for each cannot be divided.
        _ if rows == 1 => 0..tensor.len(),
        _ => 0..0,
    }
}

/// A finished file of windows.
pub(super) struct WindowsReader {
    table: TableReader,
    pub(super) header: WindowsHeader,
    file: PathBuf,
    specs: Vec<ColumnSpec>,
    places: Vec<usize>,
}

/// Rows that were inferred together, and others like them.
pub(super) struct RecordedGroup<'a> {
    reader: &'a WindowsReader,
    columns: Vec<Column>,
    /// The cells of every row of every column.
    rows: Vec<Vec<Range<usize>>>,
    first: usize,
}

impl WindowsReader {
    pub(super) fn open(file: &Path) -> Result<Self, RecordingError> {
        let table = TableReader::open(file)?;
        let foreign = |reason: String| RecordingError::Foreign { file: file.to_owned(), reason };
        let about =
            table.about(ABOUT).ok_or_else(|| foreign(format!("it says nothing under {ABOUT}")))?;
        let header: WindowsHeader =
            serde_json::from_str(about).map_err(|error| foreign(format!("{ABOUT}: {error}")))?;
        if header.form != FORM {
            return Err(foreign(format!("its form is {}, known is {FORM}", header.form)));
        }
        let mut specs: Vec<ColumnSpec> = READ.map(fixed).into();
        specs.extend(tensors("input", &header.signature.inputs));
        specs.extend(tensors("output", &header.signature.outputs));
        let places = table.columns(&specs)?;
        Ok(Self { table, header, file: file.to_owned(), specs, places })
    }

    pub(super) fn groups(&self) -> usize {
        self.table.row_groups()
    }

    /// A row group; its rows are counted from `first`.
    pub(super) fn group(
        &self,
        group: usize,
        first: usize,
    ) -> Result<RecordedGroup<'_>, RecordingError> {
        let columns = self.table.read(group, &self.specs, &self.places)?;
        let rows = columns.iter().map(Column::rows).collect();
        Ok(RecordedGroup { reader: self, columns, rows, first })
    }
}

impl RecordedGroup<'_> {
    pub(super) fn len(&self) -> usize {
        self.rows.first().map_or(0, Vec::len)
    }

    /// The rows of each batch.
    ///
    /// # Errors
    /// Where a row is missing.
    pub(super) fn batches(&self) -> Result<Vec<Range<usize>>, RecordingError> {
        let (Some(Cells::Int64(batch)), Some(Cells::Int32(place))) = (self.cells(0), self.cells(1))
        else {
            return Ok(Vec::new());
        };
        let mut batches: Vec<Range<usize>> = Vec::new();
        for (row, (number, place)) in batch.iter().zip(place).enumerate() {
            let wanted = match batches.last_mut() {
                Some(last) if batch.get(last.start) == Some(number) => {
                    last.end = row + 1;
                    row - last.start
                }
                _ => {
                    batches.push(row..row + 1);
                    0
                }
            };
            if usize::try_from(*place) != Ok(wanted) {
                let problem = format!("row {wanted} of its batch was expected, not {place}");
                let (file, row) = (self.reader.file.clone(), self.first + row);
                return Err(RecordingError::Row { file, row, problem });
            }
        }
        Ok(batches)
    }

    /// The inputs of a batch.
    ///
    /// # Errors
    /// Where a row has too few or too many elements.
    pub(super) fn inputs(&self, batch: &Range<usize>) -> Result<TensorBuf, RecordingError> {
        let signature = &self.reader.header.signature;
        let tensors = signature.inputs.iter().enumerate().map(|(at, spec)| {
            let at = READ.len() + at;
            let cells = self.cells_of(at, batch);
            let shape = shape_of(spec, batch.len());
            let tensor = self
                .cells(at)
                .zip(shape.as_deref())
                .and_then(|(all, shape)| all.tensor(cells.clone(), spec.element, shape));
            tensor.ok_or_else(|| RecordingError::Row {
                file: self.reader.file.clone(),
                row: self.first + batch.start,
                problem: format!(
                    "{} rows of input {:?} have {} elements, which do not make up {spec}",
                    batch.len(),
                    spec.name,
                    cells.len(),
                ),
            })
        });
        Ok(TensorBuf { tensors: tensors.collect::<Result<_, _>>()? })
    }

    /// What was answered then and now, output by output: the first difference of each.
    pub(super) fn differences(
        &self,
        batch: &Range<usize>,
        outputs: &TensorBuf,
    ) -> Vec<(usize, usize, usize, String, String)> {
        let mut found = Vec::new();
        let signature = &self.reader.header.signature;
        let first = READ.len() + signature.inputs.len();
        for (at, (spec, tensor)) in signature.outputs.iter().zip(&outputs.tensors).enumerate() {
            let mut now = Column::of(Holds::of(spec.element));
            let (Some(then), Some(rows)) = (self.cells(first + at), self.rows.get(first + at))
            else {
                continue;
            };
            for (nth, row) in batch.clone().enumerate() {
                let from = now.cells.len();
                now.push_elements(tensor, elements_of(tensor, nth, batch.len()));
                let cells = rows.get(row).cloned().unwrap_or_default();
                let count = now.cells.len() - from;
                if count != cells.len() {
                    let said = |count| format!("{count} elements");
                    found.push((row, at, 0, said(cells.len()), said(count)));
                } else if let Some((element, then, now)) =
                    then.first_difference(cells, &now.cells, from)
                {
                    found.push((row, at, element, then, now));
                }
            }
        }
        found.sort_by_key(|(row, output, ..)| (*row, *output));
        found
    }

    /// The deployment and the result of a row.
    pub(super) fn whose(&self, row: usize) -> (String, Option<String>) {
        let text = |column: usize| {
            let cell = self.rows.get(column)?.get(row)?;
            let Cells::Bytes(cells) = self.cells(column)? else { return None };
            let cell = cells.get(cell.clone())?.first()?;
            Some(String::from_utf8_lossy(cell.data()).into_owned())
        };
        (text(2).unwrap_or_default(), text(3))
    }

    fn cells(&self, column: usize) -> Option<&Cells> {
        self.columns.get(column).map(|column| &column.cells)
    }

    /// The cells of some rows of a column.
    fn cells_of(&self, column: usize, rows: &Range<usize>) -> Range<usize> {
        let of = self.rows.get(column).and_then(|all| all.get(rows.clone())).unwrap_or_default();
        of.first().map_or(0, |first| first.start)..of.last().map_or(0, |last| last.end)
    }
}

/// The shape of so many rows; `None` where the first dimension cannot be that.
fn shape_of(spec: &TensorSpec, rows: usize) -> Option<Vec<usize>> {
    let mut shape = Vec::with_capacity(spec.shape.len());
    for (at, dim) in spec.shape.iter().enumerate() {
        shape.push(match dim {
            Dim::Any if at == 0 => rows,
            Dim::Fixed(size) if at > 0 || *size == rows || rows == 1 => *size,
            Dim::Any => 1,
            Dim::Fixed(_) => return None,
        });
    }
    Some(shape)
}
