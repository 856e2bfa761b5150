//! Where a remote server is and how it is trusted, read from the configuration once.

use std::time::Duration;

use hyper::header::HeaderValue;

use super::{RemoteConfig, RemoteError, RemoteProtocol};
use crate::origin::{self, Origin, Stream};

/// A server, its trust anchors, our credentials, and the model there.
pub(super) struct Target {
    /// As messages name it: `http://host:port`.
    pub(super) shown: String,
    pub(super) origin: Origin,
    /// What comes before `/v2`.
    pub(super) prefix: String,
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
        let of_key = |(key, problem): origin::Refused| refused(key, problem);
        let origin = Origin::new(&config.url, config.ca_file.as_deref()).map_err(of_key)?;
        let prefix = origin.uri.path().trim_end_matches('/').to_owned();
        if origin.uri.query().is_some() {
            return Err(refused("url", "parameters do not belong into it"));
        }
        if config.protocol == RemoteProtocol::Grpc && !prefix.is_empty() {
            return Err(refused("url", "gRPC has no paths; leave it out"));
        }
        if config.timeout_ms == 0 || config.check_ms == 0 || config.max_per_second == Some(0) {
            let problem = "timeout_ms, check_ms and max_per_second must be at least 1";
            return Err(refused("timeout_ms", problem));
        }
        let scheme = if origin.is_encrypted() { "https" } else { "http" };
        let host = origin.uri.host().unwrap_or_default();
        let RemoteConfig { user, password, token, .. } = config;
        let authorization =
            origin::authorization(user.as_deref(), password.as_ref(), token.as_ref());
        Ok(Self {
            shown: format!("{scheme}://{host}:{}", origin.port),
            prefix,
            origin: origin.speaking(match config.protocol {
                RemoteProtocol::Rest => b"http/1.1",
                RemoteProtocol::Grpc => b"h2",
            }),
            authorization: authorization.map_err(of_key)?,
            model: named("model", config.model.as_deref().unwrap_or(model))?,
            version: config.version.as_deref().map(|v| named("version", v)).transpose()?,
            timeout: Duration::from_millis(config.timeout_ms.into()),
        })
    }

    /// Connects, for either protocol.
    ///
    /// # Errors
    /// [`RemoteError::Unreachable`], also where the server's certificate is not trusted.
    pub(super) async fn connect(&self) -> Result<Box<dyn Stream>, RemoteError> {
        self.origin.connect().await.map_err(|error| self.unreachable(&error))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::SecretRef;

    fn refusal(config: &RemoteConfig) -> String {
        Target::new(config, "wear").unwrap_err().to_string()
    }

    #[test]
    fn targets_are_read_or_refused_by_key() {
        let target = Target::new(&RemoteConfig::at("http://[::1]:8000/serving/"), "wear").unwrap();
        assert_eq!((&*target.origin.host, &*target.prefix), ("::1", "/serving"));
        assert_eq!((&*target.shown, &*target.model), ("http://[::1]:8000", "wear"));
        for (url, says) in
            [("grpc://models:8001", "write http://"), ("http://models?x=1", "do not belong")]
        {
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
        assert!(refusal(&RemoteConfig { password: secret, ..at }).starts_with("remote.password"));
    }
}
