//! A MES that takes results over HTTP: result records as JSON, alone or in an array, and B2MML in
//! both forms, which it confirms with a ConfirmBOD.
//!
//! It keeps what it takes, once for every id, and does what it is told to do wrong.

use std::collections::HashSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use resonance_wire::isa95::{Element, Verdict, confirm_bod};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// The largest request it reads, bytes.
const REQUEST_BYTES_MAX: usize = 16 << 20;
/// Connections at once; more are closed at the door.
const CONNECTIONS_MAX: usize = 64;
/// When its answers say they were made.
const MADE_AT: &str = "2026-01-01T00:00:00Z";

/// How a MES behaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Behaviour {
    /// Takes what it can read and says so.
    #[default]
    Good,
    /// Answers 200 with nothing in it, and forgets the message.
    LosesMessages,
    /// The same, where the body has this text.
    LosesByRule(String),
    /// Answers with this status, and perhaps a Retry-After of so many seconds.
    Fails(u16, Option<u32>),
    /// Answers 200 with bytes that are no message.
    Garbage,
    /// Takes its time before it reads and answers.
    Slow(Duration),
    /// Never takes results whose body has this text: rejects them with a ConfirmBOD, or 422
    /// where they are result records.
    RefusesByRule(String),
    /// Takes the message and confirms another one.
    ConfirmsAnother,
}

/// A request that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its Idempotency-Key.
    pub key: String,
    /// The ids of the results in it.
    pub ids: Vec<String>,
    /// What it was answered.
    pub status: u16,
    /// Its Authorization header.
    pub authorization: Option<String>,
}

#[derive(Debug, Default)]
struct State {
    behaviour: Behaviour,
    received: Vec<Received>,
    /// In the order of their first coming.
    taken: Vec<String>,
    known: HashSet<String>,
    /// Results that came again after they were taken.
    repeated: u64,
    /// Whether requests are kept, besides what they brought.
    keeps_requests: bool,
}

/// A MES that runs. Clones are the same MES.
#[derive(Clone, Debug)]
pub struct HttpMes {
    state: Arc<Mutex<State>>,
    listening: Option<Arc<Listening>>,
}

#[derive(Debug)]
struct Listening {
    addr: SocketAddr,
    stop: watch::Sender<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Default for HttpMes {
    fn default() -> Self {
        let state = State { keeps_requests: true, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)), listening: None }
    }
}

impl HttpMes {
    /// Starts a MES that listens at `listen`; port 0 takes any. One without an address is made
    /// with `default()` and serves streams.
    ///
    /// # Errors
    /// Where the address cannot be bound.
    pub async fn start(listen: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let addr = listener.local_addr()?;
        let mut mes = Self::default();
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(accept(listener, mes.clone(), stopped));
        mes.listening = Some(Arc::new(Listening { addr, stop, task: Mutex::new(Some(task)) }));
        Ok(mes)
    }

    /// Where results are posted: `http://host:port/results`. Empty without an address.
    pub fn url(&self) -> String {
        let addr = self.listening.as_ref().map(|listening| listening.addr);
        addr.map(|addr| format!("http://{addr}/results")).unwrap_or_default()
    }

    /// From now on it behaves like this.
    pub fn behave(&self, behaviour: Behaviour) {
        self.state.lock().behaviour = behaviour;
    }

    /// Keeps only ids and counts from now on, for long runs.
    pub fn forget_requests(&self) {
        let mut state = self.state.lock();
        state.keeps_requests = false;
        state.received.clear();
    }

    /// Every request so far.
    pub fn received(&self) -> Vec<Received> {
        self.state.lock().received.clone()
    }

    /// The ids of what it took, in the order of their first coming.
    pub fn taken(&self) -> Vec<String> {
        self.state.lock().taken.clone()
    }

    /// How many results it took.
    pub fn taken_count(&self) -> usize {
        self.state.lock().taken.len()
    }

    /// How many came again after it had taken them.
    pub fn repeated(&self) -> u64 {
        self.state.lock().repeated
    }

