//! A copy of the spool as it is at one moment, while a gateway writes on.

use std::path::Path;

use super::SpoolError;
use super::error;
use super::store;

/// Copies the spool into a file that is not there yet: results, the place of every sink, sequence
/// numbers and dead letters, all of one moment.
///
/// # Errors
/// Where there is no spool, it is something else or of another version, or the copy cannot be
/// written.
pub fn copy(path: &Path, to: &Path) -> Result<(), SpoolError> {
    let connection = store::open_beside(path)?;
    let to = to.display().to_string();
    let copied = connection.execute("VACUUM INTO ?1", [to]);
    copied.map(drop).map_err(|source| error::of(path, source))
}
