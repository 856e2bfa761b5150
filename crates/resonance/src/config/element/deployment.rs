//! `[[deployment]]`.

use std::path::PathBuf;

use resonance_gateway::remote::RemoteConfig;
use resonance_plant::SemanticId;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::schema;

/// A model that judges an asset.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Deployment {
    /// The name, unique in the file. Its results become points of the asset: `id.output`.
    #[schemars(schema_with = "schema::name::<0>")]
    pub(crate) id: String,
    /// The folder of the model package.
    pub(crate) model: PathBuf,
    /// The asset that the results are about and whose points are the inputs.
    pub(crate) asset: String,
    /// When to infer. Absent: whenever an input changes.
    #[serde(default)]
    pub(crate) trigger: Trigger,
    /// The oldest an input may be, milliseconds. Only for points that are reported cyclically;
    /// absent: freshness follows the source's session.
    #[serde(default)]
    pub(crate) max_age_ms: Option<u32>,
    /// Another server of the Open Inference Protocol v2 that runs the model. Absent: this process.
    #[serde(default)]
    pub(crate) remote: Option<RemoteConfig>,
    /// What happens when the model cannot answer.
    #[serde(default)]
    pub(crate) fallback: Fallback,
    /// The condition under which results are given at all.
    #[serde(default)]
    pub(crate) gate: Option<Gate>,
    /// The point that names the part which is judged, such as `part_id`: of the same asset, or
    /// `asset.point`. Results carry its value.
    #[serde(default)]
    pub(crate) part: Option<String>,
    /// Inputs that are not to be found by their semantic id alone.
    #[serde(default, rename = "binding")]
    pub(crate) bindings: Vec<BindingOverride>,
}

/// When to infer: `{ on = "change", at_most_every_ms = 100 }`, `{ every_ms = 500 }` or
/// `{ on = "event", point = "cycle_done" }`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Trigger {
    /// What makes it infer. Absent: the period `every_ms`, or else a change of any input.
    #[serde(default)]
    pub(crate) on: Option<TriggerOn>,
    /// The period, milliseconds, at least 1.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub(crate) every_ms: Option<u32>,
    /// With `on = "change"`: the least time between two inferences, milliseconds.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub(crate) at_most_every_ms: Option<u32>,
    /// With `on = "event"`: the point whose change of value triggers; `point` of the same asset
    /// or `asset.point`.
    #[serde(default)]
    pub(crate) point: Option<String>,
}

/// What makes a deployment infer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TriggerOn {
    /// An observation of any input.
    Change,
    /// A change of one point's value.
    Event,
}

/// What happens when the model cannot answer.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Fallback {
    /// No result until the model answers again.
    #[default]
    Fail,
    /// The last answer again, with status UncertainLastUsableValue.
    HoldLast,
    /// Another model answers.
    FallBackTo {
        /// The folder of the other model package, which this process runs; it has the same inputs
        /// and outputs. With `remote`, it may be the deployment's own.
        model: PathBuf,
    },
}

/// The condition under which results are given: either `within` or `one_of`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Gate {
    /// `point` of the same asset or `asset.point`.
    pub(crate) point: String,
    /// Open while the value is between these two, both included.
    #[serde(default)]
    pub(crate) within: Option<[f64; 2]>,
    /// Open while the value's text, label or number is one of these.
    #[serde(default)]
    #[schemars(schema_with = "schema::states")]
    pub(crate) one_of: Option<Vec<State>>,
    /// How long the condition must have held, milliseconds: the machine warms up.
    #[serde(default)]
    pub(crate) settle_ms: u32,
}

/// A value of a state: its label or text, its number, or true and false.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "toml::Value")]
pub(crate) struct State(pub(crate) String);

impl TryFrom<toml::Value> for State {
    type Error = &'static str;

    fn try_from(value: toml::Value) -> Result<Self, Self::Error> {
        match value {
            toml::Value::String(text) => Ok(Self(text)),
            toml::Value::Integer(number) => Ok(Self(number.to_string())),
            toml::Value::Boolean(truth) => Ok(Self(truth.to_string())),
            _ => Err("a state is a text, a whole number, true or false"),
        }
    }
}

/// Binds an input of the model to a point by name.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BindingOverride {
    /// The semantic id by which the model asks.
    #[schemars(with = "String")]
    pub(crate) feature: SemanticId,
    /// The component by which the model asks.
    #[serde(default)]
    pub(crate) qualifier: String,
    /// The point that it gets: `point` of the same asset or `asset.point`.
    pub(crate) point: String,
}
