//! The run loop: one request after the other, for ever.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use resonance_plant::{Code, Event, Value};
use tokio::time::Instant;

use super::HttpConfig;
use super::answer::{Answer, judge};
use super::connection::{Connect, Connection};
use super::endpoint::Endpoint;
use crate::sinks::backoff::{Backoff, random};
use crate::sinks::payload::Message;
use crate::sinks::unconfirmed::Unconfirmed;
use crate::sinks::{Delivery, Sink, SinkError};
use crate::sources::Stop;
use crate::spool::Spooled;
use crate::status::Connection as Reached;
use crate::traces;

/// Results taken from the spool at once, at least.
const READ_MIN: usize = 64;
/// Results set aside are told at most this often.
const TELL_EVERY: Duration = Duration::from_secs(10);
/// What is under way may still be answered for this long after the stop.
const FAREWELL: Duration = Duration::from_secs(2);
/// Says to a peer that may have had a request already that this is the same one again.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
const AGENT: &str = concat!("resonance/", env!("CARGO_PKG_VERSION"));

/// Posts results over HTTP.
#[derive(Debug)]
pub struct HttpSink {
    config: HttpConfig,
}

impl HttpSink {
    /// A sink with this configuration.
    pub fn new(config: HttpConfig) -> Self {
        Self { config }
    }
}

impl Sink for HttpSink {
    fn run(
        self: Box<Self>,
        delivery: Delivery,
        stop: Stop,
    ) -> Pin<Box<dyn Future<Output = Result<(), SinkError>> + Send>> {
        Box::pin(async move {
            let endpoint = Endpoint::new(&self.config, &delivery.id)?;
            let connect = Arc::new(endpoint.clone());
            Poster::new(&self.config, endpoint, connect, delivery).run(stop).await;
            Ok(())
        })
    }
}

/// The sink at work.
pub(super) struct Poster {
    url: String,
    endpoint: Endpoint,
    connect: Arc<dyn Connect>,
    delivery: Delivery,
    connection: Option<Connection>,
    backoff: Backoff,
    unconfirmed: Unconfirmed,
    /// Results up to this one are sent one by one: among them is one that was refused.
    alone_to: u64,
    /// The trouble told last, so that it is told once until results are taken again.
    told: Option<String>,
    /// Whether results were taken since the start.
    is_known: bool,
    set_aside: u64,
    set_aside_told_at: Option<Instant>,
}

/// What to do after a request.
enum Next {
    /// So many results are done with.
    Done(usize),
    /// Read again, after this wait.
    Again(Duration),
}

impl Poster {
    pub(super) fn new(
        config: &HttpConfig,
        endpoint: Endpoint,
        connect: Arc<dyn Connect>,
        delivery: Delivery,
    ) -> Self {
        let wait_max = Duration::from_millis(u64::from(config.backoff_ms_max.max(1)));
        Self {
            url: config.url.clone(),
            endpoint,
            connect,
            delivery,
            connection: None,
            backoff: Backoff::new(wait_max),
            unconfirmed: Unconfirmed::new(config.unconfirmed_max),
            alone_to: 0,
            told: None,
            is_known: false,
            set_aside: 0,
            set_aside_told_at: None,
        }
    }

