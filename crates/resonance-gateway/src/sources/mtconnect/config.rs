//! `[[source]] type = "mtconnect"`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::secret::SecretRef;
use crate::sources::opcua::config::TimeFrom;

/// A machine behind an MTConnect agent, versions 1.8 to 2.7. Addresses of points are ids of data
/// items; `id#key` is an entry of a data set, `id#row#column` a cell of a table. A condition is 0
/// (normal), 1 (warning) or 2 (fault) as a number, and what is active as a text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MtconnectConfig {
    /// The agent's address: `http://host:port` or `https://host:port`, with a path where the
    /// agent is below one.
    pub url: String,
    /// The name or uuid of the one device to read. Absent: all of the agent's, which lets every
    /// lost observation be noticed.
    #[serde(default)]
    pub device: Option<String>,
    /// PEM file of the authorities to trust with https. Absent: the system's.
    #[serde(default)]
    pub ca_file: Option<String>,
    /// The user name (HTTP Basic); only with https, or on this machine.
    #[serde(default)]
    pub user: Option<String>,
    /// Where the password is: `env:NAME` or `file:PATH`.
    #[serde(default)]
    pub password: Option<SecretRef>,
    /// Which time an observation carries: of the machine (`source`), of the agent's document
    /// (`server`) or of receipt (`receive`).
    #[serde(default)]
    pub time: TimeFrom,
    /// How often the agent sends what is new, milliseconds.
    #[serde(default = "defaults::interval_ms")]
    pub interval_ms: u32,
    /// How long the agent may be silent while nothing is new, milliseconds.
    #[serde(default = "defaults::heartbeat_ms")]
    pub heartbeat_ms: u32,
    /// The most observations in one document; never more than the agent's buffer holds.
    #[serde(default = "defaults::count_max")]
    pub count_max: u32,
    /// The longest document, bytes; a longer one is refused.
    #[serde(default = "defaults::document_bytes_max")]
    pub document_bytes_max: u32,
    /// Without a document for this long, the connection is given up and made anew, milliseconds.
    #[serde(default = "defaults::silence_ms_max")]
    pub silence_ms_max: u32,
    /// The longest wait between two attempts to connect, milliseconds.
    #[serde(default = "defaults::backoff_ms_max")]
    pub backoff_ms_max: u32,
    /// Without an answer for this long, a request has failed, milliseconds.
    #[serde(default = "defaults::request_timeout_ms")]
    pub request_timeout_ms: u32,
}

mod defaults {
    pub(super) fn interval_ms() -> u32 {
        100
    }
    pub(super) fn heartbeat_ms() -> u32 {
        5_000
    }
    pub(super) fn count_max() -> u32 {
        10_000
    }
    pub(super) fn document_bytes_max() -> u32 {
        64 << 20
    }
    pub(super) fn silence_ms_max() -> u32 {
        15_000
    }
    pub(super) fn backoff_ms_max() -> u32 {
        30_000
    }
    pub(super) fn request_timeout_ms() -> u32 {
        10_000
    }
}
