//! HTTP/1.1 to an agent: whole documents within a bound, and a stream.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use resonance_wire::mtconnect::{Limits, Refusal};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use super::config::MtconnectConfig;
use crate::origin::{self, Origin, Refused, Stream};
use crate::sources::failure::Failure;

/// The agent's address, taken apart.
#[derive(Clone, Debug)]
pub(super) struct Agent {
    url: String,
    origin: Origin,
    /// Before `/probe`; no slash at its end.
    path: String,
    timeout: Duration,
    bytes_max: usize,
}

/// An answer under way; its connection ends when it is dropped.
pub(super) struct Answer {
    response: Response<Incoming>,
    _connection: Connection,
}

struct Connection(AbortHandle);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Agent {
    /// From the configuration; errors name the key and what is wrong with it.
    pub(super) fn new(config: &MtconnectConfig) -> Result<Self, Refused> {
        let origin = Origin::new(&config.url, config.ca_file.as_deref())?;
        if origin.uri.query().is_some() {
            return Err(("url", "a query does not belong into the url".into()));
        }
        if config.password.is_some() && !origin.is_encrypted() && !origin.is_here() {
            let text = "the password would cross the network unprotected; use https://";
            return Err(("password", text.into()));
        }
        origin::user_with(config.user.as_deref(), config.password.as_ref())?;
        if config.silence_ms_max <= config.heartbeat_ms.max(config.interval_ms) {
            let text = "it must be longer than interval_ms and heartbeat_ms";
            return Err(("silence_ms_max", text.into()));
        }
        Ok(Self {
            url: config.url.clone(),
            path: origin.uri.path().trim_end_matches('/').to_owned(),
            origin,
            timeout: Duration::from_millis(config.request_timeout_ms.into()),
            bytes_max: config.document_bytes_max as usize,
        })
    }

    /// A whole document: its bytes, whatever the status, since refusals are documents too.
    pub(super) async fn document(
        &self,
        config: &MtconnectConfig,
        target: &str,
    ) -> Result<Vec<u8>, Failure> {
        self.ask(config, target).await?.whole(self, target).await
    }

    /// The answer to a request, its headers read.
    pub(super) async fn ask(
        &self,
        config: &MtconnectConfig,
        target: &str,
    ) -> Result<Answer, Failure> {
        let asked = self.request(config, target);
        let answer = tokio::time::timeout(self.timeout, asked)
            .await
            .map_err(|_| self.late(target, self.timeout))??;
        let status = answer.response.status();
        if matches!(status.as_u16(), 401 | 403) {
            return Err(Failure::Refused(format!(
                "{}{target}: {status}; check user and password",
                self.url
            )));
        }
        let announced = hyper::body::Body::size_hint(answer.response.body()).exact();
        if announced.is_some_and(|size| size > self.bytes_max as u64) {
            return Err(self.too_large(target));
        }
        Ok(answer)
    }

