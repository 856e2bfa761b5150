//! The protocol over HTTP/1.1, one connection kept and used again.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response, StatusCode, body::Incoming};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use resonance_plant::{Signature, Tensor, TensorBuf};
use resonance_wire::oip::{self, JSON_LENGTH_HEADER};
use serde::Deserialize;

use super::RemoteError;
use super::served::Served;
use super::target::{Target, told};

/// The largest answer read, bytes.
pub(super) const ANSWER_BYTES_MAX: usize = 64 << 20;

/// What a server calls its ability to take and give tensors as bytes after the JSON.
const BINARY: &str = "binary_tensor_data";

/// What was answered.
struct Answered {
    status: StatusCode,
    /// The length of the JSON before binary tensor data.
    json_length: Option<usize>,
    body: Bytes,
}

/// What is asked; without a body by GET.
struct Asked {
    path: String,
    body: Option<(Bytes, Option<usize>)>,
}

type Sender = SendRequest<Full<Bytes>>;

/// A server asked over REST.
#[derive(Debug)]
pub(super) struct Rest {
    target: Target,
    idle: Mutex<Option<Sender>>,
    /// Whether the server said that it knows binary tensor data.
    is_binary: AtomicBool,
}

#[derive(Deserialize)]
struct Ready {
    ready: Option<bool>,
}

#[derive(Deserialize)]
struct ServerMetadata {
    #[serde(default)]
    extensions: Vec<String>,
}

impl Rest {
    pub(super) fn new(target: Target) -> Self {
        Self { target, idle: Mutex::default(), is_binary: AtomicBool::new(false) }
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// The path of the model, with its version where one is asked for.
    fn path(&self, what: &str) -> String {
        let Target { prefix, model, version, .. } = &self.target;
        match version {
            Some(version) => format!("{prefix}/v2/models/{model}/versions/{version}{what}"),
            None => format!("{prefix}/v2/models/{model}{what}"),
        }
    }

    /// Asks whether the model is ready.
    pub(super) async fn ready(&self) -> Result<(), RemoteError> {
        let answered = self.exchange(&Asked { path: self.path("/ready"), body: None }).await?;
        // 503 and, from older servers, 400 mean what a body might say otherwise.
        let says = serde_json::from_slice::<Ready>(&answered.body).ok();
        let says_no = says.and_then(|says| says.ready) == Some(false);
        match answered.status {
            status if status.is_success() && !says_no => Ok(()),
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_REQUEST => {
                Err(self.target.not_ready())
            }
            status if status.is_success() => Err(self.target.not_ready()),
            _ => Err(self.refused(&answered)),
        }
    }

    /// Asks what the model's tensors are, and notes whether the server knows binary data.
    pub(super) async fn metadata(&self) -> Result<Served, RemoteError> {
        let path = format!("{}/v2", self.target.prefix);
        let server = self.exchange(&Asked { path, body: None }).await?;
        let known = serde_json::from_slice::<ServerMetadata>(&server.body);
        let is_binary = known.is_ok_and(|server| server.extensions.iter().any(|e| e == BINARY));
        self.is_binary.store(is_binary, Ordering::Relaxed);
        let answered = self.exchange(&Asked { path: self.path(""), body: None }).await?;
        if !answered.status.is_success() {
            return Err(self.refused(&answered));
        }
        Served::of_json(&answered.body).map_err(|problem| self.target.contradiction(problem))
    }

    /// Asks for an inference.
    pub(super) async fn infer(
        &self,
        signature: &Signature,
        inputs: &[(&str, &Tensor)],
        outputs: &mut TensorBuf,
    ) -> Result<(), RemoteError> {
        let is_binary = self.is_binary.load(Ordering::Relaxed);
        let encoded = oip::encode_request(None, inputs, is_binary);
        let (body, length) = encoded.map_err(|error| RemoteError::Request(error.to_string()))?;
        let asked = Asked { path: self.path("/infer"), body: Some((body.into(), length)) };
        let answered = self.exchange(&asked).await?;
        if !answered.status.is_success() {
            return Err(self.refused(&answered));
        }
        oip::decode_response(&answered.body, answered.json_length, signature, outputs)
            .map_err(|error| RemoteError::answer(&self.target.shown, &error))
    }

    async fn exchange(&self, asked: &Asked) -> Result<Answered, RemoteError> {
        // A server may close a connection that it kept, just when it is used: inferences keep no
        // state, so such a request is made once more on a connection of its own.
        let kept = self.idle.lock().take().filter(|sender| !sender.is_closed());
        if let Some(mut sender) = kept
            && sender.ready().await.is_ok()
            && let Ok(answered) = self.send(sender, asked).await
        {
            return Ok(answered);
        }
        let stream = self.target.connect().await?;
        let greeted = handshake(TokioIo::new(stream)).await;
        let (sender, connection) = greeted.map_err(|error| self.target.unreachable(&error))?;
        // It ends when the sender is dropped or the peer closes; whoever sends sees the error.
        tokio::spawn(connection);
        self.send(sender, asked).await
    }

    async fn send(&self, mut sender: Sender, asked: &Asked) -> Result<Answered, RemoteError> {
        let request = self.request(asked)?;
        let response = sender.send_request(request).await;
        let response = response.map_err(|error| self.target.unreachable(&error))?;
        let answered = self.read(response).await?;
        if !sender.is_closed() {
            *self.idle.lock() = Some(sender);
        }
        Ok(answered)
    }

    fn request(&self, asked: &Asked) -> Result<Request<Full<Bytes>>, RemoteError> {
        let method = if asked.body.is_some() { Method::POST } else { Method::GET };
        let mut request = Request::builder()
            .method(method)
            .uri(&asked.path)
            .header(HOST, &self.target.origin.authority);
        if let Some(authorization) = &self.target.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let mut sent = Bytes::new();
        if let Some((body, json_length)) = &asked.body {
            let media = match json_length {
                None => "application/json",
                Some(_) => "application/octet-stream",
            };
            request = request.header(CONTENT_TYPE, media);
            if let Some(length) = json_length {
                request = request.header(JSON_LENGTH_HEADER, *length);
            }
            sent = body.clone();
        }
        let request = request.body(Full::new(sent));
        request.map_err(|error| RemoteError::Request(error.to_string()))
    }

    async fn read(&self, response: Response<Incoming>) -> Result<Answered, RemoteError> {
        let status = response.status();
        let json_length = match response.headers().get(JSON_LENGTH_HEADER) {
            None => None,
            Some(value) => {
                let length = value.to_str().ok().and_then(|value| value.trim().parse().ok());
                let problem = "its Inference-Header-Content-Length is no number of bytes";
                Some(length.ok_or_else(|| self.target.contradiction(problem.into()))?)
            }
        };
        let collected = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = collected.map_err(|error| self.target.unreachable(&*error))?.to_bytes();
        Ok(Answered { status, json_length, body })
    }

    /// An answer with another status than 2xx.
    fn refused(&self, answered: &Answered) -> RemoteError {
        let said = serde_json::from_slice::<serde_json::Value>(&answered.body).ok();
        let said = said.as_ref().and_then(|said| said.get("error")?.as_str());
        let text = String::from_utf8_lossy(&answered.body);
        RemoteError::Refused {
            server: self.target.shown.clone(),
            status: answered.status.as_str().to_owned(),
            message: told(said.unwrap_or(&text)),
        }
    }
}
