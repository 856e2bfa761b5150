//! A connection to a server, with or without TLS.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::RemoteError;
use super::target::Target;

/// What either protocol is spoken on.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Connects.
///
/// # Errors
/// [`RemoteError::Unreachable`], also where the server's certificate is not trusted.
pub(super) async fn connect(target: &Target) -> Result<Box<dyn Stream>, RemoteError> {
    let stream = TcpStream::connect((&*target.host, target.port))
        .await
        .map_err(|error| target.unreachable(&error))?;
    // Requests are small and wait for their answer.
    stream.set_nodelay(true).map_err(|error| target.unreachable(&error))?;
    match &target.tls {
        None => Ok(Box::new(stream)),
        Some((config, name)) => {
            let connecting = TlsConnector::from(config.clone()).connect(name.clone(), stream);
            let stream = connecting.await.map_err(|error| target.unreachable(&error))?;
            Ok(Box::new(stream))
        }
    }
}
