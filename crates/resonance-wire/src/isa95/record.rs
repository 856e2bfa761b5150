//! A result as the spool keeps it: JSON (docs/specs/result-record.md), read without copying what
//! need not be copied.

use std::borrow::Cow;

use resonance_plant::{ModelCategory, Status};
use serde::Deserialize;
use serde_json::Value;

use super::RecordError;
use super::error::quoted;

/// One result. Fields are those of the result record; instants stay as they are written.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[expect(missing_docs, reason = "docs/specs/result-record.md describes every field")]
pub struct Answer<'a> {
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    #[serde(borrow)]
    pub deployment: Cow<'a, str>,
    #[serde(borrow)]
    pub asset: Cow<'a, str>,
    #[serde(borrow, default)]
    pub equipment_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub physical_asset_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub part_id: Option<Cow<'a, str>>,
    pub category: ModelCategory,
    #[serde(borrow)]
    pub model: Model<'a>,
    pub sequence: u64,
    #[serde(borrow)]
    pub outputs: Vec<Output<'a>>,
    #[serde(borrow)]
    pub window: Window<'a>,
    #[serde(borrow)]
    pub source_time: Cow<'a, str>,
    #[serde(borrow)]
    pub computed_at: Cow<'a, str>,
    #[serde(borrow)]
    pub valid_until: Cow<'a, str>,
    pub latency: Latency,
    pub status: Status,
    pub backfilled: bool,
}

/// Which model answered.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Model<'a> {
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    #[serde(borrow)]
    pub version: Cow<'a, str>,
    #[serde(borrow)]
    pub digest: Cow<'a, str>,
    #[serde(borrow)]
    pub engine: Cow<'a, str>,
    #[serde(borrow)]
    pub trained_on: Cow<'a, str>,
    #[serde(borrow)]
    pub fallback: Option<Cow<'a, str>>,
}

/// One value of an answer.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[expect(missing_docs, reason = "docs/specs/result-record.md describes every field")]
pub struct Output<'a> {
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    pub value: Value,
    #[serde(borrow, default)]
    pub label: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub unit: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub semantic_id: Option<Cow<'a, str>>,
    #[serde(default)]
    pub uncertainty: Option<Uncertainty>,
    pub status: Status,
}

/// How wide the truth may lie.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Uncertainty {
    pub low: Option<f64>,
    pub high: Option<f64>,
    pub coverage: Option<f64>,
}

/// What it was computed from.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Window<'a> {
    #[serde(borrow)]
    pub from: Cow<'a, str>,
    #[serde(borrow)]
    pub to: Cow<'a, str>,
    pub samples: u32,
    #[serde(borrow)]
    pub points: Vec<Cow<'a, str>>,
    pub worst_status: Status,
}

/// How long it took, microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Latency {
    pub inference_us: u32,
    pub total_us: u32,
    pub budget_us: u32,
}

impl<'a> Answer<'a> {
    /// Reads a result's JSON. Unknown members are left aside.
    ///
    /// # Errors
    /// Where it is not the JSON of a result.
    pub fn read(json: &'a [u8]) -> Result<Self, RecordError> {
        serde_json::from_slice(json).map_err(|error| RecordError(quoted(&error.to_string())))
    }
}
