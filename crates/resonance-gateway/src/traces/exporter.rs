//! Sends spans to a collector: OTLP over HTTP, as protobuf.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use prost::Message;
use resonance_plant::{Clock, Code, Event, EventSink, Timestamp, Value};
use resonance_wire::otlp::{self, AnyValue, InstrumentationScope, KeyValue, SpanKind, any_value};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Attribute, Counters, Span, TracesPlan};
use crate::sinks::SinkError;
use crate::sinks::http::{Connection, Endpoint};
use crate::sources::Stop;

/// Spans in one request.
const BATCH_MAX: usize = 512;

/// Times a request is tried before its spans are given up: traces are not worth a spool.
const ATTEMPTS_MAX: u32 = 3;

/// Between two attempts; doubled each time.
const RETRY: Duration = Duration::from_millis(500);

/// How long what is left is sent for when the gateway stops.
const FAREWELL: Duration = Duration::from_secs(2);

/// What the collector did with a request.
enum Answer {
    /// It took it, but for so many spans.
    Taken(u64, String),
    /// Another attempt may end otherwise.
    NotNow(String),
    /// None will.
    Never(String),
}

/// The task that sends.
pub(super) struct Exporter {
    url: String,
    endpoint: Endpoint,
    connection: Option<Connection>,
    resource: Vec<KeyValue>,
    every: Duration,
    counters: Arc<Counters>,
    clock: Arc<dyn Clock>,
    events: Arc<dyn EventSink>,
    /// The loss told last; told once until the collector takes spans again.
    is_told: bool,
}

impl Exporter {
    pub(super) fn new(
        plan: &TracesPlan,
        counters: Arc<Counters>,
        clock: Arc<dyn Clock>,
        events: Arc<dyn EventSink>,
    ) -> Result<Self, SinkError> {
        let started = clock.now();
        Ok(Self {
            url: plan.collector.url.clone(),
            endpoint: Endpoint::new(&plan.collector, "traces")?,
            connection: None,
            resource: resource(&plan.service_name, started),
            every: plan.every,
            counters,
            clock,
            events,
            is_told: false,
        })
    }

