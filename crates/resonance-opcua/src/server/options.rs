//! How a server is to be, and who may use it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use resonance_plant::Principal;

use super::reverse::ReverseWatch;
use crate::trust::{Certificate, Refusal};

/// What an OPC UA server needs to know besides its nodes.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Clients to which the server makes the connections (reverse connect).
    pub connect_to: Vec<SocketAddr>,
    /// Is told how these connections come about.
    pub reverse_watch: Option<Arc<dyn ReverseWatch>>,
    /// The host name in endpoint URLs and in the certificate.
    pub host: String,
    /// The application's name, for people.
    pub application_name: String,
    /// The application's URI; the certificate carries the same.
    pub application_uri: String,
    /// The namespace of all node ids.
    pub namespace_uri: String,
    /// What clients see in BuildInfo.
    pub product: Product,
    /// Which endpoints it has.
    pub security: Security,
    /// Admits clients without a user.
    pub allow_anonymous: bool,
    /// Verifies users with passwords; `None`: there are no users.
    pub users: Option<Arc<dyn Authenticator>>,
    /// The shortest sampling and publishing interval.
    pub tick: Duration,
}

/// What a server says it is (BuildInfo, OPC 10000-5, 12.4).
#[derive(Clone, Debug)]
pub struct Product {
    /// Identifies the product.
    pub uri: String,
    /// The product's name.
    pub name: String,
    /// Who made it.
    pub manufacturer: String,
    /// The software's version.
    pub version: String,
}

/// Which endpoints a server has.
#[derive(Clone, Debug, Default)]
pub struct Security {
    /// SecurityPolicy None: no encryption, no signature.
    pub none: bool,
    /// Basic256Sha256, Aes128_Sha256_RsaOaep and Aes256_Sha256_RsaPss, each with Sign and
    /// SignAndEncrypt. Needs a certificate.
    pub encrypted: Option<Pki>,
}

/// The folder with a server's certificate and those it trusts ([`crate::trust::Folder`]):
/// `own/cert.der` and `private/private.pem` are made at the first start.
#[derive(Clone, Debug)]
pub struct Pki {
    /// The folder; made if absent.
    pub folder: PathBuf,
    /// Admits clients of trusted authorities of which no valid revocation list is at hand.
    pub allow_unknown_revocation: bool,
    /// Is told who is refused.
    pub doorkeeper: Option<Arc<dyn Doorkeeper>>,
    /// Admits every valid client certificate and writes it to `trusted`. Only for simulations
    /// and tests: whoever comes first is then trusted.
    pub trust_all_clients: bool,
}

/// Is told of clients whose certificate is refused. Called on a thread where waiting is allowed.
pub trait Doorkeeper: Send + Sync + std::fmt::Debug {
    /// A client showed this, or it is trusted, and it is refused. `is_news`: not for the same
    /// reason as before.
    fn refused(&self, certificate: &Certificate, refusal: &Refusal, is_news: bool);
}

/// Verifies users. Called on a thread where waiting is allowed.
pub trait Authenticator: Send + Sync + std::fmt::Debug {
    /// Who this is; `None`: nobody known, or the wrong password.
    fn authenticate(&self, name: &str, password: &str) -> Option<Principal>;

    /// Whether users may prove who they are by a certificate.
    fn takes_certificates(&self) -> bool {
        false
    }

    /// Who has the certificate of this thumbprint (SHA-1, hexadecimal); its key was proved.
    fn by_certificate(&self, _thumbprint: &str) -> Option<Principal> {
        None
    }

    /// Told of a client that came without a user where none is admitted.
    fn anonymous_refused(&self) {}
}

impl ServerOptions {
    /// A server without any security, for simulations and tests: SecurityPolicy None and
    /// anonymous clients.
    pub fn open(listen: SocketAddr, application_name: &str, namespace_uri: &str) -> Self {
        let host = match listen.ip() {
            ip if ip.is_unspecified() => "localhost".to_owned(),
            std::net::IpAddr::V6(ip) => format!("[{ip}]"),
            ip => ip.to_string(),
        };
        Self {
            listen,
            connect_to: Vec::new(),
            reverse_watch: None,
            host,
            application_name: application_name.to_owned(),
            application_uri: format!("urn:resonance:{}", application_name.replace(' ', "-")),
            namespace_uri: namespace_uri.to_owned(),
            product: Product::default(),
            security: Security { none: true, encrypted: None },
            allow_anonymous: true,
            users: None,
            tick: DEFAULT_TICK,
        }
    }
}

/// Fast enough for a delay that people and control loops of machines do not notice, slow enough
/// to cost nothing when idle.
pub const DEFAULT_TICK: Duration = Duration::from_millis(10);

impl Default for Product {
    fn default() -> Self {
        Self {
            uri: "urn:resonance".to_owned(),
            name: "Resonance".to_owned(),
            manufacturer: "Resonance".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}
