//! A small HTTP client: one request to a running gateway, or one stream.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::header::{ACCEPT, AUTHORIZATION, HOST, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::CliError;

/// Which running gateway a command asks, and in whose name.
#[derive(Debug, Args)]
pub(crate) struct GatewayArgs {
    /// Where the gateway's HTTP server answers.
    #[arg(long, env = "RESONANCE_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// The user, where the gateway wants one; the password is read from RESONANCE_PASSWORD.
    #[arg(long, env = "RESONANCE_USER", value_name = "NAME")]
    user: Option<String>,
    /// A certificate or an authority to trust for https, besides those of the system.
    #[arg(long, value_name = "FILE.pem")]
    ca: Option<PathBuf>,
}

impl GatewayArgs {
    /// The gateway that is meant.
    ///
    /// # Errors
    /// Where the user's password is not in the environment.
    pub(crate) fn gateway(self) -> Result<Gateway, CliError> {
        let user = self.user.map(|name| {
            let password = std::env::var("RESONANCE_PASSWORD").map_err(|_| {
                CliError::Refused("--user needs the password in RESONANCE_PASSWORD".to_owned())
            })?;
            Ok::<_, CliError>((name, password))
        });
        Ok(Gateway { url: self.url, user: user.transpose()?, ca: self.ca })
    }
}

/// Where a gateway answers, and who asks.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) url: String,
    /// Name and password.
    pub(crate) user: Option<(String, String)>,
    /// The certificate, or the authority, to trust besides those of the system.
    pub(crate) ca: Option<PathBuf>,
}

/// Takes a stream's pieces.
type Piecewise<'t> = &'t mut (dyn FnMut(&[u8]) + Send);

/// A gateway that does not answer in this time is taken for absent.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// No answer of the management API comes near this size.
const ANSWER_BYTES_MAX: usize = 64 << 20;

impl Gateway {
    /// Asks for a path, such as `/api/v1/status`, and reads the answer as JSON.
    ///
    /// # Errors
    /// Where the URL makes no sense, nobody answers, or the gateway refuses.
    pub(crate) async fn get(&self, path: &str) -> Result<serde_json::Value, CliError> {
        self.json(Method::GET, path, ANSWER_WITHIN).await
    }

    /// Gives a command that needs no more words than its path, and reads the answer as JSON.
    ///
    /// # Errors
    /// As [`Gateway::get`].
    pub(crate) async fn post(
        &self,
        path: &str,
        within: Duration,
    ) -> Result<serde_json::Value, CliError> {
        self.json(Method::POST, path, within).await
    }

    async fn json(
        &self,
        method: Method,
        path: &str,
        within: Duration,
    ) -> Result<serde_json::Value, CliError> {
        let asked = tokio::time::timeout(within, self.exchange_with(method, path, None)).await;
        let (status, body) = asked
            .map_err(|_| self.failed(&format!("no answer within {} s", within.as_secs())))??;
        if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN {
            return Err(CliError::Refused(format!(
                "{} admits only users it knows ({status}); give --user NAME and the password in \
                 RESONANCE_PASSWORD",
                self.url
            )));
        }
        if !status.is_success() {
            return Err(match problem(&body) {
                Some(detail) => CliError::Failed(detail),
                None => {
                    let said = String::from_utf8_lossy(&body);
                    let said: String = said.chars().filter(|c| !c.is_control()).take(400).collect();
                    self.failed(&format!("{path} answered {status}: {said}"))
                }
            });
        }
        serde_json::from_slice(&body)
            .map_err(|error| self.failed(&format!("{path} did not answer in JSON: {error}")))
    }

    /// Reads a stream, such as server-sent events, piece by piece until it ends.
    ///
    /// # Errors
    /// Where the URL makes no sense, nobody answers, the gateway refuses or the stream breaks.
    pub(crate) async fn follow(
        &self,
        path: &str,
        mut take: impl FnMut(&[u8]) + Send,
    ) -> Result<(), CliError> {
        let (status, _) = self.exchange_with(Method::GET, path, Some(&mut take)).await?;
        if status.is_success() {
            Ok(())
        } else {
            Err(self.failed(&format!("{path} answered {status}")))
        }
    }

    async fn exchange_with(
        &self,
        method: Method,
        path: &str,
        take: Option<Piecewise<'_>>,
    ) -> Result<(StatusCode, Bytes), CliError> {
        let target = Target::parse(&self.url)?;
        let stream = TcpStream::connect((target.host.trim_matches(['[', ']']), target.port))
            .await
            .map_err(|error| self.failed(&format!("{error}; is the gateway running there?")))?;
        let request = self.request(&target, method, path)?;
        if !target.is_encrypted {
            return self.exchange(stream, request, take).await;
        }
        let name = ServerName::try_from(target.host.trim_matches(['[', ']']).to_owned())
            .map_err(|_| CliError::Refused(format!("{}: no valid host name", self.url)))?;
        let config = trusting(self.ca.as_deref())?;
        let stream = tokio_rustls::TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
            .map_err(|error| {
                self.failed(&format!("{error}; --ca FILE.pem trusts a certificate of your own"))
            })?;
        self.exchange(stream, request, take).await
    }

