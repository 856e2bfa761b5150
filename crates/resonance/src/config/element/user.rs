//! `[[user]]`.

use resonance_gateway::secret::SecretRef;
use resonance_plant::Role;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::schema;

/// Someone the servers know.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct User {
    /// The name, unique in the file.
    pub(crate) name: String,
    /// What the user may do; each role includes those before it.
    #[schemars(schema_with = "schema::role")]
    pub(crate) role: Role,
    /// Where the password's Argon2id hash (PHC string format) is.
    #[serde(default)]
    pub(crate) password_hash: Option<SecretRef>,
    /// The user's certificate, DER or PEM: proves over OPC UA who it is, with or instead of a
    /// password.
    #[serde(default)]
    pub(crate) certificate: Option<std::path::PathBuf>,
}