    /// Sends until told to stop, then what is left.
    pub(super) async fn run(mut self, mut waiting: mpsc::Receiver<Span>, mut stop: Stop) {
        loop {
            let mut batch = Vec::new();
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                _ = waiting.recv_many(&mut batch, BATCH_MAX) => {}
            }
            if batch.is_empty() {
                // Whoever could trace is gone.
                return;
            }
            let full_by = Instant::now() + self.every;
            let stopped = loop {
                let room = BATCH_MAX - batch.len();
                tokio::select! {
                    biased;
                    _ = stop.wait_for(|stop| *stop) => break true,
                    more = waiting.recv_many(&mut batch, room), if room > 0 => {
                        if more == 0 {
                            break false;
                        }
                    }
                    () = tokio::time::sleep_until(full_by) => break false,
                    else => break false,
                }
                if batch.len() == BATCH_MAX {
                    break false;
                }
            };
            if stopped {
                self.finish(batch, waiting).await;
                return;
            }
            let under_way = batch.len() as u64;
            let is_told = async {
                // An error says that whoever could tell is gone, which is the same.
                let _ = stop.wait_for(|stop| *stop).await;
                tokio::time::sleep(FAREWELL).await;
            };
            let sent = tokio::select! {
                biased;
                () = self.send(batch) => true,
                () = is_told => false,
            };
            if !sent {
                waiting.close();
                self.counters.lost.add(under_way + waiting.len() as u64);
                return;
            }
        }
        self.finish(Vec::new(), waiting).await;
    }

    /// Sends what is left, as far as there is time.
    async fn finish(&mut self, mut batch: Vec<Span>, mut waiting: mpsc::Receiver<Span>) {
        waiting.close();
        let counters = Arc::clone(&self.counters);
        let mut under_way = 0;
        let sending = async {
            loop {
                while batch.len() < BATCH_MAX
                    && let Ok(span) = waiting.try_recv()
                {
                    batch.push(span);
                }
                if batch.is_empty() {
                    return;
                }
                under_way = batch.len() as u64;
                self.send(std::mem::take(&mut batch)).await;
                under_way = 0;
            }
        };
        let timely = tokio::time::timeout(FAREWELL, sending).await;
        if timely.is_err() {
            counters.lost.add(under_way + waiting.len() as u64);
        }
    }

    /// Sends one request, a few times if need be.
    async fn send(&mut self, batch: Vec<Span>) {
        let count = batch.len() as u64;
        let spans = batch.into_iter().map(wire).collect();
        let scope = InstrumentationScope {
            name: "resonance".into(),
            version: env!("CARGO_PKG_VERSION").into(),
        };
        let body = Bytes::from(otlp::request(self.resource.clone(), scope, spans).encode_to_vec());
        let mut wait = RETRY;
        for attempt in 1..=ATTEMPTS_MAX {
            match self.attempt(&body).await {
                Answer::Taken(refused, why) => {
                    let refused = refused.min(count);
                    self.counters.exported.add(count - refused);
                    self.is_told &= refused > 0;
                    if refused > 0 {
                        self.lost(refused, &format!("the collector refused them: {why}"));
                    }
                    return;
                }
                Answer::NotNow(why) if attempt == ATTEMPTS_MAX => return self.lost(count, &why),
                Answer::NotNow(_) => {
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                }
                Answer::Never(why) => return self.lost(count, &why),
            }
        }
    }

    /// One attempt, over the connection there is or a new one.
    async fn attempt(&mut self, body: &Bytes) -> Answer {
        let within = self.endpoint.timeout;
        let exchange = async {
            let mut kept = self.connection.take();
            let is_open = match &mut kept {
                Some(connection) => connection.is_ready().await,
                None => false,
            };
            let mut connection = match kept {
                Some(connection) if is_open => connection,
                _ => Connection::open(&self.endpoint).await?,
            };
            let request = self.request(body)?;
            let response = connection.exchange(request).await?;
            Ok::<_, String>((connection, response))
        };
        let exchanged = tokio::time::timeout(within, exchange).await;
        let (connection, response) = match exchanged {
            Ok(Ok(exchanged)) => exchanged,
            Ok(Err(problem)) => return Answer::NotNow(problem),
            Err(_) => return Answer::NotNow(format!("no answer within {within:?}")),
        };
        self.connection = Some(connection);
        let status = response.status;
        // The statuses that the protocol says may be tried again (OTLP/HTTP, Retryable Response
        // Codes).
        const AGAIN: [StatusCode; 4] = [
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::BAD_GATEWAY,
            StatusCode::SERVICE_UNAVAILABLE,
            StatusCode::GATEWAY_TIMEOUT,
        ];
        match status {
            _ if status.is_success() => {
                let (refused, why) = otlp::refused(&response.body);
                Answer::Taken(refused, why)
            }
            _ if AGAIN.contains(&status) => Answer::NotNow(format!("it answered {status}")),
            _ => Answer::Never(format!("it answered {status}")),
        }
    }

    fn request(&self, body: &Bytes) -> Result<Request<Full<Bytes>>, String> {
        let mut request = Request::post(&self.endpoint.target)
            .header(HOST, &self.endpoint.origin.authority)
            .header(CONTENT_TYPE, otlp::MEDIA_TYPE)
            .header(USER_AGENT, concat!("resonance/", env!("CARGO_PKG_VERSION")));
        if let Some(authorization) = &self.endpoint.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        request.body(Full::new(body.clone())).map_err(|error| error.to_string())
    }

    fn lost(&mut self, count: u64, why: &str) {
        self.counters.lost.add(count);
        if !std::mem::replace(&mut self.is_told, true) {
            let message = format!("{}: {count} spans were lost: {why}", self.url);
            let event = Event::new(self.clock.now(), Code::TracesLost, "traces", message);
            self.events.record(event.with("count", Value::Uint(count)));
        }
    }
}

/// What every span of this process has (OpenTelemetry semantic conventions, resource).
fn resource(service_name: &str, started: Timestamp) -> Vec<KeyValue> {
    // Another start is another instance.
    let instance = format!("{:x}-{:x}", std::process::id(), started.nanos());
    let texts = [
        ("service.name", service_name),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("service.instance.id", &instance),
        ("telemetry.sdk.name", "resonance"),
        ("telemetry.sdk.language", "rust"),
        ("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
    ];
    texts.map(|(key, text)| pair(key, any_value::Value::Text(text.to_owned()))).into()
}

fn pair(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}

fn wire(span: Span) -> otlp::Span {
    let attribute = |(key, value)| {
        pair(
            key,
            match value {
                Attribute::Text(text) => any_value::Value::Text(text.as_ref().to_owned()),
                Attribute::Int(number) => any_value::Value::Int(number),
                Attribute::Bool(truth) => any_value::Value::Bool(truth),
            },
        )
    };
    let nanos = |at: Timestamp| u64::try_from(at.nanos()).unwrap_or(0);
    otlp::Span {
        trace_id: span.trace.to_vec(),
        span_id: span.id.to_vec(),
        parent_span_id: span.parent.map_or_else(Vec::new, |id| id.to_vec()),
        name: span.name.as_ref().to_owned(),
        kind: SpanKind::into(span.kind),
        start_time_unix_nano: nanos(span.from),
        end_time_unix_nano: nanos(span.to),
        attributes: span.attributes.into_iter().map(attribute).collect(),
        status: span
            .error
            .map(|message| otlp::Status { message, code: otlp::StatusCode::Error.into() }),
        flags: 1,
    }
}