    fn request(
        &self,
        target: &Target,
        method: Method,
        path: &str,
    ) -> Result<Request<Empty<Bytes>>, CliError> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, format!("{}:{}", target.host, target.port))
            .header(ACCEPT, "application/json, text/event-stream");
        if let Some((name, password)) = &self.user {
            if !target.is_encrypted && !is_loopback(&target.host) {
                return Err(CliError::Refused(format!(
                    "{}: a password is not sent unencrypted over a network; use https",
                    self.url
                )));
            }
            let pair = base64::prelude::BASE64_STANDARD.encode(format!("{name}:{password}"));
            // Base64 has no character that a header refuses.
            if let Ok(mut value) = HeaderValue::from_str(&format!("Basic {pair}")) {
                value.set_sensitive(true);
                request = request.header(AUTHORIZATION, value);
            }
        }
        request
            .body(Empty::new())
            .map_err(|error| CliError::Refused(format!("{}: {error}", self.url)))
    }

    async fn exchange(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        request: Request<Empty<Bytes>>,
        take: Option<Piecewise<'_>>,
    ) -> Result<(StatusCode, Bytes), CliError> {
        let failed = |error: hyper::Error| self.failed(&error.to_string());
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        let answer = async {
            let response = sender.send_request(request).await.map_err(failed)?;
            let status = response.status();
            if let Some(take) = take.filter(|_| status.is_success()) {
                let mut body = response.into_body();
                while let Some(frame) = body.frame().await {
                    if let Ok(piece) = frame.map_err(failed)?.into_data() {
                        take(&piece);
                    }
                }
                return Ok((status, Bytes::new()));
            }
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
                .collect()
                .await
                .map_err(|error| self.failed(&error.to_string()))?;
            Ok((status, body.to_bytes()))
        };
        // The connection makes progress only while it is polled; its end is not an answer.
        tokio::select! {
            answered = answer => answered,
            Err(error) = connection => Err(failed(error)),
        }
    }

    fn failed(&self, problem: &str) -> CliError {
        CliError::Failed(format!("{}: {problem}", self.url))
    }
}

/// What is wrong, where the gateway said it as problem details (RFC 9457).
fn problem(body: &[u8]) -> Option<String> {
    let said: serde_json::Value = serde_json::from_slice(body).ok()?;
    let clean = |c: &char| *c == '\n' || !c.is_control();
    Some(said.get("detail")?.as_str()?.chars().filter(clean).take(4_000).collect())
}

struct Target {
    host: String,
    port: u16,
    is_encrypted: bool,
}

impl Target {
    fn parse(url: &str) -> Result<Self, CliError> {
        let refused = |problem: &str| CliError::Refused(format!("--url {url:?}: {problem}"));
        let uri: Uri = url.parse().map_err(|_| refused("this is no URL"))?;
        let is_encrypted = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(refused("it must begin with http:// or https://")),
        };
        let host = uri.host().ok_or_else(|| refused("it lacks a host"))?.to_owned();
        let port = uri.port_u16().unwrap_or(if is_encrypted { 443 } else { 80 });
        Ok(Self { host, port, is_encrypted })
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

fn trusting(ca: Option<&Path>) -> Result<rustls::ClientConfig, CliError> {
    let mut roots = RootCertStore::empty();
    // Without certificates of the system, `ca` may still be enough.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca {
        let refused =
            |problem: String| CliError::Refused(format!("--ca {}: {problem}", path.display()));
        let found =
            CertificateDer::pem_file_iter(path).map_err(|error| refused(error.to_string()))?;
        for certificate in found {
            let certificate = certificate.map_err(|error| refused(error.to_string()))?;
            roots.add(certificate).map_err(|error| refused(error.to_string()))?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| CliError::Internal(format!("TLS: {error}")))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_from_urls() {
        let target = Target::parse("http://127.0.0.1:8080").unwrap();
        assert_eq!((&*target.host, target.port, target.is_encrypted), ("127.0.0.1", 8080, false));
        assert_eq!(Target::parse("https://[::1]/x").unwrap().port, 443);
        assert!(Target::parse("127.0.0.1:8080").is_err());
        assert!(Target::parse("ftp://a").is_err());
    }

    #[test]
    fn a_password_never_crosses_a_network_unencrypted() {
        let user = Some(("a".to_owned(), "b".to_owned()));
        let gateway = |url: &str| Gateway { url: url.to_owned(), user: user.clone(), ca: None };
        let request = |url: &str| {
            let target = Target::parse(url).unwrap();
            gateway(url).request(&target, Method::GET, "/api/v1/status")
        };
        assert!(request("http://10.0.0.1:8080").is_err());
        let request = request("http://localhost:8080").unwrap();
        assert_eq!(request.headers()[AUTHORIZATION], "Basic YTpi");
    }
}
