//! `[[source]] type = "replay"`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A recording, played as a machine: a CSV file whose first row names the columns, or a Parquet
/// file. Addresses of points are names of columns. A field that is empty is no observation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayConfig {
    /// The file, relative to the plant file's folder.
    pub file: PathBuf,
    /// What stands between two fields of a CSV file.
    #[serde(default)]
    pub separator: Separator,
    /// The column that tells when a row was recorded. Absent: rows follow after `period_ms`.
    #[serde(default)]
    pub time_column: Option<String>,
    /// What the time column holds, unless it is one of instants in a Parquet file.
    #[serde(default)]
    pub time_unit: TimeUnit,
    /// Between two rows, milliseconds, where no column tells the time.
    #[serde(default = "defaults::period_ms")]
    pub period_ms: u32,
    /// How many times faster than recorded.
    #[serde(default = "defaults::speed")]
    pub speed: f64,
    /// Whether it begins anew at its end.
    #[serde(default)]
    pub repeat: bool,
    /// Which time an observation carries: that at which it is played (`now`), as a live machine's,
    /// or that in the time column (`recorded`).
    #[serde(default)]
    pub time: ReplayTime,
}

/// What stands between two fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Separator {
    /// `,`
    #[default]
    Comma,
    /// `;`
    Semicolon,
    /// A tabulator.
    Tab,
}

/// What a time column holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TimeUnit {
    /// Seconds.
    #[default]
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// Microseconds.
    Microseconds,
    /// Nanoseconds.
    Nanoseconds,
    /// A date and time such as `2026-11-21T08:00:00Z`.
    Rfc3339,
}

/// Which time an observation carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplayTime {
    /// The time at which it is played.
    #[default]
    Now,
    /// The time in the time column, counted from 1970.
    Recorded,
}

mod defaults {
    pub(super) fn period_ms() -> u32 {
        100
    }
    pub(super) fn speed() -> f64 {
        1.0
    }
}
