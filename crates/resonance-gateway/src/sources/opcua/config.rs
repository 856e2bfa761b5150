//! `[[source]] type = "opcua"`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::secret::SecretRef;

/// A machine that is an OPC UA server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpcUaConfig {
    /// The server's address: `opc.tcp://host:port/path`.
    pub url: String,
    /// Where the machine connects to, `address:port`, instead of being connected to (reverse
    /// connect). `url` is then what it says of itself.
    #[serde(default)]
    pub listen: Option<std::net::SocketAddr>,
    /// The application URI that a machine which connects must say.
    #[serde(default)]
    pub server_uri: Option<String>,
    /// The security policy. Weaker ones than `basic256sha256`, and `none`, must be allowed with
    /// `allow_weak_security`.
    #[serde(default)]
    pub security_policy: SecurityPolicy,
    /// How messages are protected; `none` only with policy `none`.
    #[serde(default)]
    pub security_mode: SecurityMode,
    /// Allows security policies that are broken or absent.
    #[serde(default)]
    pub allow_weak_security: bool,
    /// The user name; absent: anonymous.
    #[serde(default)]
    pub user: Option<String>,
    /// Where the password is: `env:NAME` or `file:PATH`.
    #[serde(default)]
    pub password: Option<SecretRef>,
    /// A user's certificate, DER or PEM, instead of a user name; needs `user_key`.
    #[serde(default)]
    pub user_certificate: Option<std::path::PathBuf>,
    /// Where the key of `user_certificate` is, PEM without a password.
    #[serde(default)]
    pub user_key: Option<SecretRef>,
    /// SHA-256 fingerprint of the server's certificate, hexadecimal; trusts exactly this one.
    #[serde(default)]
    pub server_fingerprint: Option<String>,
    /// Trusts whatever certificate the server shows. For first contact in a closed network.
    #[serde(default)]
    pub trust_any_certificate: bool,
    /// Admits machines of trusted authorities of which no valid revocation list is at hand.
    #[serde(default)]
    pub allow_unknown_revocation: bool,
    /// The folder of certificates: ours in `own`, those we trust in `trusted` and so on
    /// (docs/opcua.md). Absent: one for all sources, in the user's data folder.
    #[serde(default)]
    pub pki: Option<std::path::PathBuf>,
    /// Which time an observation carries.
    #[serde(default)]
    pub time: TimeFrom,
    /// How often the server sends notifications, milliseconds.
    #[serde(default = "defaults::publishing_ms")]
    pub publishing_ms: u32,
    /// How often the server samples a point, milliseconds, unless the point says otherwise.
    #[serde(default = "defaults::sampling_ms")]
    pub sampling_ms: u32,
    /// Values the server keeps for a point between two notifications.
    #[serde(default = "defaults::queue_size")]
    pub queue_size: u32,
    /// Monitored items created with one request.
    #[serde(default = "defaults::items_per_request")]
    pub items_per_request: u32,
    /// Monitored items in one subscription.
    #[serde(default = "defaults::items_per_subscription")]
    pub items_per_subscription: u32,
    /// How far back a machine's history is read after an outage, where it has one, seconds; 0: not
    /// at all. Only with `time = "source"`.
    #[serde(default = "defaults::backfill_s_max")]
    pub backfill_s_max: u32,
    /// Values read from a machine's history after one outage.
    #[serde(default = "defaults::backfill_values_max")]
    pub backfill_values_max: u32,
    /// Without any message for this long, the session is given up and made anew, milliseconds.
    #[serde(default = "defaults::silence_ms_max")]
    pub silence_ms_max: u32,
    /// The longest wait between two attempts to connect, milliseconds.
    #[serde(default = "defaults::backoff_ms_max")]
    pub backoff_ms_max: u32,
    /// Without an answer for this long, a request has failed, milliseconds.
    #[serde(default = "defaults::request_timeout_ms")]
    pub request_timeout_ms: u32,
}

impl OpcUaConfig {
    /// Whether the password goes to whoever connects from the network and says that he is the machine.
    pub fn tells_password_to_anyone(&self) -> bool {
        let from_elsewhere = self.listen.is_some_and(|at| !at.ip().to_canonical().is_loopback());
        let is_proved = self.security_policy != SecurityPolicy::None
            && (!self.trust_any_certificate || self.server_fingerprint.is_some());
        from_elsewhere && self.password.is_some() && !is_proved
    }
}

/// OPC UA security policies (OPC 10000-7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SecurityPolicy {
    /// No protection at all.
    None,
    /// Broken: SHA-1.
    Basic128rsa15,
    /// Broken: SHA-1.
    Basic256,
    /// The least that is safe.
    #[default]
    Basic256sha256,
    /// AES-128, SHA-256, OAEP.
    Aes128Sha256Rsaoaep,
    /// AES-256, SHA-256, PSS.
    Aes256Sha256Rsapss,
}

/// OPC UA message security modes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SecurityMode {
    /// Neither signed nor encrypted.
    None,
    /// Signed.
    Sign,
    /// Signed and encrypted.
    #[default]
    SignAndEncrypt,
}

/// Which time an observation carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TimeFrom {
    /// The time of the sensor or controller, as sent.
    #[default]
    Source,
    /// The time of the machine's server.
    Server,
    /// The time of receipt.
    Receive,
}

mod defaults {
    pub(super) fn publishing_ms() -> u32 {
        100
    }
    pub(super) fn sampling_ms() -> u32 {
        100
    }
    pub(super) fn queue_size() -> u32 {
        16
    }
    pub(super) fn items_per_request() -> u32 {
        1_000
    }
    pub(super) fn items_per_subscription() -> u32 {
        10_000
    }
    pub(super) fn backfill_s_max() -> u32 {
        3_600
    }
    pub(super) fn backfill_values_max() -> u32 {
        1_000_000
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
