//! What a plant file consists of: one element a file. Defaults are here and nowhere else; the
//! schema for editors is generated from the same types.

mod asset;
mod deployment;
mod name;
mod plant;
mod record;
mod server;
mod sink;
mod source;
mod spool;
mod traces;
mod user;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

pub(crate) use asset::{Asset, Point};
pub(crate) use deployment::{Deployment, Fallback, Gate, State, TriggerOn};
pub(crate) use name::{ID_PATTERN, NAME_PATTERN, Named};
pub(crate) use plant::PlantHierarchy;
pub(crate) use record::Record;
pub(crate) use server::{Servers, Tls};
pub(crate) use sink::Sink;
pub(crate) use source::Source;
pub(crate) use spool::Spool;
pub(crate) use traces::Traces;
pub(crate) use user::User;

/// A plant: its equipment, where data comes from, which models judge it and who may read what
/// they say. Paths are relative to the plant file's folder.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Resonance plant file")]
pub(crate) struct PlantFile {
    /// Where the plant is, in the levels of ISA-95.
    #[serde(default)]
    pub(crate) plant: PlantHierarchy,
    /// Equipment and its points.
    #[serde(default, rename = "asset")]
    pub(crate) assets: Vec<Asset>,
    /// Where observations come from.
    #[serde(default, rename = "source")]
    pub(crate) sources: Vec<Source>,
    /// Models that judge assets.
    #[serde(default, rename = "deployment")]
    pub(crate) deployments: Vec<Deployment>,
    /// Models that are only served over the inference API.
    #[serde(default, rename = "model")]
    pub(crate) models: Vec<Model>,
    /// Where results are pushed.
    #[serde(default, rename = "sink")]
    pub(crate) sinks: Vec<Sink>,
    /// What other systems read.
    #[serde(default)]
    pub(crate) server: Servers,
    /// Who is known to the servers.
    #[serde(default, rename = "user")]
    pub(crate) users: Vec<User>,
    /// Where results wait for sinks.
    #[serde(default)]
    pub(crate) spool: Spool,
    /// Where what is served is kept. Absent: nowhere.
    #[serde(default)]
    pub(crate) record: Option<Record>,
    /// How long results took on their way, for an OpenTelemetry collector. Absent: nothing is
    /// traced.
    #[serde(default)]
    pub(crate) traces: Option<Traces>,
    /// The file that takes every event as one line of JSON. Absent: the last events are kept in
    /// memory only.
    #[serde(default)]
    pub(crate) events_file: Option<PathBuf>,
    /// What happens to model packages that carry no signature.
    #[serde(default)]
    pub(crate) unsigned: Unsigned,
}

/// A model that is only served over the inference API.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Model {
    /// The folder of the model package.
    pub(crate) folder: PathBuf,
}

/// What happens to model packages that carry no signature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unsigned {
    /// They serve, with a warning: only their digests were checked.
    #[default]
    Warn,
    /// They are refused.
    Refuse,
}
