//! `model.toml`: what a package says about its model.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use resonance_plant::tensor::Meaning;
use resonance_plant::{
    ElementType, ModelCategory, Qualifier, QuantityKind, SemanticId, TensorSpec, Unit, tensor::Dim,
};
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
    /// `sha256:` digests of every other file of the package, by name. `golden.json` is one.
    /// `resonance model pack` writes them.
    #[serde(default)]
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
    /// The parts of the data set (machines, runs) that the model never saw and that its figures
    /// were taken on, as the data set names them.
    #[serde(default)]
    pub held_out: Vec<String>,
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

impl Manifest {
    /// Whether results can be made of its answers: its inputs say which points feed them.
    pub fn is_deployable(&self) -> bool {
        self.inputs.iter().all(|input| !input.features.is_empty())
    }

    /// Every value of a result, in order, each with the output that holds it.
    pub fn values(&self) -> impl Iterator<Item = (&OutputSpec, &OutputElement)> {
        self.outputs
            .iter()
            .flat_map(|output| output.values.iter().map(move |value| (output, value)))
    }
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

impl InputSpec {
    /// The tensor alone.
    pub fn tensor(&self) -> TensorSpec {
        TensorSpec {
            name: Arc::clone(&self.name),
            element: self.element,
            shape: self.shape.clone(),
        }
    }
}

impl OutputSpec {
    /// The tensor alone.
    pub fn tensor(&self) -> TensorSpec {
        TensorSpec {
            name: Arc::clone(&self.name),
            element: self.element,
            shape: self.shape.clone(),
        }
    }
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
#[serde(from = "FeatureKeys", into = "FeatureKeys")]
pub struct FeatureSpec {
    /// What the feature means and in which unit the model expects it.
    pub meaning: Meaning,
    /// What is taken of the window. Either `raw` alone, or numbers computed from it, in order.
    pub statistics: Vec<Statistic>,
    /// The numbers of the point's newest value, where that is a profile or an image: `statistics`
    /// are then taken of them rather than of samples in time. Absent: the point is one number.
    pub elements: Option<u32>,
    /// Multiplied after conversion to the model's unit and statistics.
    pub scale: f64,
    /// Added after scaling.
    pub offset: f64,
}

/// [`FeatureSpec`] as it is written. Spelled out, since serde cannot both flatten the meaning and
/// refuse unknown keys with their place.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FeatureKeys {
    semantic_id: SemanticId,
    #[serde(default, skip_serializing_if = "Qualifier::is_none")]
    qualifier: Qualifier,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quantity: Option<QuantityKind>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unit: Option<Unit>,
    #[serde(default = "raw")]
    statistics: Vec<Statistic>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    elements: Option<u32>,
    #[serde(default = "one")]
    scale: f64,
    #[serde(default)]
    offset: f64,
}

impl From<FeatureKeys> for FeatureSpec {
    fn from(keys: FeatureKeys) -> Self {
        let FeatureKeys { semantic_id, qualifier, quantity, unit, .. } = keys;
        let meaning = Meaning { semantic_id, qualifier, quantity, unit };
        let FeatureKeys { statistics, elements, scale, offset, .. } = keys;
        Self { meaning, statistics, elements, scale, offset }
    }
}

impl From<FeatureSpec> for FeatureKeys {
    fn from(feature: FeatureSpec) -> Self {
        let Meaning { semantic_id, qualifier, quantity, unit } = feature.meaning;
        let FeatureSpec { statistics, elements, scale, offset, .. } = feature;
        Self { semantic_id, qualifier, quantity, unit, statistics, elements, scale, offset }
    }
}

/// [`OutputElement`] as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OutputKeys {
    name: Arc<str>,
    #[serde(default)]
    element: usize,
    semantic_id: SemanticId,
    #[serde(default, skip_serializing_if = "Qualifier::is_none")]
    qualifier: Qualifier,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quantity: Option<QuantityKind>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unit: Option<Unit>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    range: Option<[f64; 2]>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    labels: Vec<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    interval: Option<Interval>,
}

impl From<OutputKeys> for OutputElement {
    fn from(keys: OutputKeys) -> Self {
        let OutputKeys { semantic_id, qualifier, quantity, unit, .. } = keys;
        let meaning = Meaning { semantic_id, qualifier, quantity, unit };
        let OutputKeys { name, element, range, labels, interval, .. } = keys;
        Self { name, element, meaning, range, labels, interval }
    }
}

impl From<OutputElement> for OutputKeys {
    fn from(value: OutputElement) -> Self {
        let Meaning { semantic_id, qualifier, quantity, unit } = value.meaning;
        let OutputElement { name, element, range, labels, interval, .. } = value;
        Self { name, element, semantic_id, qualifier, quantity, unit, range, labels, interval }
    }
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
#[serde(from = "OutputKeys", into = "OutputKeys")]
pub struct OutputElement {
    /// The value's name in results.
    pub name: Arc<str>,
    /// Which element of the row.
    pub element: usize,
    /// What it means and in which unit it is.
    pub meaning: Meaning,
    /// The range the value is expected in.
    pub range: Option<[f64; 2]>,
    /// The names of the classes where the value is a class number.
    pub labels: Vec<Arc<str>>,
    /// Half the width of the interval around the value and the share of cases it covers,
    /// measured on data the model never saw.
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
