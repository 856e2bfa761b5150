//! `[record]`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

/// What is served, kept as Parquet files: every window that a model sees with its answer, and every
/// observation as the machines sent it. Absent: nothing is kept.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    /// The folder; made if absent.
    pub(crate) folder: PathBuf,
    /// The most that it may hold, bytes; its oldest files give way.
    #[serde(default = "bytes_max")]
    #[schemars(range(min = 1))]
    pub(crate) bytes_max: u64,
    /// A file is finished at about this size, bytes.
    #[serde(default = "file_bytes_max")]
    #[schemars(range(min = 1))]
    pub(crate) file_bytes_max: u64,
    /// A file is finished after this time, seconds: what a crash can take.
    #[serde(default = "file_age_s_max")]
    #[schemars(range(min = 1))]
    pub(crate) file_age_s_max: u32,
    /// Whether observations are kept besides the windows.
    #[serde(default = "observations")]
    pub(crate) observations: bool,
}

fn bytes_max() -> u64 {
    10 << 30
}

fn file_bytes_max() -> u64 {
    128 << 20
}

fn file_age_s_max() -> u32 {
    60
}

fn observations() -> bool {
    true
}