    /// Serves one connection until it ends.
    pub async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let answer = |request| async move { Ok::<_, Infallible>(self.answer(request).await) };
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), service_fn(answer))
            .await;
        if let Err(error) = served {
            tracing::debug!(%error, "the simulated MES closed a connection");
        }
    }

    /// Closes every connection and ends.
    pub async fn stop(&self) {
        let Some(listening) = &self.listening else { return };
        let _ = listening.stop.send(true);
        let task = listening.task.lock().take();
        if let Some(task) = task {
            let _ = task.await;
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let text = |name: &str| {
            head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let behaviour = self.state.lock().behaviour.clone();
        if let Behaviour::Slow(delay) = &behaviour {
            tokio::time::sleep(*delay).await;
        }
        let Ok(body) = Limited::new(body, REQUEST_BYTES_MAX).collect().await else {
            return plain(StatusCode::PAYLOAD_TOO_LARGE, "");
        };
        let message = Message::read(&body.to_bytes());
        let (response, takes) = respond(&behaviour, &message);
        let mut state = self.state.lock();
        if takes {
            for id in &message.ids {
                if state.known.insert(id.clone()) {
                    state.taken.push(id.clone());
                } else {
                    state.repeated += 1;
                }
            }
        }
        if state.keeps_requests {
            state.received.push(Received {
                key: text("idempotency-key").unwrap_or_default(),
                ids: message.ids,
                status: response.status().as_u16(),
                authorization: text("authorization"),
            });
        }
        response
    }
}

/// What it notes of a result record; all else is read and passed over.
#[derive(serde::Deserialize)]
struct Record {
    id: Option<String>,
}

impl Record {
    /// One, or an array of them.
    fn several(body: &[u8]) -> serde_json::Result<Vec<Self>> {
        match body.trim_ascii_start().first() {
            Some(b'[') => serde_json::from_slice(body),
            _ => serde_json::from_slice(body).map(|record| vec![record]),
        }
    }
}

/// What it makes of a request.
#[derive(Debug, Default)]
struct Message {
    /// The message's own id, where it is B2MML.
    bod: Option<String>,
    is_json: bool,
    ids: Vec<String>,
    text: String,
}

impl Message {
    fn read(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body).into_owned();
        let is_json = !text.trim_start().starts_with('<');
        if is_json && let Ok(records) = Record::several(body) {
            let ids: Vec<String> = records.into_iter().filter_map(|record| record.id).collect();
            if !ids.is_empty() {
                return Self { bod: None, is_json, ids, text };
            }
        }
        let root = if is_json { Element::from_json(body) } else { Element::from_xml(body) };
        let Ok(root) = root else { return Self { is_json, text, ..Self::default() } };
        let id = |of: &Element, name| of.child(name).map(|id| id.text().to_owned());
        let bod = root.child("ApplicationArea").and_then(|area| id(area, "BODID"));
        let data = root.child("DataArea").map_or(&[][..], Element::children);
        let ids = data.iter().filter_map(|noun| id(noun, "ID")).collect();
        Self { bod, is_json, ids, text }
    }

    fn confirmation(&self, about: &str, verdict: &Verdict) -> Response<Full<Bytes>> {
        let element = confirm_bod(about, MADE_AT, verdict);
        let (body, kind) = match self.is_json {
            true => (element.to_json(), "application/json"),
            false => (element.to_xml(), "application/xml"),
        };
        let mut response = Response::new(Full::new(body.into()));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        response
    }
}

/// The answer, and whether the results are taken.
fn respond(behaviour: &Behaviour, message: &Message) -> (Response<Full<Bytes>>, bool) {
    let accepted = |about: &str| message.confirmation(about, &Verdict::Accepted);
    match behaviour {
        Behaviour::LosesMessages => (plain(StatusCode::OK, ""), false),
        Behaviour::LosesByRule(text) if message.text.contains(text.as_str()) => {
            (plain(StatusCode::OK, ""), false)
        }
        Behaviour::Garbage => (plain(StatusCode::OK, "\u{1}\u{2}<garbage"), false),
        Behaviour::Fails(status, retry_after) => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_GATEWAY);
            let mut response = plain(status, "not now");
            if let Some(seconds) = retry_after {
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(*seconds));
            }
            (response, false)
        }
        Behaviour::RefusesByRule(text) if message.text.contains(text.as_str()) => {
            let reason = format!("rule: nothing about {text}");
            match &message.bod {
                Some(bod) => (message.confirmation(bod, &Verdict::Rejected(reason)), false),
                None => (plain(StatusCode::UNPROCESSABLE_ENTITY, &reason), false),
            }
        }
        Behaviour::ConfirmsAnother => (accepted("00000000000000000000000000000000"), true),
        Behaviour::Good
        | Behaviour::Slow(_)
        | Behaviour::LosesByRule(_)
        | Behaviour::RefusesByRule(_) => match (&message.bod, message.ids.is_empty()) {
            (_, true) => (plain(StatusCode::BAD_REQUEST, "no result in it"), false),
            (Some(bod), false) => (accepted(bod), true),
            (None, false) => (plain(StatusCode::OK, ""), true),
        },
    }
}

fn plain(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(text.as_bytes())));
    *response.status_mut() = status;
    response
}

async fn accept(listener: TcpListener, mes: HttpMes, mut stopped: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = stopped.changed() => return,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted && connections.len() < CONNECTIONS_MAX {
                    // A connection without it is slower, not wrong.
                    let _ = stream.set_nodelay(true);
                    let mes = mes.clone();
                    connections.spawn(async move { mes.serve(stream).await });
                }
            }
        }
    }
}
