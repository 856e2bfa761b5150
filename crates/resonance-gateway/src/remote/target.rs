//! Where a remote server is and how it is trusted, read from the configuration once.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use hyper::Uri;
use hyper::header::HeaderValue;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;

use super::{RemoteConfig, RemoteError, RemoteProtocol};
use crate::{secret, tls};

/// A server, its trust anchors, our credentials, and the model there.
pub(super) struct Target {
    /// As messages name it: `http://host:port`.
    pub(super) shown: String,
    /// Host and port as the Host header has them.
    pub(super) authority: String,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) uri: Uri,
    /// What comes before `/v2`.
    pub(super) prefix: String,
    pub(super) tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    pub(super) authorization: Option<HeaderValue>,
    /// The model's name there.
    pub(super) model: String,
    /// The model's version there.
    pub(super) version: Option<String>,
    pub(super) timeout: Duration,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}

fn refused(key: &'static str, problem: impl Into<String>) -> RemoteError {
    RemoteError::Configuration { key, problem: problem.into() }
}

impl Target {
    /// Reads the configuration and what it refers to; `model` is the package's name.
    ///
    /// # Errors
    /// [`RemoteError::Configuration`], naming the key.
    pub(super) fn new(config: &RemoteConfig, model: &str) -> Result<Self, RemoteError> {
        let bad_url = |problem: &str| refused("url", format!("{:?}: {problem}", config.url));
        let uri: Uri = config.url.parse().map_err(|_| bad_url("this is no URL"))?;
        let is_encrypted = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(bad_url("it must begin with http:// or https://")),
        };
        if config.url.contains('@') || uri.query().is_some() {
            return Err(bad_url("user, password and parameters do not belong into it"));
        }
        let host = uri.host().ok_or_else(|| bad_url("it lacks a host"))?;
        let port = uri.port_u16().unwrap_or(if is_encrypted { 443 } else { 80 });
        let prefix = uri.path().trim_end_matches('/').to_owned();
        if config.protocol == RemoteProtocol::Grpc && !prefix.is_empty() {
            return Err(bad_url("gRPC has no paths; leave it out"));
        }
        let bare = host.trim_matches(['[', ']']).to_owned();
        let tls = if is_encrypted {
            let name = ServerName::try_from(bare.clone())
                .map_err(|_| bad_url("its host is not what a certificate can be about"))?;
            Some((trusting(config)?, name))
        } else if config.ca_file.is_some() {
            return Err(refused("ca_file", "only https:// uses certificates; change the url"));
        } else {
            None
        };
        if config.timeout_ms == 0 || config.check_ms == 0 || config.max_per_second == Some(0) {
            let problem = "timeout_ms, check_ms and max_per_second must be at least 1";
            return Err(refused("timeout_ms", problem));
        }
        let scheme = if is_encrypted { "https" } else { "http" };
        Ok(Self {
            shown: format!("{scheme}://{host}:{port}"),
            authority: format!("{host}:{port}"),
            host: bare,
            port,
            prefix,
            tls,
            authorization: authorization(config)?,
            model: named("model", config.model.as_deref().unwrap_or(model))?,
            version: config.version.as_deref().map(|v| named("version", v)).transpose()?,
            timeout: Duration::from_millis(config.timeout_ms.into()),
            uri,
        })
    }

    pub(super) fn unreachable(&self, error: &dyn std::error::Error) -> RemoteError {
        // The telling part is often in a source.
        let (mut reason, mut cause) = (error.to_string(), error.source());
        while let Some(next) = cause {
            reason = format!("{reason}: {next}");
            cause = next.source();
        }
        RemoteError::Unreachable { server: self.shown.clone(), reason: told(&reason) }
    }

    pub(super) fn contradiction(&self, problem: String) -> RemoteError {
        RemoteError::Contradiction { server: self.shown.clone(), problem }
    }

    pub(super) fn not_ready(&self) -> RemoteError {
        let (server, model) = (self.shown.clone(), self.model.clone());
        RemoteError::NotReady { server, model }
    }
}

/// What a server says, as messages repeat it: one line, bounded.
pub(super) fn told(text: &str) -> String {
    let text = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    text.take(300).collect()
}

/// A name as it can stand in a path.
fn named(key: &'static str, name: &str) -> Result<String, RemoteError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
    if name.is_empty() || !name.chars().all(fits) || name.chars().all(|c| c == '.') {
        let problem = format!("{name:?}: write letters, digits, `-`, `_`, `.` or `+`");
        return Err(refused(key, problem));
    }
    Ok(name.to_owned())
}

fn authorization(config: &RemoteConfig) -> Result<Option<HeaderValue>, RemoteError> {
    let read =
        |key, reference| secret::read(reference).map_err(|error| refused(key, error.to_string()));
    let (key, text) = match (&config.token, &config.user, &config.password) {
        (None, None, None) => return Ok(None),
        (Some(token), None, None) => ("token", format!("Bearer {}", read("token", token)?)),
        (None, Some(user), Some(password)) => {
            let pair = format!("{user}:{}", read("password", password)?);
            ("user", format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(pair)))
        }
        (Some(_), ..) => {
            return Err(refused("token", "there is a user besides; keep one of the two"));
        }
        (None, ..) => return Err(refused("user", "a user and a password go together")),
    };
    let value = HeaderValue::try_from(text);
    let mut value = value.map_err(|_| refused(key, "it cannot be sent in a header"))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

fn trusting(config: &RemoteConfig) -> Result<Arc<ClientConfig>, RemoteError> {
    let trusted = tls::trusting(config.ca_file.as_deref());
    let mut client = (*trusted.map_err(|problem| refused("ca_file", problem))?).clone();
    client.alpn_protocols = match config.protocol {
        RemoteProtocol::Rest => vec![b"http/1.1".to_vec()],
        RemoteProtocol::Grpc => vec![b"h2".to_vec()],
    };
    Ok(Arc::new(client))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::opcua::config::SecretRef;

    fn refusal(config: &RemoteConfig) -> String {
        Target::new(config, "wear").unwrap_err().to_string()
    }

    #[test]
    fn targets_are_read_or_refused_by_key() {
        let target = Target::new(&RemoteConfig::at("http://[::1]:8000/serving/"), "wear").unwrap();
        assert_eq!((&*target.host, target.port, &*target.prefix), ("::1", 8000, "/serving"));
        assert_eq!((&*target.shown, &*target.model), ("http://[::1]:8000", "wear"));
        for (url, says) in [
            ("models:8000", "http"),
            ("grpc://models:8001", "must begin with http://"),
            ("http://me:pw@models", "do not belong"),
            ("http://models?x=1", "do not belong"),
        ] {
            let error = refusal(&RemoteConfig::at(url));
            assert!(error.starts_with("remote.url") && error.contains(says), "{error}");
        }
        let at = RemoteConfig::at("https://models");
        let tls = RemoteConfig { ca_file: Some("/nowhere.pem".into()), ..at };
        assert!(refusal(&tls).starts_with("remote.ca_file: /nowhere.pem"));
        let at = RemoteConfig::at("http://models");
        let path = RemoteConfig { model: Some("../admin".into()), ..at.clone() };
        assert!(refusal(&path).starts_with("remote.model"));
        let secret = Some(SecretRef("env:RESONANCE_NOT_SET".into()));
        let token = RemoteConfig { token: secret.clone(), ..at.clone() };
        assert!(refusal(&token).starts_with("remote.token: the environment variable"));
        assert!(refusal(&RemoteConfig { password: secret, ..at }).starts_with("remote.user"));
    }
}
