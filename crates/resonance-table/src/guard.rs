//! Keeps what is wrong with a file from becoming what is wrong with us.

use std::cell::Cell;
use std::fs::File;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};

use crate::pages;

thread_local! {
    /// Whether this thread is in the library, whose panics are answers.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// A file whose row groups are looked at before they are read.
pub struct Checked {
    reader: SerializedFileReader<File>,
    file: File,
    bytes: u64,
}

impl Checked {
    /// A row group, no page of which announces more than it can hold.
    ///
    /// # Errors
    /// Where one does, or the group cannot be read.
    pub fn get_row_group(&self, at: usize) -> Result<Box<dyn RowGroupReader + '_>, ParquetError> {
        let group = self.reader.get_row_group(at)?;
        for column in group.metadata().columns() {
            pages::check(&self.file, column, range(column), self.bytes)?;
        }
        Ok(group)
    }
}

impl Deref for Checked {
    type Target = SerializedFileReader<File>;

    fn deref(&self) -> &Self::Target {
        &self.reader
    }
}

/// Where a column begins, and its bytes: both are not negative, or it is not opened.
fn range(column: &ColumnChunkMetaData) -> (u64, u64) {
    let first = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
    (first.unsigned_abs(), column.compressed_size().unsigned_abs())
}

/// Opens a file and holds what its end says against its length: every column must lie within.
///
/// # Errors
/// Where it is no Parquet, cut off, or contradicts itself.
pub fn open(file: File) -> Result<Checked, ParquetError> {
    let bytes = file.metadata().map_or(0, |about| about.len());
    let again = file.try_clone()?;
    let reader = guarded(|| SerializedFileReader::new(file))?;
    let is_inside = |offset: i64, size: i64| {
        let end = u64::try_from(offset).ok().zip(u64::try_from(size).ok());
        end.is_some_and(|(offset, size)| offset.saturating_add(size) <= bytes)
    };
    for column in reader.metadata().row_groups().iter().flat_map(|group| group.columns()) {
        let first = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
        if !is_inside(first, column.compressed_size()) {
            let problem = format!("its column {} lies outside", column.column_path());
            return Err(ParquetError::General(problem));
        }
    }
    Ok(Checked { reader, file: again, bytes })
}

/// Runs the library, which panics on some damaged files: to us they are damaged like any other, and
/// nothing of it is printed.
///
/// # Errors
/// What the library says, or that the file contradicts itself.
pub fn guarded<T>(read: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ParquetError> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            if !INSIDE.get() {
                before(panic);
            }
        }));
    });
    let outer = INSIDE.replace(true);
    let read = catch_unwind(AssertUnwindSafe(read));
    INSIDE.set(outer);
    read.unwrap_or_else(|_| Err(ParquetError::General("its parts contradict each other".into())))
}
