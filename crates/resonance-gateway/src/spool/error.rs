//! Why a spool cannot be opened.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// Why a spool cannot be opened, or a cursor not be had.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The folder or the lock file cannot be made: the configuration's fault.
    #[error("{}: the result spool cannot be made here: {source}; check the folder and its \
             permissions", path.display())]
    Folder {
        /// The spool's file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Another process has it: the configuration's fault.
    #[error("{}: another process uses this result spool; end it, or give each gateway a file of \
             its own", .0.display())]
    InUse(PathBuf),
    /// The file is a SQLite file of something else: the configuration's fault. Nothing was touched.
    #[error("{}: this SQLite file is not a result spool; name another file", .0.display())]
    Foreign(PathBuf),
    /// The file was written by a newer version: the configuration's fault. Nothing was touched.
    #[error("{}: this result spool has format {found}, this version knows {known}; run the newer \
             version, or name another file", path.display())]
    Newer {
        /// The spool's file.
        path: PathBuf,
        /// The format found.
        found: i64,
        /// The newest format known.
        known: i64,
    },
    /// The file was written by an older version: the configuration's fault. Nothing was touched.
    #[error("{}: an older version wrote this result spool; start the gateway with this version \
             once", .0.display())]
    Older(PathBuf),
    /// Its queue has no room: the disk does not take results fast enough.
    #[error("{}: the result spool is too busy to take other sinks; try again when it is not \
             behind", .0.display())]
    Busy(PathBuf),
    /// There is no such file: the configuration's fault.
    #[error("{}: there is no result spool here; a gateway with a sink begins one", .0.display())]
    Absent(PathBuf),
    /// The file cannot be read or written: the system's fault.
    #[error("{}: the result spool cannot be used: {source}; check free space and permissions",
            path.display())]
    Sqlite {
        /// The spool's file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// The thread that writes cannot be started: the system's fault.
    #[error("the result spool's thread cannot be started: {0}; raise the limit of threads")]
    Thread(std::io::Error),
    /// The spool was opened without this sink: our fault.
    #[error("the result spool was not opened for a sink named {0:?}")]
    UnknownSink(String),
}

/// SQLite's error about this file.
pub(super) fn of(path: &Path, source: rusqlite::Error) -> SpoolError {
    SpoolError::Sqlite { path: path.to_path_buf(), source }
}

/// Whether the file itself is damaged, so that no retry helps.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::SqliteFailure(failure, message) => {
            // A table that is not there, in a file that says it is a spool, is damage as well.
            matches!(failure.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
                || message.as_deref().is_some_and(|text| text.starts_with("no such "))
        }
        rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..) => true,
        _ => false,
    }
}
