//! `[server.opcua]`, `[server.http]` and `[server.grpc]`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use resonance_plant::Role;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::schema;

/// What other systems read; a server runs only where its table is there.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Servers {
    /// The OPC UA server.
    #[serde(default)]
    pub(crate) opcua: Option<OpcUaServer>,
    /// The HTTP server: inference API, server-sent events, status.
    #[serde(default)]
    pub(crate) http: Option<HttpServer>,
    /// The gRPC server: inference API.
    #[serde(default)]
    pub(crate) grpc: Option<GrpcServer>,
}

/// The OPC UA server: assets, points and results.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OpcUaServer {
    /// The address and port on which it listens.
    #[serde(default = "defaults::opcua_listen")]
    #[schemars(with = "String")]
    pub(crate) listen: SocketAddr,
    /// Clients that cannot reach the server, `address:port`: it makes the connections to them
    /// (reverse connect).
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(crate) connect_to: Vec<SocketAddr>,
    /// The host name that clients use. Absent: the address of `listen`.
    #[serde(default)]
    pub(crate) host: Option<String>,
    /// Admits clients without a user, who may then read. Only on loopback.
    #[serde(default)]
    pub(crate) allow_anonymous: bool,
    /// Also offers security policy None. Only on loopback.
    #[serde(default)]
    pub(crate) allow_none: bool,
    /// The folder of the server's certificate and of the client certificates it trusts.
    #[serde(default = "defaults::pki")]
    pub(crate) pki: PathBuf,
    /// Admits clients of trusted authorities of which no valid revocation list is at hand.
    #[serde(default)]
    pub(crate) allow_unknown_revocation: bool,
}

/// The HTTP server: inference API, server-sent events, status.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HttpServer {
    /// The address and port on which it listens.
    #[serde(default = "defaults::http_listen")]
    #[schemars(with = "String")]
    pub(crate) listen: SocketAddr,
    /// Certificate and key. Without them only on loopback.
    #[serde(default)]
    pub(crate) tls: Option<Tls>,
    /// What a request without a user may do. Absent: nothing. Only on loopback.
    #[serde(default)]
    #[schemars(schema_with = "schema::role_or_none")]
    pub(crate) anonymous: Option<Role>,
    /// The largest request body, bytes.
    #[serde(default = "defaults::body_bytes_max")]
    #[schemars(range(min = 1))]
    pub(crate) body_bytes_max: u32,
    /// A request must have arrived after this time, milliseconds.
    #[serde(default = "defaults::request_timeout_ms")]
    #[schemars(range(min = 1))]
    pub(crate) request_timeout_ms: u32,
    /// Requests under way at once.
    #[serde(default = "defaults::requests_max")]
    #[schemars(range(min = 1))]
    pub(crate) requests_max: u32,
}

/// The gRPC server: inference API.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GrpcServer {
    /// The address and port on which it listens.
    #[serde(default = "defaults::grpc_listen")]
    #[schemars(with = "String")]
    pub(crate) listen: SocketAddr,
    /// Certificate and key. Without them only on loopback.
    #[serde(default)]
    pub(crate) tls: Option<Tls>,
    /// What a call without a user may do. Absent: nothing. Only on loopback.
    #[serde(default)]
    #[schemars(schema_with = "schema::role_or_none")]
    pub(crate) anonymous: Option<Role>,
    /// The largest message of a call, bytes.
    #[serde(default = "defaults::body_bytes_max")]
    #[schemars(range(min = 1))]
    pub(crate) message_bytes_max: u32,
    /// A call's message must have arrived after this time, milliseconds.
    #[serde(default = "defaults::request_timeout_ms")]
    #[schemars(range(min = 1))]
    pub(crate) request_timeout_ms: u32,
    /// Calls under way at once.
    #[serde(default = "defaults::requests_max")]
    #[schemars(range(min = 1))]
    pub(crate) requests_max: u32,
}

/// A server's certificate and key.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    /// PEM file with the certificate chain.
    pub(crate) certificate: PathBuf,
    /// PEM file with the key.
    pub(crate) key: PathBuf,
}

mod defaults {
    use super::*;

    /// Beside 4840, which the machine's own server often has on the same host.
    pub(super) fn opcua_listen() -> SocketAddr {
        (Ipv4Addr::LOCALHOST, 4841).into()
    }
    pub(super) fn pki() -> PathBuf {
        "pki".into()
    }
    pub(super) fn http_listen() -> SocketAddr {
        (Ipv4Addr::LOCALHOST, 8080).into()
    }
    /// Where clients of the protocol look first.
    pub(super) fn grpc_listen() -> SocketAddr {
        (Ipv4Addr::LOCALHOST, 8001).into()
    }
    pub(super) fn body_bytes_max() -> u32 {
        64 << 20
    }
    pub(super) fn request_timeout_ms() -> u32 {
        30_000
    }
    pub(super) fn requests_max() -> u32 {
        256
    }
}
