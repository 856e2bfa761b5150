//! Where results are posted and who posts them, read from the configuration once.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use hyper::Uri;
use hyper::header::HeaderValue;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;

use super::HttpConfig;
use crate::sinks::SinkError;
use crate::sinks::payload::{Acknowledge, Form, Format};
use crate::{secret, tls};

/// A configuration that was checked, with its secrets and certificates read.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    /// Without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// As in the URL.
    pub(crate) authority: HeaderValue,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) form: Form,
    pub(crate) batch_max: usize,
    pub(crate) timeout: Duration,
    config: HttpConfig,
}

impl Endpoint {
    /// Checks the configuration of the sink `id` and reads what it refers to.
    ///
    /// # Errors
    /// [`SinkError::Configuration`], naming the key.
    pub(crate) fn new(config: &HttpConfig, id: &str) -> Result<Self, SinkError> {
        let form_of_url =
            || format!("{:?} is not of the form http://host/path or https://host/path", config.url);
        let uri: Uri = config.url.parse().map_err(|_| refused("url", form_of_url()))?;
        let encrypted = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(refused("url", form_of_url())),
        };
        let authority = uri.authority().ok_or_else(|| refused("url", form_of_url()))?;
        if authority.as_str().contains('@') {
            let problem = "user and password do not belong into the url; use user and password";
            return Err(refused("url", problem.into()));
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(host.clone()).map_err(|_| refused("url", form_of_url()))?;
        let tls = match (encrypted, &config.ca_file) {
            (true, ca) => {
                let tls = tls::trusting(ca.as_deref());
                Some((tls.map_err(|problem| refused("ca_file", problem))?, name))
            }
            (false, None) => None,
            (false, Some(_)) => {
                let problem = "only https:// uses certificates; change the url";
                return Err(refused("ca_file", problem.into()));
            }
        };
        if config.batch_max == 0 {
            let problem = "nothing can be delivered with 0; use 1 or more";
            return Err(refused("batch_max", problem.into()));
        }
        if config.acknowledge == Acknowledge::ConfirmBod && config.format == Format::Result {
            let problem = "only B2MML messages are confirmed by a ConfirmBOD; set format to \
                           \"b2mml-xml\" or \"b2mml-json\"";
            return Err(refused("acknowledge", problem.into()));
        }
        Ok(Self {
            port: authority.port_u16().unwrap_or(if encrypted { 443 } else { 80 }),
            authority: HeaderValue::from_str(authority.as_str())
                .map_err(|_| refused("url", form_of_url()))?,
            target: uri.path_and_query().map_or("/", |target| target.as_str()).to_owned(),
            host,
            tls,
            authorization: authorization(config)?,
            form: Form {
                format: config.format,
                acknowledge: config.acknowledge,
                sender: format!("resonance/{id}"),
                in_array: config.batch_max > 1,
            },
            batch_max: usize::from(config.batch_max),
            timeout: Duration::from_millis(u64::from(config.timeout_ms.max(1))),
            config: config.clone(),
        })
    }

    /// Reads the secrets again. Where they cannot be read now, those read before stand.
    pub(crate) fn authorize_anew(&mut self) {
        if let Ok(read) = authorization(&self.config) {
            self.authorization = read;
        }
    }
}

fn authorization(config: &HttpConfig) -> Result<Option<HeaderValue>, SinkError> {
    let read = |key: &'static str, reference| {
        secret::read(reference).map_err(|error| refused(key, error.to_string()))
    };
    let (key, text) = match (&config.user, &config.password, &config.token) {
        (None, None, None) => return Ok(None),
        (None, None, Some(token)) => ("token", format!("Bearer {}", read("token", token)?)),
        (Some(user), Some(password), None) => {
            let pair = format!("{user}:{}", read("password", password)?);
            let pair = base64::prelude::BASE64_STANDARD.encode(pair);
            ("password", format!("Basic {pair}"))
        }
        (_, _, Some(_)) => {
            let problem = "there is a token and a user or password; keep one of them";
            return Err(refused("token", problem.into()));
        }
        (None, Some(_), None) => {
            return Err(refused("password", "there is a password and no user; add user".into()));
        }
        (Some(_), None, None) => {
            return Err(refused("user", "there is a user and no password; add password".into()));
        }
    };
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| refused(key, "the secret has characters that no header takes".into()))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

fn refused(key: &str, problem: String) -> SinkError {
    SinkError::Configuration { key: key.into(), problem }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::opcua::config::SecretRef;

    #[test]
    fn a_wrong_configuration_names_its_key() {
        let good = HttpConfig::for_url("http://mes:8080/results?line=1");
        let key = |config: HttpConfig| match Endpoint::new(&config, "mes") {
            Err(SinkError::Configuration { key, .. }) => key,
            other => format!("{other:?}"),
        };
        let endpoint = Endpoint::new(&good, "mes").unwrap();
        assert_eq!((&*endpoint.host, endpoint.port), ("mes", 8_080));
        assert_eq!(endpoint.target, "/results?line=1");
        for url in ["mes", "ftp://mes/", "http://", "http://u:p@mes/", "http://[::1/"] {
            assert_eq!(key(HttpConfig { url: url.into(), ..good.clone() }), "url", "{url}");
        }
        let v6 = Endpoint::new(&HttpConfig::for_url("http://[::1]/"), "mes").unwrap();
        assert_eq!((&*v6.host, v6.port), ("::1", 80));
        assert_eq!(key(HttpConfig { ca_file: Some("x".into()), ..good.clone() }), "ca_file");
        assert_eq!(key(HttpConfig { batch_max: 0, ..good.clone() }), "batch_max");
        let confirm = Acknowledge::ConfirmBod;
        assert_eq!(key(HttpConfig { acknowledge: confirm, ..good.clone() }), "acknowledge");
        let secret = Some(SecretRef("env:RESONANCE_NOT_SET".into()));
        assert_eq!(key(HttpConfig { token: secret.clone(), ..good.clone() }), "token");
        assert_eq!(key(HttpConfig { password: secret.clone(), ..good.clone() }), "password");
        assert_eq!(key(HttpConfig { user: Some("u".into()), ..good }), "user");
    }
}
