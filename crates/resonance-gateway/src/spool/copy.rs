//! A copy of the spool as it is at one moment, while a gateway writes on.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::SpoolError;
use super::error;
use super::store::{self, Found};

/// Copies the spool into a file that is not there yet: results, the place of every sink, sequence
/// numbers and dead letters, all of one moment.
///
/// # Errors
/// Where there is no spool, it is something else or of another version, or the copy cannot be
/// written.
pub fn copy(path: &Path, to: &Path) -> Result<(), SpoolError> {
    if !path.exists() {
        return Err(SpoolError::Absent(path.into()));
    }
    let failed = |source| error::of(path, source);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(store::BUSY).map_err(failed)?;
    if store::identify(&connection, path)? != Found::Current {
        return Err(SpoolError::Older(path.into()));
    }
    let to = to.display().to_string();
    connection.execute("VACUUM INTO ?1", [to]).map(drop).map_err(failed)
}
