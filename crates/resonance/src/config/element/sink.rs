//! `[[sink]]`.

use resonance_gateway::sinks::http::HttpConfig;
use resonance_gateway::sinks::mqtt::MqttConfig;
use schemars::JsonSchema;
use serde::Deserialize;

use super::Named;

/// Where results are pushed; `type` says what kind.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Sink {
    /// A system that takes results over HTTP, such as a MES.
    Http(Named<HttpConfig>),
    /// An MQTT 5 broker.
    Mqtt(Named<MqttConfig>),
}

impl Sink {
    /// The name in the plant file.
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Http(named) => &named.id,
            Self::Mqtt(named) => &named.id,
        }
    }
}
