//! `[deployment.remote]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::secret::SecretRef;

/// Another server of the Open Inference Protocol v2 that runs the deployment's model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoteConfig {
    /// Where it answers: `http://host:8000` or `https://host`, for either protocol.
    pub url: String,
    /// How it is asked.
    #[serde(default)]
    pub protocol: RemoteProtocol,
    /// The model's name there; absent: the package's.
    #[serde(default)]
    pub model: Option<String>,
    /// The model's version there; absent: the server chooses.
    #[serde(default)]
    pub version: Option<String>,
    /// Where a bearer token is: `env:NAME` or `file:PATH`.
    #[serde(default)]
    pub token: Option<SecretRef>,
    /// The user name, for a server that asks for one instead of a token.
    #[serde(default)]
    pub user: Option<String>,
    /// Where the user's password is: `env:NAME` or `file:PATH`.
    #[serde(default)]
    pub password: Option<SecretRef>,
    /// PEM file with the certificates of the authorities to trust; absent with `https`: the
    /// system's.
    #[serde(default)]
    pub ca_file: Option<String>,
    /// The longest an answer is waited for, milliseconds.
    #[serde(default = "defaults::timeout_ms")]
    pub timeout_ms: u32,
    /// Inferences asked for a second, at most; triggers in between wait and go together where the
    /// model takes several rows. Absent: one after the other, as fast as the server answers.
    #[serde(default)]
    pub max_per_second: Option<u32>,
    /// How often the server is asked whether it still serves the model, milliseconds.
    #[serde(default = "defaults::check_ms")]
    pub check_ms: u32,
}

/// How a remote server is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RemoteProtocol {
    /// JSON over HTTP/1.1, with binary tensor data where the server says that it knows them.
    #[default]
    Rest,
    /// gRPC, with raw tensor contents.
    Grpc,
}

impl RemoteProtocol {
    /// The name in the plant file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::Grpc => "grpc",
        }
    }
}

impl RemoteConfig {
    /// The defaults, for the server at this URL.
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            protocol: RemoteProtocol::default(),
            model: None,
            version: None,
            token: None,
            user: None,
            password: None,
            ca_file: None,
            timeout_ms: defaults::timeout_ms(),
            max_per_second: None,
            check_ms: defaults::check_ms(),
        }
    }
}

mod defaults {
    pub(super) fn timeout_ms() -> u32 {
        1_000
    }
    pub(super) fn check_ms() -> u32 {
        2_000
    }
}
