//! The run loop: one connection after the other, for ever.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use resonance_plant::{Code, Event, Severity, Value};
use rumqttc::mqttbytes::v5::SubscribeReasonCode;
use rumqttc::{
    AsyncClient, ConnAckProperties, ConnectionError, Event as MqttEvent, EventLoop, Packet,
    Publish, PublishNotice, PublishOptions, PublishProperties, QoS,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep_until;

use super::MqttConfig;
use super::answer::{self, Answer, Trouble};
use super::confirm::Confirmations;
use super::endpoint::Endpoint;
use super::progress::{Outcome, Progress};
use crate::sinks::backoff::random;
use crate::sinks::unconfirmed::Unconfirmed;
use crate::sinks::{Delivery, Sink, SinkError};
use crate::sources::Stop;
use crate::spool::Spooled;
use crate::status::Connection;
use crate::traces;

/// What is under way may still be acknowledged for this long after the stop.
const FAREWELL: Duration = Duration::from_secs(2);
/// Results read from the spool at once; they wait here for room among those under way.
const READ_MAX: usize = 256;
/// Results set aside are told at most this often.
const TELL_EVERY: Duration = Duration::from_secs(10);
/// What a PUBLISH needs beside topic, payload and properties, generously, bytes.
const HEADER_BYTES: usize = 64;

/// An MQTT 5 publisher.
#[derive(Debug)]
pub struct MqttSink {
    config: MqttConfig,
}

impl MqttSink {
    /// A sink with this configuration.
    pub fn new(config: MqttConfig) -> Self {
        Self { config }
    }
}

impl Sink for MqttSink {
    fn run(
        self: Box<Self>,
        delivery: Delivery,
        stop: Stop,
    ) -> Pin<Box<dyn Future<Output = Result<(), SinkError>> + Send>> {
        Box::pin(async move {
            let endpoint = Endpoint::new(&self.config, &delivery.id)?;
            let wait_max = Duration::from_millis(u64::from(self.config.backoff_ms_max.max(1)));
            let confirm_within = Duration::from_millis(self.config.confirm_ms_max.max(1).into());
            let progress = Progress::new(self.config.in_flight_max, wait_max);
            let publisher = Publisher {
                progress: match endpoint.reply_topic {
                    Some(_) => progress.answered_within(confirm_within),
                    None => progress,
                },
                confirmations: endpoint.reply_topic.clone().map(Confirmations::new),
                confirm_within,
                unconfirmed: Unconfirmed::new(self.config.unconfirmed_max),
                retain: self.config.retain,
                endpoint,
                config: self.config,
                delivery,
                read: VecDeque::new(),
                broker: Broker::default(),
                told: None,
                refusal_told: None,
                set_aside: SetAside::default(),
            };
            publisher.run(stop).await;
            Ok(())
        })
    }
}

struct Publisher {
    config: MqttConfig,
    endpoint: Endpoint,
    delivery: Delivery,
    /// Read from the spool and not yet sent.
    read: VecDeque<Spooled>,
    progress: Progress,
    /// What the application has yet to confirm, where its word counts.
    confirmations: Option<Confirmations>,
    confirm_within: Duration,
    unconfirmed: Unconfirmed,
    broker: Broker,
    /// As configured, until a broker says it cannot.
    retain: bool,
    /// The trouble with the connection told last, so that it is told once.
    told: Option<String>,
    /// The refusal told last, so that it is told once until the broker takes results again.
    refusal_told: Option<String>,
    set_aside: SetAside,
}

/// What the broker said of itself when it accepted the connection.
#[derive(Debug, Default)]
struct Broker {
    connected: bool,
    packet_bytes_max: Option<u32>,
}

/// Results set aside that were not told yet.
#[derive(Debug, Default)]
struct SetAside {
    count: u64,
    told_at: Option<Instant>,
}

/// Why a connection ended.
enum Ended {
    Stopped,
    Lost(Trouble),
}

impl Publisher {
    async fn run(mut self, mut stop: Stop) {
        loop {
            let Ended::Lost(trouble) = self.connection(&mut stop).await else { break };
            self.lost(trouble);
            let wait = self.progress.disconnected(random());
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                () = tokio::time::sleep(wait) => {}
            }
        }
        self.delivery.counters.connection.set(Connection::Stopped);
    }

    /// Connects and publishes until the connection ends. Every connection has a client of its
    /// own: nothing is left over in a client's queue that the spool does not know of.
    async fn connection(&mut self, stop: &mut Stop) -> Ended {
        self.rewind();
        self.broker = Broker::default();
        // One more for the subscription to answers.
        let capacity = usize::from(self.config.in_flight_max) + 1;
        let (client, events) =
            AsyncClient::builder(self.endpoint.options.clone()).capacity(capacity).build();
        let (accepted, acceptance) = oneshot::channel();
        let (heard, incoming) = mpsc::channel(capacity);
        if let Some(confirmations) = &mut self.confirmations {
            confirmations.clear();
        }
        tokio::select! {
            error = pump(events, accepted, heard) => match error {
                ConnectionError::RequestsDone | ConnectionError::DisconnectTimeout => {
                    Ended::Stopped
                }
                error => Ended::Lost(answer::of_connection(&error)),
            },
            ended = self.feed(client, acceptance, incoming, stop) => ended,
        }
    }

    /// Publishes from the spool and takes acknowledgements.
    async fn feed(
        &mut self,
        client: AsyncClient,
        acceptance: oneshot::Receiver<Option<ConnAckProperties>>,
        mut incoming: mpsc::Receiver<Incoming>,
        stop: &mut Stop,
    ) -> Ended {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return Ended::Stopped,
            // A closed channel means that the connection failed; its error ends this.
            Ok(properties) = acceptance => {
                if let Err(trouble) = self.accepted(properties.as_ref()) {
                    return Ended::Lost(trouble);
                }
            }
        }
        if let Some(Confirmations { topic, .. }) = &self.confirmations
            && let Err(error) = client.try_subscribe(topic.as_str(), QoS::AtLeastOnce)
        {
            return Ended::Lost(answer::of_client(&error));
        }
        let mut notices = FuturesUnordered::new();
        let mut farewell: Option<Instant> = None;
        loop {
            let now = now();
            if farewell.is_some_and(|until| now >= until || self.progress.is_idle()) {
                return leave(client).await;
            }
            if let Some(first) = self.progress.mute(now) {
                match self.silence(first) {
                    Some(trouble) => return Ended::Lost(trouble),
                    None => continue,
                }
            }
            while farewell.is_none()
                && let Some(sent) = self.send(&client, now)
            {
                match sent {
                    Ok((sequence, notice)) => {
                        notices.push(async move { (sequence, notice.wait_async().await) });
                    }
                    Err(trouble) => return Ended::Lost(trouble),
                }
            }
            let room = if farewell.is_some() { 0 } else { self.progress.room(now) };
            let wake = farewell.or(self.progress.wake_at(now));
            tokio::select! {
                biased;
                Some((sequence, notice)) = notices.next() => {
                    let is_confirmed = self.confirmations.is_some();
                    self.published(sequence, answer::of_publish(notice, is_confirmed));
                }
                Some(heard) = incoming.recv() => {
                    if let Err(trouble) = self.heard(heard) {
                        return Ended::Lost(trouble);
                    }
                }
                _ = stop.wait_for(|stop| *stop), if farewell.is_none() => {
                    farewell = Some(now + FAREWELL);
                }
                results = self.delivery.cursor.next(READ_MAX), if room > 0 => {
                    self.read.extend(results);
                }
                () = sleep_until(wake.unwrap_or(now).into()), if wake.is_some() => {}
            }
        }
    }

    /// Too long a silence about a result. `None`: the result is given up, and the rest goes on.
    fn silence(&mut self, first: u64) -> Option<Trouble> {
        let Some(of) = &self.confirmations else { return Some(answer::mute()) };
        let trouble = answer::unconfirmed(self.confirm_within, &of.topic);
        let Some(times) = self.unconfirmed.again(first) else { return Some(trouble) };
        let reason = format!("sent {times} times: {}", trouble.message);
        self.answered(first, Answer::Never(reason));
        None
    }

    /// Sends the next result where there is one and room for it.
    fn send(
        &mut self,
        client: &AsyncClient,
        now: Instant,
    ) -> Option<Result<(u64, PublishNotice), Trouble>> {
        while self.progress.room(now) > 0 {
            let result = self.read.pop_front()?;
            let Some((payload, options)) = self.prepare(&result) else { continue };
            let sent = client.try_publish_tracked(self.topic(&result), payload, options);
            return Some(match sent {
                Ok(notice) => Ok((result.sequence, notice)),
                Err(error) => Err(answer::of_client(&error)),
            });
        }
        None
    }

    /// The broker took the connection; checks that it can do what is needed.
    fn accepted(&mut self, properties: Option<&ConnAckProperties>) -> Result<(), Trouble> {
        let said = |what: fn(&ConnAckProperties) -> Option<u32>| properties.and_then(what);
        if said(|of| of.max_qos.map(u32::from)) == Some(0) {
            return Err(answer::no_acknowledgements());
        }
        self.progress.connected(properties.and_then(|of| of.receive_max));
        self.broker = Broker { connected: true, packet_bytes_max: said(|of| of.max_packet_size) };
        self.told = None;
        self.retain =
            self.config.retain && said(|of| of.retain_available.map(u32::from)) != Some(0);
        self.delivery.counters.connection.set(Connection::Connected);
        self.tell(Code::SinkConnected, format!("{} accepts results", self.config.url), &[]);
        if self.retain != self.config.retain {
            let mut event = self.event(
                Code::SinkRefused,
                "the broker keeps no retained messages; results are delivered without retain"
                    .into(),
            );
            event.severity = Severity::Warning;
            self.delivery.events.record(event);
        }
        Ok(())
    }

    fn topic(&self, result: &Spooled) -> String {
        self.endpoint.topic.topic(&result.asset, &result.deployment, &result.model)
    }

    /// What is published of a result, and how, and that it is under way. `None` where it cannot
    /// be sent in this form, or is larger than the broker takes: it is set aside instead.
    fn prepare(&mut self, result: &Spooled) -> Option<(Bytes, PublishOptions)> {
        self.progress.sent(result.sequence, now());
        let payload = match self.endpoint.form.message(std::slice::from_ref(result)) {
            Ok(message) => message.body,
            Err(error) => {
                self.answered(result.sequence, Answer::Never(error.to_string()));
                return None;
            }
        };
        let properties = self.properties(result);
        let names: usize = properties
            .user_properties
            .iter()
            .map(|(name, value)| name.len() + value.len() + 5)
            .sum();
        let reply = properties.response_topic.as_ref().map_or(0, |topic| topic.len() + 3);
        let bytes = HEADER_BYTES + self.topic(result).len() + names + reply + payload.len();
        if self.broker.packet_bytes_max.is_some_and(|max| bytes as u64 > u64::from(max)) {
            let reason = format!("{bytes} bytes are more than the broker takes in one packet");
            self.answered(result.sequence, Answer::Never(reason));
            return None;
        }
        if let Some(confirmations) = &mut self.confirmations {
            confirmations.sent(result.id, result.sequence);
        }
        let options = PublishOptions::new(QoS::AtLeastOnce).retain(self.retain);
        Some((payload, options.properties(properties)))
    }

    /// The broker answered; where the application's word counts, its yes is none.
    fn published(&mut self, sequence: u64, answer: Answer) {
        if self.confirmations.is_none() || answer != Answer::Accepted {
            self.answered(sequence, answer);
        }
    }

    /// The application answered, or the broker does not let us hear it.
    fn heard(&mut self, heard: Incoming) -> Result<(), Trouble> {
        let Some(confirmations) = &mut self.confirmations else { return Ok(()) };
        match heard {
            Incoming::Unheard(reason) => Err(answer::no_replies(&confirmations.topic, &reason)),
            Incoming::Answer(publish) => {
                for (sequence, answer) in confirmations.answered(&publish) {
                    self.answered(sequence, answer);
                }
                Ok(())
            }
        }
    }

    /// MQTT 5.0, 3.3.2.3.
    fn properties(&self, result: &Spooled) -> PublishProperties {
        let since = self.delivery.clock.now().since(result.spooled_at).max(0);
        let age = Duration::from_nanos(since.unsigned_abs());
        let expiry = self.delivery.cursor.age_max().saturating_sub(age).as_secs().max(1);
        let user = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut user_properties = vec![
            user("result_id", &result.id.to_string()),
            user("model", &result.model),
            user("model_version", &result.model_version),
            user("trained_on", &result.trained_on),
        ];
        let context = self.delivery.cursor.trace_context(&result.id);
        user_properties.extend(context.map(|context| user(traces::CONTEXT, &context)));
        PublishProperties {
            payload_format_indicator: Some(1),
            message_expiry_interval: Some(u32::try_from(expiry).unwrap_or(u32::MAX)),
            content_type: Some(self.endpoint.form.content_type().into()),
            response_topic: self.endpoint.reply_topic.clone(),
            correlation_data: Some(result.id.0.to_vec().into()),
            user_properties,
            ..PublishProperties::default()
        }
    }

    /// Moves the cursor on, or prepares to send again.
    fn answered(&mut self, sequence: u64, answer: Answer) {
        let counters = &self.delivery.counters;
        let outcome = match answer {
            Answer::Accepted => Outcome::Accepted,
            Answer::Unconfirmed(reason) => {
                let is_first = self.progress.is_first(sequence);
                let times = is_first.then(|| self.unconfirmed.again(sequence)).flatten();
                return self.answered(
                    sequence,
                    match times {
                        Some(times) => Answer::Never(format!("sent {times} times: {reason}")),
                        None => Answer::NotNow(reason),
                    },
                );
            }
            Answer::Never(reason) => {
                counters.failed.add(1);
                self.delivery.cursor.set_aside(sequence, &reason);
                self.tell_set_aside(&reason);
                Outcome::SetAside
            }
            Answer::NotNow(reason) => {
                counters.failed.add(1);
                if self.refusal_told.as_deref() != Some(reason.as_str()) {
                    let message = format!(
                        "results are refused: {reason}; they are kept and tried again, in \
                         order, with growing pauses"
                    );
                    self.tell(Code::SinkRefused, message, &[("spool_sequence", sequence)]);
                    self.refusal_told = Some(reason);
                }
                Outcome::Refused
            }
            // The connection ended; what follows from that is decided there.
            Answer::Unknown => return,
        };
        if let Some(done) = self.progress.answered(sequence, outcome, now(), random()) {
            self.delivery.cursor.acknowledge(done);
            self.delivery.counters.delivered.add(self.progress.take_accepted());
            if outcome == Outcome::Accepted {
                self.refusal_told = None;
            }
        }
        if self.progress.must_rewind() {
            self.rewind();
        }
    }

    /// What was not acknowledged is read and sent again.
    fn rewind(&mut self) {
        self.read.clear();
        self.delivery.cursor.rewind();
    }

    fn tell_set_aside(&mut self, reason: &str) {
        self.set_aside.count += 1;
        let now = now();
        if self.set_aside.told_at.is_none_or(|at| now >= at + TELL_EVERY) {
            let count = std::mem::take(&mut self.set_aside.count);
            self.set_aside.told_at = Some(now);
            let message = format!(
                "{count} result(s) will never be taken: {reason}; they are kept as dead letters: \
                 see `resonance dead-letters`"
            );
            self.tell(Code::SinkRefused, message, &[("count", count)]);
        }
    }

    fn lost(&mut self, trouble: Trouble) {
        self.delivery.counters.connection.set(Connection::Connecting);
        self.delivery.counters.failed.add(1);
        if self.broker.connected || self.told.as_deref() != Some(trouble.message.as_str()) {
            let message = format!("{}: {}", self.config.url, trouble.message);
            self.tell(trouble.code, message, &[]);
            self.told = Some(trouble.message);
        }
    }

    fn tell(&self, code: Code, message: String, detail: &[(&'static str, u64)]) {
        let mut event = self.event(code, message);
        for (key, value) in detail {
            event = event.with(*key, Value::Uint(*value));
        }
        self.delivery.events.record(event);
    }

    fn event(&self, code: Code, message: String) -> Event {
        let subject = format!("sink/{}", self.delivery.id);
        Event::new(self.delivery.clock.now(), code, &subject, message)
    }
}

/// What comes in besides acknowledgements.
enum Incoming {
    /// An answer of the application.
    Answer(Box<Publish>),
    /// The subscription to answers was refused, for this reason.
    Unheard(String),
}

/// Drives the connection until it ends; says when it was accepted, and passes on what comes in.
async fn pump(
    mut events: EventLoop,
    accepted: oneshot::Sender<Option<ConnAckProperties>>,
    heard: mpsc::Sender<Incoming>,
) -> ConnectionError {
    let mut accepted = Some(accepted);
    loop {
        let incoming = match events.poll().await {
            Ok(MqttEvent::Incoming(Packet::ConnAck(answer))) => {
                if let Some(accepted) = accepted.take() {
                    // Nobody waits any more where the sink is stopped in this moment.
                    let _ = accepted.send(answer.properties);
                }
                continue;
            }
            Ok(MqttEvent::Incoming(Packet::Publish(publish))) => {
                Incoming::Answer(Box::new(publish))
            }
            Ok(MqttEvent::Incoming(Packet::SubAck(answer))) => {
                let is_granted =
                    |code: &&SubscribeReasonCode| matches!(code, SubscribeReasonCode::Success(_));
                match answer.return_codes.iter().find(|code| !is_granted(code)) {
                    Some(refused) => Incoming::Unheard(format!("{refused:?}")),
                    None => continue,
                }
            }
            Ok(_) => continue,
            Err(error) => return error,
        };
        // The one who hears is polled beside this, and ends this where it ends.
        let _ = heard.send(incoming).await;
    }
}

/// Ends the session in the protocol's way. The loop that reads ends this.
async fn leave(client: AsyncClient) -> Ended {
    if client.disconnect_with_timeout(FAREWELL).await.is_ok() {
        tokio::time::sleep(FAREWELL).await;
    }
    Ended::Stopped
}

/// The present moment of the timers, which tests may hold and move.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
