//! Whether the system is there: a connection, encrypted where configured, and no request.

use tokio::net::TcpStream;

use super::HttpConfig;
use super::endpoint::Endpoint;
use crate::tls;

/// Connects and leaves. Returns the certificates that were shown (DER).
///
/// # Errors
/// Why there is no connection, and what to do.
pub(in crate::sinks) async fn visit(config: &HttpConfig, id: &str) -> Result<Vec<Vec<u8>>, String> {
    let endpoint = Endpoint::new(config, id).map_err(|error| error.to_string())?;
    let failed = |error: std::io::Error| format!("{}: {error}", config.url);
    let stream =
        TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await.map_err(failed)?;
    let Some((trusted, name)) = endpoint.tls else { return Ok(Vec::new()) };
    tls::shown(stream, trusted, name).await.map_err(failed)
}
