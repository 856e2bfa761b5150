//! The server's certificate and key (rustls, ring).

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::listener::ServerError;
use crate::plan::TlsPlan;

/// Whether a certificate and a key can be used, and belong together.
///
/// # Errors
/// What is wrong with which file.
pub fn check_pair(plan: &TlsPlan) -> Result<(), String> {
    acceptor(plan).map(drop).map_err(|error| error.to_string())
}

/// TLS 1.2 and 1.3 with this certificate; HTTP/2 and HTTP/1.1 by ALPN.
pub(super) fn acceptor(plan: &TlsPlan) -> Result<TlsAcceptor, ServerError> {
    let unreadable =
        |file: &Path, problem: String| ServerError::Certificate { file: file.to_owned(), problem };
    let chain = CertificateDer::pem_file_iter(&plan.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable(&plan.certificate, error.to_string()))?;
    if chain.is_empty() {
        return Err(unreadable(&plan.certificate, "it holds no certificate in PEM".into()));
    }
    let key = PrivateKeyDer::from_pem_file(&plan.key)
        .map_err(|error| unreadable(&plan.key, error.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| unreadable(&plan.certificate, error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| unreadable(&plan.key, error.to_string()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
