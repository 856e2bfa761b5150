//! Whom sources, sinks and remote models trust as clients.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Trusts the authorities in the file, or the system's.
///
/// # Errors
/// What is wrong with the file or the system's store, in words.
pub(crate) fn trusting(ca_file: Option<&str>) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => {
            let unreadable =
                |error: String| format!("{path}: the certificates cannot be read: {error}");
            let found = CertificateDer::pem_file_iter(path)
                .map_err(|error| unreadable(error.to_string()))?;
            for certificate in found {
                let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
                roots.add(certificate).map_err(|error| unreadable(error.to_string()))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        return Err("no authority to trust was found; name a PEM file with one".into());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// The certificates (DER) that a server shows over this stream, where they are trusted.
///
/// # Errors
/// Where there is no encrypted connection, or what is shown is not trusted.
pub(crate) async fn shown(
    stream: TcpStream,
    trusted: Arc<ClientConfig>,
    name: ServerName<'static>,
) -> std::io::Result<Vec<Vec<u8>>> {
    let stream = TlsConnector::from(trusted).connect(name, stream).await?;
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    Ok(certificates.iter().map(|certificate| certificate.to_vec()).collect())
}
