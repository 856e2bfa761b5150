//! `model.toml`: what a package says about its model.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use resonance_plant::tensor::Meaning;
use resonance_plant::{ElementType, ModelCategory, tensor::Dim};
use serde::{Deserialize, Serialize};

/// The manifest of a model package. Unknown keys are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The manifest format; 1.
    pub format: u32,
    /// The model's name: lower-case letters, digits, `-`, `_`, `.`.
    pub name: Arc<str>,
    /// The model's version.
    pub version: Arc<str>,
    /// What kind of model it is.
    pub category: ModelCategory,
    /// One sentence for people.
    #[serde(default)]
    pub description: String,
    /// The licence of the model, an SPDX expression.
    #[serde(default)]
    pub licence: String,
    /// Where the training data came from.
    pub training: Training,
    /// Name of the ONNX file within the package.
    pub model: String,
    /// `sha256:` digests of every other file of the package, by name.
    pub files: BTreeMap<String, String>,
    /// What one inference sees; absent for models that are only served over an API.
    #[serde(default)]
    pub window: Option<WindowSpec>,
    /// The inputs, in the model's order.
    #[serde(rename = "input")]
    pub inputs: Vec<InputSpec>,
    /// The outputs.
    #[serde(rename = "output")]
    pub outputs: Vec<OutputSpec>,
    /// How exactly golden vectors must be reproduced.
    #[serde(default)]
    pub tolerance: Tolerance,
    /// The longest an inference of one row may take, microseconds.
    #[serde(default)]
    pub latency_budget_us: Option<u32>,
    /// How long an answer holds, milliseconds after the window's end.
    #[serde(default = "valid_for_ms")]
    pub valid_for_ms: u64,
}

fn valid_for_ms() -> u64 {
    10_000
}

/// Where a model's knowledge comes from. Shown with every result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// `recorded`, `simulated` or `none`.
    pub data: Arc<str>,
    /// Which data set, how it was split.
    #[serde(default)]
    pub dataset: String,
    /// Figures on data the model never saw, as the card states them: name → value.
    #[serde(default)]
    pub figures: BTreeMap<String, f64>,
}

/// The slice of history that one inference sees.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowSpec {
    /// Samples per point, at least 1.
    pub samples: u32,
    /// Time between two samples, milliseconds. Absent: the observations themselves are the
    /// samples (by count).
    #[serde(default)]
    pub period_ms: Option<u32>,
}

impl WindowSpec {
    /// The time from the first sample to the last; `None` for windows by count.
    pub fn span(&self) -> Option<Duration> {
        let steps = u64::from(self.samples.saturating_sub(1));
        self.period_ms.map(|period| Duration::from_millis(u64::from(period) * steps))
    }
}

/// One input tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputSpec {
    /// The name in the model.
    pub name: Arc<str>,
    /// The element type.
    pub element: ElementType,
    /// The shape; the first dimension is the batch and -1 where the model takes several rows.
    pub shape: Vec<Dim>,
    /// How the samples of raw features lie in a row.
    #[serde(default)]
    pub order: Order,
    /// What the elements of a row come from, in order. Empty for models only served over an API.
    #[serde(default, rename = "feature")]
    pub features: Vec<FeatureSpec>,
}

/// How raw samples lie in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// All features of the oldest sample, then of the next: `[batch, time, feature]`.
    #[default]
    TimeFeature,
    /// All samples of the first feature, then of the next: `[batch, feature, time]`.
    FeatureTime,
}

/// One feature: a point, by what it means, and what is taken of its window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureSpec {
    /// What the feature means and in which unit the model expects it.
    #[serde(flatten)]
    pub meaning: Meaning,
    /// What is taken of the window. Either `raw` alone, or numbers computed from it, in order.
    #[serde(default = "raw")]
    pub statistics: Vec<Statistic>,
    /// Multiplied after conversion to the model's unit and statistics.
    #[serde(default = "one")]
    pub scale: f64,
    /// Added after scaling.
    #[serde(default)]
    pub offset: f64,
}

fn raw() -> Vec<Statistic> {
    vec![Statistic::Raw]
}

fn one() -> f64 {
    1.0
}

/// A number, or the samples themselves, taken of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Statistic {
    /// Every sample, oldest first.
    Raw,
    /// The newest sample.
    Last,
    /// The oldest sample.
    First,
    /// The arithmetic mean.
    Mean,
    /// The population standard deviation.
    StdDev,
    /// The least sample.
    Min,
    /// The greatest sample.
    Max,
    /// Greatest minus least.
    Range,
    /// The root of the mean square.
    Rms,
    /// The slope of the least-squares line, per sample step.
    Slope,
    /// The mean of the newest five samples (fewer where the window is shorter).
    MeanLast5,
}

/// One output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputSpec {
    /// The tensor's name in the model.
    pub name: Arc<str>,
    /// The element type.
    pub element: ElementType,
    /// The shape; the first dimension is the batch.
    pub shape: Vec<Dim>,
    /// What its elements are, in order: none for an output that results do not carry.
    #[serde(default, rename = "value")]
    pub values: Vec<OutputElement>,
}

/// One value of a result, taken from an output tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputElement {
    /// The value's name in results.
    pub name: Arc<str>,
    /// Which element of the row.
    #[serde(default)]
    pub element: usize,
    /// What it means and in which unit it is.
    #[serde(flatten)]
    pub meaning: Meaning,
    /// The range the value is expected in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<[f64; 2]>,
    /// The names of the classes where the value is a class number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Arc<str>>,
    /// Half the width of the interval around the value and the share of cases it covers,
    /// measured on data the model never saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
}

/// A symmetric interval around a value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// Half its width, in the value's unit.
    pub half_width: f64,
    /// The share of cases it covers, 0 to 1.
    pub coverage: f64,
}

/// How far a value may lie from its golden vector: |a - b| <= absolute + relative * |b|.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tolerance {
    /// In the value's own scale.
    pub absolute: f64,
    /// As a share of the golden value.
    pub relative: f64,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self { absolute: 1e-5, relative: 1e-4 }
    }
}
