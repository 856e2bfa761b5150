//! `[spool]`.

use std::path::PathBuf;

use resonance_gateway::plan::DropPolicy;
use schemars::JsonSchema;
use serde::Deserialize;

/// Where results wait until every sink has them.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Spool {
    /// The SQLite file.
    pub(crate) path: PathBuf,
    /// The most it may hold, bytes of results.
    #[schemars(range(min = 1))]
    pub(crate) bytes_max: u64,
    /// The longest a result waits for a sink that is behind, seconds.
    #[schemars(range(min = 1))]
    pub(crate) age_s_max: u32,
    /// What gives way when it is full.
    pub(crate) drop: DropPolicy,
}

impl Default for Spool {
    fn default() -> Self {
        Self {
            path: "spool.sqlite".into(),
            bytes_max: 256 << 20,
            age_s_max: 7 * 24 * 3_600,
            drop: DropPolicy::Oldest,
        }
    }
}
