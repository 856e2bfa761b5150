//! `[traces]`.

use std::path::PathBuf;

use resonance_gateway::secret::SecretRef;
use schemars::JsonSchema;
use serde::Deserialize;

/// How long results took on their way, stage by stage, for an OpenTelemetry collector. Absent:
/// nothing is traced.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Traces {
    /// Where the collector takes OTLP over HTTP: `http://host:4318/v1/traces`, or `https`.
    pub(crate) url: String,
    /// The share of results that are traced.
    #[serde(default = "ratio")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(crate) ratio: f64,
    /// What this gateway is called among others (`service.name`).
    #[serde(default = "service_name")]
    pub(crate) service_name: String,
    /// Where a bearer token is: `env:NAME` or `file:PATH`.
    #[serde(default)]
    pub(crate) token: Option<SecretRef>,
    /// PEM file with the certificates of the authorities to trust; absent with `https`: the
    /// system's.
    #[serde(default)]
    pub(crate) ca_file: Option<PathBuf>,
    /// The longest a span waits for others to be sent with, milliseconds.
    #[serde(default = "every_ms")]
    pub(crate) every_ms: u32,
    /// A request that is not answered within this time has failed, milliseconds.
    #[serde(default = "timeout_ms")]
    pub(crate) timeout_ms: u32,
}

fn ratio() -> f64 {
    0.01
}

fn service_name() -> String {
    "resonance".into()
}

fn every_ms() -> u32 {
    1_000
}

fn timeout_ms() -> u32 {
    10_000
}
