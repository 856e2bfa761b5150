//! `[[source]]`.

use resonance_gateway::sources::image::ImageConfig;
use resonance_gateway::sources::mtconnect::MtconnectConfig;
use resonance_gateway::sources::opcua::OpcUaConfig;
use resonance_gateway::sources::replay::ReplayConfig;
use schemars::JsonSchema;
use serde::Deserialize;

use super::Named;

/// Where observations come from; `type` says what kind.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Source {
    /// Images of parts.
    Image(Named<ImageConfig>),
    /// An MTConnect agent.
    Mtconnect(Named<MtconnectConfig>),
    /// An OPC UA server.
    Opcua(Named<OpcUaConfig>),
    /// A recording.
    Replay(Named<ReplayConfig>),
}

impl Source {
    /// The name in the plant file.
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Image(named) => &named.id,
            Self::Mtconnect(named) => &named.id,
            Self::Opcua(named) => &named.id,
            Self::Replay(named) => &named.id,
        }
    }
}