    async fn request(&self, config: &MtconnectConfig, target: &str) -> Result<Answer, Failure> {
        let io = TokioIo::new(self.connect().await?);
        let (mut sender, connection) =
            http1::handshake::<_, Empty<Bytes>>(io).await.map_err(|e| self.lost(target, &e))?;
        let running = Connection(tokio::spawn(connection).abort_handle());
        let mut request = Request::get(format!("{}{target}", self.path))
            .header(HOST, &self.origin.authority)
            .header(ACCEPT, "text/xml, application/xml, multipart/x-mixed-replace");
        // Read anew for each request, so that a changed secret takes effect.
        let MtconnectConfig { user, password, .. } = config;
        let header = origin::authorization(user.as_deref(), password.as_ref(), None);
        let unfit = |(key, problem): Refused| Failure::Refused(format!("{key}: {problem}"));
        if let Some(header) = header.map_err(unfit)? {
            request = request.header(AUTHORIZATION, header);
        }
        let request = request.body(Empty::new()).map_err(|error| {
            Failure::Refused(format!("{}{target} cannot be asked for: {error}", self.url))
        })?;
        let response = sender.send_request(request).await.map_err(|e| self.lost(target, &e))?;
        Ok(Answer { response, _connection: running })
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, Failure> {
        let stream = self.reach().await?;
        self.origin.secure(stream).await.map_err(|error| self.untrusted(&error))
    }

    /// The certificates (DER) that the agent shows; none where it is not encrypted.
    pub(super) async fn shown(&self) -> Result<Vec<Vec<u8>>, Failure> {
        if !self.origin.is_encrypted() {
            return Ok(Vec::new());
        }
        let stream = self.reach().await?;
        self.origin.shown(stream).await.map_err(|error| self.untrusted(&error))
    }

    async fn reach(&self) -> Result<TcpStream, Failure> {
        self.origin.reach().await.map_err(|error| {
            Failure::Unreachable(format!("{}: {error}; does the agent run?", self.url))
        })
    }

    fn untrusted(&self, error: &std::io::Error) -> Failure {
        Failure::Untrusted(format!(
            "{}: {error}; name the authority of its certificate with ca_file",
            self.url
        ))
    }

    fn lost(&self, target: &str, error: &hyper::Error) -> Failure {
        let why = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
        let why = if why.is_empty() { error.to_string() } else { format!("{error}: {why}") };
        Failure::Unreachable(format!("{}{target}: {why}", self.url))
    }

    fn late(&self, target: &str, limit: Duration) -> Failure {
        Failure::Unreachable(format!("{}{target}: no answer in {limit:?}", self.url))
    }

    fn too_large(&self, target: &str) -> Failure {
        Failure::Refused(format!(
            "{}{target}: a document longer than the {} bytes allowed; raise document_bytes_max if \
             the agent is that large",
            self.url, self.bytes_max
        ))
    }
}

impl Answer {
    pub(super) fn content_type(&self) -> &str {
        let header = self.response.headers().get(CONTENT_TYPE);
        header.and_then(|header| header.to_str().ok()).unwrap_or_default()
    }

    /// All of it, within the agent's bound.
    pub(super) async fn whole(self, agent: &Agent, target: &str) -> Result<Vec<u8>, Failure> {
        let Self { response, _connection } = self;
        let status = response.status();
        let (mut bytes, mut body) = (Vec::new(), response.into_body());
        let read = async {
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| agent.lost(target, &error))?;
                let Some(data) = frame.data_ref() else { continue };
                if bytes.len() + data.len() > agent.bytes_max {
                    return Err(agent.too_large(target));
                }
                bytes.extend_from_slice(data);
            }
            Ok(bytes)
        };
        // A large document may take a while; a stuck one may not.
        let limit = agent.timeout * 3;
        let read = tokio::time::timeout(limit, read).await;
        let bytes = read.map_err(|_| agent.late(target, limit))??;
        let limits = Limits { document_bytes_max: agent.bytes_max, ..Limits::default() };
        if !status.is_success() && Refusal::parse(&bytes, limits).is_err() {
            // Perhaps of a proxy before the agent.
            return Err(Failure::Unreachable(format!("{}{target}: {status}", agent.url)));
        }
        Ok(bytes)
    }

    /// The next bytes; `None` at the end.
    pub(super) async fn bytes(&mut self) -> Result<Option<Bytes>, String> {
        while let Some(frame) = self.response.body_mut().frame().await {
            match frame.map(hyper::body::Frame::into_data) {
                Ok(Ok(data)) => return Ok(Some(data)),
                // Trailers.
                Ok(Err(_)) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(toml: &str) -> Option<(&'static str, String)> {
        Agent::new(&toml::from_str(toml).unwrap()).err()
    }

    #[test]
    fn a_configuration_that_cannot_work_is_refused_by_its_key() {
        for good in [
            "url = 'http://mill:5000'",
            "url = 'http://[::1]/agent/'\nuser = 'a'\npassword = 'env:P'",
        ] {
            assert_eq!(problem(good), None, "{good}");
        }
        for (key, wrong) in [
            ("url", "url = 'opc.tcp://mill:4840'"),
            ("url", "url = 'http://mill/?x=1'"),
            ("ca_file", "url = 'http://mill'\nca_file = 'ca.pem'"),
            ("user", "url = 'http://127.0.0.1'\nuser = 'a'"),
            ("password", "url = 'http://mill'\nuser = 'a'\npassword = 'env:P'"),
            ("password", "url = 'http://127.0.0.1'\npassword = 'env:P'"),
            ("silence_ms_max", "url = 'http://mill'\nheartbeat_ms = 15000"),
        ] {
            assert_eq!(problem(wrong).map(|(key, _)| key), Some(key), "{wrong}");
        }
    }
}
