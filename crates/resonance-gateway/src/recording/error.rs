//! Why a recording cannot be written or read.

use std::fmt::Display;
use std::path::{Path, PathBuf};

/// Why a recording cannot be written or read. Names the file.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RecordingError {
    /// The system refuses to write.
    #[error("{} cannot be written: {reason}", file.display())]
    Write {
        /// Which file or folder.
        file: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// Another process records into the folder.
    #[error("{}: another process records into this folder; end it, or give each gateway a folder \
             of its own", .0.display())]
    InUse(PathBuf),
    /// The system refuses to read.
    #[error("{} cannot be read: {reason}", file.display())]
    Read {
        /// Which file or folder.
        file: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The file is cut off, or no Parquet at all.
    #[error("{} is no whole Parquet file: {reason}; leave it out", file.display())]
    Damaged {
        /// Which file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The file holds something else.
    #[error("{} holds no recorded windows: {reason}", file.display())]
    Foreign {
        /// Which file.
        file: PathBuf,
        /// What is missing or unknown.
        reason: String,
    },
    /// A column is not as it was recorded.
    #[error("{}: column {column:?}: {problem}", file.display())]
    Column {
        /// Which file.
        file: PathBuf,
        /// Which column.
        column: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// A row contradicts the others.
    #[error("{}: row {row}: {problem}", file.display())]
    Row {
        /// Which file.
        file: PathBuf,
        /// Which row, from zero.
        row: usize,
        /// What is wrong.
        problem: String,
    },
    /// The model is another than the windows were made for.
    #[error("{}: {problem}", file.display())]
    Model {
        /// Which file of windows.
        file: PathBuf,
        /// What is wrong, and what would be right.
        problem: String,
    },
}

impl RecordingError {
    pub(super) fn write(file: &Path, error: &dyn Display) -> Self {
        Self::Write { file: file.to_owned(), reason: error.to_string() }
    }

    pub(super) fn read(file: &Path, error: &dyn Display) -> Self {
        Self::Read { file: file.to_owned(), reason: error.to_string() }
    }

    pub(super) fn damaged(file: &Path, error: &dyn Display) -> Self {
        Self::Damaged { file: file.to_owned(), reason: error.to_string() }
    }
}
