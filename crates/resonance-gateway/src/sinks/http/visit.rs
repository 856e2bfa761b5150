//! Whether the system is there: a connection, encrypted where configured, and no request.

use super::HttpConfig;
use super::endpoint::Endpoint;

/// Connects and leaves. Returns the certificates that were shown (DER).
///
/// # Errors
/// Why there is no connection, and what to do.
pub(in crate::sinks) async fn visit(config: &HttpConfig, id: &str) -> Result<Vec<Vec<u8>>, String> {
    let endpoint = Endpoint::new(config, id).map_err(|error| error.to_string())?;
    let failed = |error: std::io::Error| format!("{}: {error}", config.url);
    let stream = endpoint.origin.reach().await.map_err(failed)?;
    endpoint.origin.shown(stream).await.map_err(failed)
}