    /// Delivers until told to stop.
    pub(super) async fn run(mut self, mut stop: Stop) {
        let most = self.endpoint.batch_max.max(READ_MIN);
        loop {
            let read = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                results = self.delivery.cursor.next(most) => results,
            };
            if !self.deliver(&read, &mut stop).await {
                break;
            }
        }
        self.delivery.counters.connection.set(Reached::Stopped);
    }

    /// Delivers what was read, or goes back in the spool. False: stopped.
    async fn deliver(&mut self, read: &[Spooled], stop: &mut Stop) -> bool {
        let mut rest = read;
        while let Some(first) = rest.first() {
            let alone = first.sequence <= self.alone_to;
            let count = if alone { 1 } else { self.endpoint.batch_max.min(rest.len()) };
            let next = tokio::select! {
                next = self.post(&rest[..count]) => next,
                () = farewell(stop) => return false,
            };
            match next {
                Next::Done(count) => rest = &rest[count..],
                Next::Again(wait) => {
                    self.delivery.cursor.rewind();
                    tokio::select! {
                        _ = stop.wait_for(|stop| *stop) => return false,
                        () = tokio::time::sleep(wait) => return true,
                    }
                }
            }
            if *stop.borrow() {
                return false;
            }
        }
        true
    }

    /// Sends one request with the first of these results, and takes the answer.
    async fn post(&mut self, results: &[Spooled]) -> Next {
        let message = match self.endpoint.form.message(results) {
            Ok(message) => message,
            Err(error) => {
                return self.answered(&results[..1], Answer::Never(error.to_string()));
            }
        };
        let within = self.endpoint.timeout;
        // A request of several results is part of no single trace.
        let context = match &results[..message.results] {
            [result] => self.delivery.cursor.trace_context(&result.id),
            _ => None,
        };
        let exchange = self.exchange(&message, context.as_deref());
        let answer = match tokio::time::timeout(within, exchange).await {
            Ok(answer) => answer,
            Err(_) => Answer::Broken(format!("no answer within {} ms", within.as_millis())),
        };
        self.answered(&results[..message.results], answer)
    }

    /// A connection that a peer closed between two requests is not an attempt that failed.
    async fn exchange(&mut self, message: &Message, context: Option<&str>) -> Answer {
        loop {
            // Taken out: given up half-way, it is of no use any more.
            let open = match self.connection.take() {
                Some(mut open) => open.is_ready().await.then_some(open),
                None => None,
            };
            let mut connection = match open {
                Some(open) => open,
                None => match Connection::open(&*self.connect).await {
                    Ok(connection) => connection,
                    Err(problem) => return Answer::Broken(problem),
                },
            };
            let was_used = connection.is_used;
            let response = match connection.exchange(self.request(message, context)).await {
                Ok(response) => response,
                Err(_) if was_used => continue,
                Err(problem) => return Answer::Broken(problem),
            };
            if response.cut.is_none() {
                self.connection = Some(connection);
            }
            if [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&response.status) {
                // Secrets are replaced in their places while a gateway runs.
                self.endpoint.authorize_anew();
            }
            let form = &self.endpoint.form;
            return judge(&response, &message.id, form.acknowledge, self.delivery.clock.now());
        }
    }

    fn request(&self, message: &Message, context: Option<&str>) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(message.body.clone()));
        *request.method_mut() = hyper::Method::POST;
        // Both were read from a URL or are hexadecimal digits: they always fit.
        *request.uri_mut() = self.endpoint.target.parse().unwrap_or_default();
        let headers = request.headers_mut();
        headers.insert(HOST, self.endpoint.origin.authority.clone());
        let kind = self.endpoint.form.content_type();
        for (name, value) in [(CONTENT_TYPE, kind), (ACCEPT, kind), (USER_AGENT, AGENT)] {
            headers.insert(name, hyper::header::HeaderValue::from_static(value));
        }
        if let Ok(key) = message.id.parse() {
            headers.insert(IDEMPOTENCY_KEY, key);
        }
        if let Some(Ok(context)) = context.map(str::parse) {
            headers.insert(traces::CONTEXT, context);
        }
        if let Some(authorization) = &self.endpoint.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        request
    }

    /// Moves the cursor on, or says when to try again.
    fn answered(&mut self, results: &[Spooled], answer: Answer) -> Next {
        let last = results.last().map_or(0, |result| result.sequence);
        if !matches!(answer, Answer::Broken(_)) {
            self.delivery.counters.connection.set(Reached::Connected);
        }
        match answer {
            Answer::Accepted => {
                self.delivery.counters.delivered.add(results.len() as u64);
                self.delivery.cursor.acknowledge(last);
                self.taken();
                Next::Done(results.len())
            }
            Answer::Never(_) if results.len() > 1 => {
                self.alone_to = last;
                self.delivery.counters.failed.add(1);
                Next::Again(Duration::ZERO)
            }
            Answer::Never(reason) => {
                self.backoff.reset();
                self.set_aside(last, &reason)
            }
            Answer::NotNow { reason, retry_after } => self.not_now(&reason, retry_after),
            Answer::Unconfirmed(reason) => {
                let first = results.first().map_or(last, |result| result.sequence);
                match self.unconfirmed.again(first) {
                    Some(times) if results.len() == 1 => {
                        self.set_aside(last, &format!("sent {times} times: {reason}"))
                    }
                    // Which of them the system loses is found out one by one.
                    Some(_) => {
                        self.alone_to = last;
                        self.not_now(&reason, None)
                    }
                    None => self.not_now(&reason, None),
                }
            }
            Answer::Broken(problem) => {
                self.delivery.counters.connection.set(Reached::Connecting);
                self.connection = None;
                self.failed(Code::SinkDisconnected, format!("{}: {problem}", self.url));
                Next::Again(self.backoff.wait(random()))
            }
        }
    }

    fn not_now(&mut self, reason: &str, retry_after: Option<Duration>) -> Next {
        let message = format!(
            "{}: {reason}; results are kept and sent again, in order, with growing pauses",
            self.url
        );
        self.failed(Code::SinkRefused, message);
        Next::Again(self.backoff.wait(random()).max(retry_after.unwrap_or_default()))
    }

    /// The only result that was sent becomes a dead letter.
    fn set_aside(&mut self, sequence: u64, reason: &str) -> Next {
        self.delivery.counters.failed.add(1);
        self.delivery.cursor.set_aside(sequence, reason);
        self.delivery.cursor.acknowledge(sequence);
        self.tell_set_aside(reason);
        Next::Done(1)
    }

    /// Results are taken: the next trouble is a new one.
    fn taken(&mut self) {
        self.backoff.reset();
        if self.told.take().is_some() | !std::mem::replace(&mut self.is_known, true) {
            self.tell(Code::SinkConnected, format!("{} accepts results", self.url), &[]);
        }
    }

    fn failed(&mut self, code: Code, message: String) {
        self.delivery.counters.failed.add(1);
        if self.told.as_deref() != Some(message.as_str()) {
            self.tell(code, message.clone(), &[]);
            self.told = Some(message);
        }
    }

    fn tell_set_aside(&mut self, reason: &str) {
        self.set_aside += 1;
        let now = Instant::now();
        if self.set_aside_told_at.is_none_or(|at| now >= at + TELL_EVERY) {
            let count = std::mem::take(&mut self.set_aside);
            self.set_aside_told_at = Some(now);
            let message = format!(
                "{} will never take {count} result(s): {reason}; they are kept as dead letters: \
                 see `resonance dead-letters`",
                self.url
            );
            self.tell(Code::SinkRefused, message, &[("count", count)]);
        }
    }

    fn tell(&self, code: Code, message: String, detail: &[(&'static str, u64)]) {
        let subject = format!("sink/{}", self.delivery.id);
        let mut event = Event::new(self.delivery.clock.now(), code, &subject, message);
        for (key, value) in detail {
            event = event.with(*key, Value::Uint(*value));
        }
        self.delivery.events.record(event);
    }
}

/// Ends somewhat after the stop: what is under way may still be answered.
async fn farewell(stop: &mut Stop) {
    let _ = stop.wait_for(|stop| *stop).await;
    tokio::time::sleep(FAREWELL).await;
}
