//! A server that is reached over HTTP: where its URL says it is, who asks, and a connection to it.

use std::sync::Arc;

use base64::Engine as _;
use hyper::Uri;
use hyper::header::HeaderValue;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::secret::{self, SecretRef};
use crate::tls;

/// What bytes go through.
pub(crate) trait Stream: AsyncRead + AsyncWrite + std::fmt::Debug + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + std::fmt::Debug + Send + Unpin> Stream for S {}

/// A key of the configuration, and what is wrong with it.
pub(crate) type Refused = (&'static str, String);

/// Scheme, host and port of a URL, and whom to trust there.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) uri: Uri,
    /// Without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Host and port as the URL has them.
    pub(crate) authority: HeaderValue,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

impl Origin {
    /// Reads the keys `url` and `ca_file`. Path and query are left to whoever asks there.
    ///
    /// # Errors
    /// Names the key.
    pub(crate) fn new(url: &str, ca_file: Option<&str>) -> Result<Self, Refused> {
        // Before any message shows it.
        let authority =
            url.split_once("://").map_or(url, |(_, rest)| rest).split(['/', '?']).next();
        if authority.is_some_and(|authority| authority.contains('@')) {
            let problem = "user and password do not belong into the url; use user and password";
            return Err(("url", problem.into()));
        }
        let form = || {
            let text = "write http://host:port or https://host:port, with a path if there is one";
            ("url", format!("{url:?}: {text}"))
        };
        let uri: Uri = url.parse().map_err(|_| form())?;
        let is_encrypted = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(form()),
        };
        let authority = uri.authority().ok_or_else(form)?;
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let tls = match (is_encrypted, ca_file) {
            (true, ca) => {
                let name = ServerName::try_from(host.clone()).map_err(|_| {
                    ("url", format!("{url:?}: its host is not what a certificate can be about"))
                })?;
                Some((tls::trusting(ca).map_err(|problem| ("ca_file", problem))?, name))
            }
            (false, None) => None,
            (false, Some(_)) => {
                return Err(("ca_file", "only https:// uses certificates; change the url".into()));
            }
        };
        Ok(Self {
            port: authority.port_u16().unwrap_or(if is_encrypted { 443 } else { 80 }),
            authority: HeaderValue::from_str(authority.as_str()).map_err(|_| form())?,
            host,
            tls,
            uri,
        })
    }

    /// Where the way there is encrypted, names the protocol that is to be spoken on it (ALPN).
    pub(crate) fn speaking(mut self, protocol: &[u8]) -> Self {
        if let Some((config, _)) = &mut self.tls {
            Arc::make_mut(config).alpn_protocols = vec![protocol.to_vec()];
        }
        self
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether this is the computer that asks.
    pub(crate) fn is_here(&self) -> bool {
        let address = self.host.parse::<std::net::IpAddr>();
        self.host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }

    /// Connects, encrypted where the URL says so.
    pub(crate) async fn connect(&self) -> std::io::Result<Box<dyn Stream>> {
        let stream = self.reach().await?;
        self.secure(stream).await
    }

    /// The first half of connecting: the server is there.
    pub(crate) async fn reach(&self) -> std::io::Result<TcpStream> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        // Requests are small and wait for their answer.
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// The second: it is the one that is meant.
    pub(crate) async fn secure(&self, stream: TcpStream) -> std::io::Result<Box<dyn Stream>> {
        let Some((config, name)) = &self.tls else { return Ok(Box::new(stream)) };
        let connector = TlsConnector::from(Arc::clone(config));
        Ok(Box::new(connector.connect(name.clone(), stream).await?))
    }

    /// The certificates (DER) that the server shows on this stream; none where nothing is
    /// encrypted.
    pub(crate) async fn shown(&self, stream: TcpStream) -> std::io::Result<Vec<Vec<u8>>> {
        match &self.tls {
            Some((config, name)) => tls::shown(stream, Arc::clone(config), name.clone()).await,
            None => Ok(Vec::new()),
        }
    }
}

/// The header by which a server knows who asks, from the keys `user`, `password` and `token`.
/// Secrets are read anew by each call.
///
/// # Errors
/// Names the key.
pub(crate) fn authorization(
    user: Option<&str>,
    password: Option<&SecretRef>,
    token: Option<&SecretRef>,
) -> Result<Option<HeaderValue>, Refused> {
    let read = |key, reference| secret::read(reference).map_err(|error| (key, error.to_string()));
    let (key, text) = if let Some(token) = token {
        if user.is_some() || password.is_some() {
            let problem = "there is a token and a user or password; keep one of them";
            return Err(("token", problem.into()));
        }
        ("token", format!("Bearer {}", read("token", token)?))
    } else {
        let Some((user, password)) = user_with(user, password)? else { return Ok(None) };
        let pair = format!("{user}:{}", read("password", password)?);
        ("password", format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(pair)))
    };
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| (key, "the secret has characters that no header takes".into()))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// A user and where the password is; neither is of use alone.
///
/// # Errors
/// Names the key that stands alone.
pub(crate) fn user_with<'a>(
    user: Option<&'a str>,
    password: Option<&'a SecretRef>,
) -> Result<Option<(&'a str, &'a SecretRef)>, Refused> {
    match (user, password) {
        (Some(user), Some(password)) => Ok(Some((user, password))),
        (None, None) => Ok(None),
        (None, Some(_)) => Err(("password", "there is a password and no user; add user".into())),
        (Some(_), None) => Err(("user", "there is a user and no password; add password".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_a_url_says_before_its_path() {
        let origin = Origin::new("http://mes:8080/results?line=1", None).unwrap();
        assert_eq!((&*origin.host, origin.port), ("mes", 8_080));
        assert_eq!(
            (origin.authority.as_bytes(), origin.uri.path()),
            (&b"mes:8080"[..], "/results")
        );
        assert!(!origin.is_here() && !origin.is_encrypted());
        let here = Origin::new("http://[::1]/", None).unwrap();
        assert_eq!((&*here.host, here.port, here.is_here()), ("::1", 80, true));
        let agent = Origin::new("http://mill.07:5000", None).unwrap();
        assert_eq!(&*agent.host, "mill.07", "no certificate can be about it, and none is");
    }

    #[test]
    fn what_cannot_be_reached_is_refused_by_its_key() {
        let key = |url, ca| Origin::new(url, ca).unwrap_err().0;
        for url in ["mes", "ftp://mes/", "http://", "http://[::1/", "mill:5000", "https://mill.07"]
        {
            assert_eq!(key(url, None), "url", "{url}");
        }
        for url in ["http://u:hidden@mes/", "ftp://u:hidden@mes/", "http://u:hidden w@mes"] {
            let (key, problem) = Origin::new(url, None).unwrap_err();
            assert!(key == "url" && !problem.contains("hidden"), "{problem}");
        }
        assert_eq!(key("http://mes", Some("ca.pem")), "ca_file");
        assert_eq!(key("https://mes", Some("/nowhere.pem")), "ca_file");
    }

    #[test]
    fn who_asks_is_a_user_with_a_password_or_a_token() {
        let unset = SecretRef("env:RESONANCE_NOT_SET".into());
        let key = |user, password: bool, token: bool| {
            let given = |is_given: bool| is_given.then_some(&unset);
            authorization(user, given(password), given(token)).map_err(|(key, _)| key)
        };
        assert_eq!(key(None, false, false), Ok(None));
        assert_eq!(key(None, false, true), Err("token"), "it cannot be read");
        assert_eq!(key(Some("u"), true, false), Err("password"), "nor can this");
        assert_eq!(key(Some("u"), true, true), Err("token"));
        assert_eq!(key(Some("u"), false, true), Err("token"), "a password would be one too many");
        assert_eq!(key(None, true, false), Err("password"));
        assert_eq!(key(Some("u"), false, false), Err("user"));
    }
}
