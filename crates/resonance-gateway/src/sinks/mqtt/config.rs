//! `[[sink]] type = "mqtt"`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::secret::SecretRef;
use crate::sinks::payload::{Acknowledge, Format};
use crate::sinks::{backoff, unconfirmed};
use crate::spool::When;

/// An MQTT 5 broker that takes results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MqttConfig {
    /// `mqtt://host:1883` or `mqtts://host:8883`.
    pub url: String,
    /// The topic; `{asset}`, `{deployment}` and `{model}` are replaced.
    #[serde(default = "defaults::topic")]
    pub topic: String,
    /// Which results are sent; absent: every one.
    #[serde(default)]
    pub when: Option<When>,
    /// The form of messages.
    #[serde(default)]
    pub format: Format,
    /// When a result counts as delivered; `confirm_bod` goes with the B2MML formats.
    #[serde(default)]
    pub acknowledge: Acknowledge,
    /// With `confirm_bod`: the topic on which the application confirms; absent:
    /// `resonance/<client id>/reply`.
    #[serde(default)]
    pub reply_topic: Option<String>,
    /// With `confirm_bod`: a result that is not confirmed within this time is sent again,
    /// milliseconds.
    #[serde(default = "defaults::confirm_ms_max")]
    pub confirm_ms_max: u32,
    /// With `confirm_bod`: a result that was taken and not confirmed this many times in a row
    /// becomes a dead letter, and the next one has its turn.
    #[serde(default = "unconfirmed::max_by_default")]
    pub unconfirmed_max: u16,
    /// The client id; absent: `resonance-` and the sink's id.
    #[serde(default)]
    pub client_id: Option<String>,
    /// The user name.
    #[serde(default)]
    pub user: Option<String>,
    /// Where the password is: `env:NAME` or `file:PATH`.
    #[serde(default)]
    pub password: Option<SecretRef>,
    /// PEM file with the certificates of the authorities to trust; absent with `mqtts`: the
    /// system's.
    #[serde(default)]
    pub ca_file: Option<String>,
    /// Whether the broker keeps the last result of a topic for new subscribers.
    #[serde(default)]
    pub retain: bool,
    /// Results under way without acknowledgement.
    #[serde(default = "defaults::in_flight_max")]
    pub in_flight_max: u16,
    /// The longest wait between two attempts to connect, milliseconds.
    #[serde(default = "backoff::ms_max_by_default")]
    pub backoff_ms_max: u32,
}

impl MqttConfig {
    /// The defaults, for the broker at this URL.
    pub fn for_broker(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            topic: defaults::topic(),
            when: None,
            format: Format::default(),
            acknowledge: Acknowledge::default(),
            reply_topic: None,
            confirm_ms_max: defaults::confirm_ms_max(),
            unconfirmed_max: unconfirmed::max_by_default(),
            client_id: None,
            user: None,
            password: None,
            ca_file: None,
            retain: false,
            in_flight_max: defaults::in_flight_max(),
            backoff_ms_max: backoff::ms_max_by_default(),
        }
    }
}

mod defaults {
    pub(super) fn topic() -> String {
        "resonance/{asset}/{deployment}/result".into()
    }
    pub(super) fn confirm_ms_max() -> u32 {
        30_000
    }
    pub(super) fn in_flight_max() -> u16 {
        64
    }
}
