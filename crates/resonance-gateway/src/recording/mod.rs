//! What was served, kept: the windows that models saw with what they answered, and what machines
//! said, as Parquet files that other programs read too; and the same windows run again.
//!
//! The hub hands over what it is done with and never waits: what the recording cannot keep is
//! counted and told of. Without a recording nothing is copied and nothing allocated.

mod columns;
mod error;
mod folder;
mod observations;
mod recorder;
mod replay;
mod table;
#[cfg(test)]
mod tests;
mod windows;

use std::path::PathBuf;
use std::time::Duration;

pub use error::RecordingError;
pub use folder::{MODELS, files_of_windows};
pub use recorder::{Recorded, RecordingCounters};
pub(crate) use recorder::{Recorder, Recording};
pub use replay::{Difference, Replayed, replay};
pub(crate) use windows::ServedRow;
pub use windows::WindowsHeader;

/// Where windows and observations are kept, and how much of them.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordingPlan {
    /// The folder; made if absent.
    pub folder: PathBuf,
    /// The most that finished files may hold, bytes; the oldest give way.
    pub bytes_max: u64,
    /// A file is finished at about this size, bytes.
    pub file_bytes_max: u64,
    /// A file is finished after this time: what a crash can take.
    pub file_age_max: Duration,
    /// Whether what machines say is kept besides the windows.
    pub observations: bool,
}

impl RecordingPlan {
    /// The defaults, in a folder.
    pub fn into_folder(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            bytes_max: 10 << 30,
            file_bytes_max: 128 << 20,
            file_age_max: Duration::from_secs(60),
            observations: true,
        }
    }
}
