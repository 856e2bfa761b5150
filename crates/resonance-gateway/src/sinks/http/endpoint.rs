//! Where results are posted and who posts them, read from the configuration once.

use std::time::Duration;

use hyper::header::HeaderValue;

use super::HttpConfig;
use crate::origin::{self, Origin, Refused};
use crate::sinks::SinkError;
use crate::sinks::payload::{Acknowledge, Form, Format};

/// A configuration that was checked, with its secrets and certificates read.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) origin: Origin,
    /// Path and query.
    pub(crate) target: String,
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
        let origin = Origin::new(&config.url, config.ca_file.as_deref()).map_err(refused)?;
        if config.batch_max == 0 {
            let problem = "nothing can be delivered with 0; use 1 or more";
            return Err(refused(("batch_max", problem.into())));
        }
        if config.acknowledge == Acknowledge::ConfirmBod && config.format == Format::Result {
            let problem = "only B2MML messages are confirmed by a ConfirmBOD; set format to \
                           \"b2mml-xml\" or \"b2mml-json\"";
            return Err(refused(("acknowledge", problem.into())));
        }
        Ok(Self {
            target: origin.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned(),
            origin,
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
    let HttpConfig { user, password, token, .. } = config;
    origin::authorization(user.as_deref(), password.as_ref(), token.as_ref()).map_err(refused)
}

fn refused((key, problem): Refused) -> SinkError {
    SinkError::Configuration { key: key.into(), problem }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::SecretRef;

    #[test]
    fn a_wrong_configuration_names_its_key() {
        let good = HttpConfig::for_url("http://mes:8080/results?line=1");
        let key = |config: HttpConfig| match Endpoint::new(&config, "mes") {
            Err(SinkError::Configuration { key, .. }) => key,
            other => format!("{other:?}"),
        };
        let endpoint = Endpoint::new(&good, "mes").unwrap();
        assert_eq!(endpoint.target, "/results?line=1");
        assert_eq!(key(HttpConfig { url: "mes".into(), ..good.clone() }), "url");
        assert_eq!(key(HttpConfig { ca_file: Some("x".into()), ..good.clone() }), "ca_file");
        assert_eq!(key(HttpConfig { batch_max: 0, ..good.clone() }), "batch_max");
        let confirm = Acknowledge::ConfirmBod;
        assert_eq!(key(HttpConfig { acknowledge: confirm, ..good.clone() }), "acknowledge");
        let secret = Some(SecretRef("env:RESONANCE_NOT_SET".into()));
        assert_eq!(key(HttpConfig { token: secret, ..good.clone() }), "token");
        assert_eq!(key(HttpConfig { user: Some("u".into()), ..good }), "user");
    }
}
