//! `[[sink]] type = "http"`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::secret::SecretRef;
use crate::sinks::payload::{Acknowledge, Format};
use crate::sinks::{backoff, unconfirmed};
use crate::spool::When;

/// A system that takes results over HTTP, such as a MES.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// `http://host/path` or `https://host/path`; results are posted there.
    pub url: String,
    /// Which results are sent; absent: every one.
    #[serde(default)]
    pub when: Option<When>,
    /// The form of messages.
    #[serde(default)]
    pub format: Format,
    /// When a result counts as delivered; `confirm_bod` goes with the B2MML formats.
    #[serde(default)]
    pub acknowledge: Acknowledge,
    /// With `confirm_bod`: a result that was taken and not confirmed this many times in a row
    /// becomes a dead letter, and the next one has its turn.
    #[serde(default = "unconfirmed::max_by_default")]
    pub unconfirmed_max: u16,
    /// The user name (Basic authentication).
    #[serde(default)]
    pub user: Option<String>,
    /// Where the user's password is: `env:NAME` or `file:PATH`.
    #[serde(default)]
    pub password: Option<SecretRef>,
    /// Where a bearer token is: `env:NAME` or `file:PATH`. Instead of user and password.
    #[serde(default)]
    pub token: Option<SecretRef>,
    /// PEM file with the certificates of the authorities to trust; absent with `https`: the
    /// system's.
    #[serde(default)]
    pub ca_file: Option<String>,
    /// Results in one request. From 2 on, result records travel in an array.
    #[serde(default = "defaults::batch_max")]
    pub batch_max: u16,
    /// A request that is not answered within this time has failed, milliseconds.
    #[serde(default = "defaults::timeout_ms")]
    pub timeout_ms: u32,
    /// The longest wait between two attempts, milliseconds; `Retry-After` may ask for up to an
    /// hour.
    #[serde(default = "backoff::ms_max_by_default")]
    pub backoff_ms_max: u32,
}

impl HttpConfig {
    /// The defaults, for the system at this URL.
    pub fn for_url(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            when: None,
            format: Format::default(),
            acknowledge: Acknowledge::default(),
            unconfirmed_max: unconfirmed::max_by_default(),
            user: None,
            password: None,
            token: None,
            ca_file: None,
            batch_max: defaults::batch_max(),
            timeout_ms: defaults::timeout_ms(),
            backoff_ms_max: backoff::ms_max_by_default(),
        }
    }
}

mod defaults {
    pub(super) fn batch_max() -> u16 {
        1
    }
    pub(super) fn timeout_ms() -> u32 {
        10_000
    }
}
