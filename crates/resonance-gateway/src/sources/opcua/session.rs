//! The run loop: connect, receive, and again, for ever.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use opcua::types::{Error, StatusCode};
use resonance_opcua::value::status_from_ua;
use resonance_plant::{Code, Event, Status, Timestamp, Value};
use tokio::time::Instant;

use super::OpcUaConfig;
use super::backoff::{Backoff, STEADY, random};
use super::checkup::{ServerTimes, server_times};
use super::config::{SecurityMode, SecurityPolicy};
use super::connect::{NotResumed, SESSION_KEPT, Session, connect, resume};
use super::failure::Failure;
use super::limiter::Limiter;
use super::outage::Outage;
use super::publish::receive;
use super::requests::Live;
use super::rounds::Rounds;
use super::subscriptions::{Layout, subscribe};
use super::unpack::Unpacker;
use crate::hub::ingest::{BlockSender, Gap, SessionState};
use crate::sources::{Link, Source, SourceError, Stop};
use crate::status::Connection;

/// A machine's clock that is off by more is told of, microseconds.
const CLOCK_OFFSET_US_MAX: i64 = 1_000_000;

/// Connections that handed nothing over before their session is given up for a new one.
const FRUITLESS_MAX: u32 = 3;

/// How long to wait for the machine's goodbye when told to stop.
const GOODBYE: Duration = Duration::from_secs(1);

/// While the ring to the hub is full of notes, how long until the next try.
const NOTE_RETRY: Duration = Duration::from_millis(2);

/// An OPC UA client.
#[derive(Debug)]
pub struct OpcUaSource {
    config: OpcUaConfig,
}

impl OpcUaSource {
    /// A source with this configuration.
    pub fn new(config: OpcUaConfig) -> Self {
        Self { config }
    }
}

impl Source for OpcUaSource {
    fn run(
        self: Box<Self>,
        link: Link,
        mut out: BlockSender,
        mut stop: Stop,
    ) -> Pin<Box<dyn Future<Output = Result<(), SourceError>>>> {
        Box::pin(async move {
            check(&self.config)?;
            let mut reader = Reader::new(self.config, link);
            reader.run(&mut out, &mut stop).await;
            reader.link.counters.connection.set(Connection::Stopped);
            Ok(())
        })
    }
}

/// Refuses what no retry can mend.
fn check(config: &OpcUaConfig) -> Result<(), SourceError> {
    let refuse = |key: &str, problem: &str| {
        Err(SourceError::Configuration { key: key.into(), problem: problem.into() })
    };
    if !config.url.starts_with("opc.tcp://") {
        return refuse("url", "write opc.tcp://host:port/path");
    }
    let weak = matches!(
        config.security_policy,
        SecurityPolicy::None | SecurityPolicy::Basic128rsa15 | SecurityPolicy::Basic256
    );
    if weak && !config.allow_weak_security {
        return refuse(
            "security_policy",
            "this policy protects nothing; choose basic256sha256 or better, or set \
             allow_weak_security = true",
        );
    }
    if config.security_policy != SecurityPolicy::None && config.security_mode == SecurityMode::None
    {
        return refuse("security_mode", "none goes only with security_policy = \"none\"");
    }
    if config.password.is_some() && config.user.is_none() {
        return refuse("password", "a password needs a user");
    }
    Ok(())
}

/// Ends when the source is told to stop, or whoever would tell is gone.
async fn told(stop: &mut Stop) {
    // An error means that the sender is gone: nobody is left to run for.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// What outlives a session.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) config: Arc<OpcUaConfig>,
    pub(super) link: Link,
    pub(super) unpacker: Unpacker,
    outage: Outage,
    backoff: Backoff,
    limiter: Limiter,
    /// What was last told of the connection, so that each attempt is not told anew.
    told: Option<Code>,
    alive: bool,
    connected_once: bool,
    clock_off: bool,
    /// The session at hand went on over a new connection and was not heard yet.
    resumed: bool,
    /// A message was handed over, all or part of it, since the connection was made.
    pub(super) progressed: bool,
    /// The offset of the machine's clock when it was last heard, microseconds.
    heard_offset_us: i64,
}

/// A session whose connection may be lost.
struct Kept {
    session: Session,
    /// `None` until it has its subscriptions.
    layout: Option<Layout>,
    lost: Instant,
    /// Connections since the last one over which something was handed over. A session that never
    /// delivered is worth no other: the gap before it must not be taken back.
    fruitless: u32,
}

impl Reader {
    fn new(config: OpcUaConfig, link: Link) -> Self {
        Self {
            unpacker: Unpacker::new(&link, config.time),
            backoff: Backoff::new(Duration::from_millis(u64::from(config.backoff_ms_max.max(1)))),
            config: Arc::new(config),
            link,
            outage: Outage::default(),
            limiter: Limiter::default(),
            told: None,
            alive: false,
            connected_once: false,
            clock_off: false,
            resumed: false,
            progressed: false,
            heard_offset_us: 0,
        }
    }

    async fn run(&mut self, out: &mut BlockSender, stop: &mut Stop) {
        let mut kept: Option<Kept> = None;
        loop {
            let began = Instant::now();
            let connected = tokio::select! {
                () = told(stop) => return,
                connected = self.connected(&mut kept) => connected,
            };
            let failure = match connected {
                Ok((live, mut session)) => {
                    let ended = tokio::select! {
                        () = told(stop) => None,
                        failure = self.serve(&live, &mut session, out) => Some(failure),
                    };
                    let Some(failure) = ended else {
                        let _ = tokio::time::timeout(GOODBYE, live.close()).await;
                        return;
                    };
                    session.fruitless = if self.progressed { 0 } else { session.fruitless + 1 };
                    let is_worth_it = session.fruitless < FRUITLESS_MAX && failure.leaves_session();
                    kept = Some(session).filter(|kept| is_worth_it && kept.layout.is_some());
                    failure
                }
                Err(failure) => failure,
            };
            let delivered = self.failed(&failure, out).await;
            if delivered && began.elapsed() >= STEADY {
                self.backoff.reset();
                if kept.is_some() {
                    // The shorter a cut, the more the machine still has of what it had to say.
                    continue;
                }
            }
            let wait = self.backoff.wait(random());
            tokio::select! {
                () = told(stop) => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// The session that was kept, over a new connection, or else a new one.
    async fn connected(&mut self, kept: &mut Option<Kept>) -> Result<(Arc<Live>, Kept), Failure> {
        if let Some(mut old) = kept.take()
            && old.lost.elapsed() < SESSION_KEPT
        {
            match resume(&self.config, &mut old.session).await {
                Ok(live) => return Ok((Arc::new(live), old)),
                Err(NotResumed::Unreachable(failure)) => {
                    *kept = Some(old);
                    return Err(failure);
                }
                Err(NotResumed::Cut(failure)) => {
                    old.fruitless += 1;
                    *kept = Some(old).filter(|old| old.fruitless < FRUITLESS_MAX);
                    return Err(failure);
                }
                Err(NotResumed::Gone(failure)) => {
                    tracing::info!(%failure, "the session cannot go on; a new one is made");
                }
            }
        }
        let (live, session) = connect(&self.config).await?;
        let (lost, fruitless) = (Instant::now(), FRUITLESS_MAX);
        Ok((Arc::new(live), Kept { session, layout: None, lost, fruitless }))
    }

    /// Uses a session until it ends.
    async fn serve(&mut self, live: &Arc<Live>, kept: &mut Kept, out: &mut BlockSender) -> Failure {
        self.resumed = kept.layout.is_some();
        let mut layout = match kept.layout.take() {
            Some(layout) => layout,
            None => match self.subscribed(live, out).await {
                Ok(layout) => layout,
                Err(failure) => return failure,
            },
        };
        self.progressed = false;
        layout.subscriptions.iter_mut().for_each(|subscription| subscription.is_whole = false);
        let failure = receive(live, &mut layout, self, out).await;
        let partial = layout.subscriptions.iter().filter(|subscription| !subscription.is_whole);
        if let Some(complete) = partial.map(|subscription| subscription.complete).min() {
            self.outage.incomplete_since(complete);
        }
        (kept.layout, kept.lost) = (Some(layout), Instant::now());
        failure
    }

    /// Makes the subscriptions of a new session.
    async fn subscribed(
        &mut self,
        live: &Arc<Live>,
        out: &mut BlockSender,
    ) -> Result<Layout, Failure> {
        let url = self.config.url.clone();
        let failed = |step: &'static str| move |e: Error| Failure::while_connecting(&url, step, &e);
        let times = match server_times(live, &*self.link.clock).await {
            Ok(times) => times,
            Err(error) => return Err(failed("reading the server's status")(error)),
        };
        self.times(times);
        let now = self.link.clock.now();
        let subscribed = tokio::select! {
            status = live.closed() => {
                let text = format!("the connection ended while subscribing: {status}");
                return Err(Failure::Lost(text));
            }
            subscribed = subscribe(live, &self.config, &self.link.points, now) => subscribed,
        };
        let layout = subscribed.map_err(failed("subscribing"))?;
        let now = self.link.clock.now();
        for index in 0..layout.items.len() {
            if layout.items[index].monitored.is_none() {
                self.unknown(index, layout.items[index].refused, now, out).await;
            }
        }
        Ok(layout)
    }

    /// The machine sent a message: an outage, if there was one, is over.
    pub(super) async fn heard(&mut self, out: &mut BlockSender) -> Timestamp {
        let now = self.link.clock.now();
        self.link.counters.last_message.set(now.nanos());
        if self.resumed {
            self.outage.forget();
        }
        let missing = self.outage.heard(now);
        let offset_us = self.unpacker.clock_offset_us();
        let offset_before_us = std::mem::replace(&mut self.heard_offset_us, offset_us);
        if self.alive {
            return now;
        }
        if let Some(missing) = missing {
            // Should the machine's clock have been set meanwhile, either reading is missing.
            let [before, after] = [offset_before_us, offset_us].map(|us| shifted(missing.from, us));
            let (from, to) = (before.min(after), shifted(missing.to, offset_us));
            let gap = Gap { points: Arc::from([]), from, to, reason: missing.reason };
            self.unpacker.gap(gap, out);
        }
        let resumed = std::mem::take(&mut self.resumed);
        say(if resumed { SessionState::Resumed } else { SessionState::Alive }, out).await;
        self.alive = true;
        if self.connected_once {
            self.link.counters.reconnects.add(1);
        }
        self.connected_once = true;
        self.told = None;
        self.link.counters.connection.set(Connection::Connected);
        let again = if resumed { " again; its session went on" } else { "" };
        let points = self.link.points.len();
        let text = format!("{} delivers {points} points{again}", self.config.url);
        self.tell(Code::SourceConnected, now, text);
        now
    }

    /// There is no session, or none any more. Returns whether there was one that delivered.
    async fn failed(&mut self, failure: &Failure, out: &mut BlockSender) -> bool {
        self.outage.lost(failure.gap_reason());
        self.link.counters.connection.set(Connection::Connecting);
        let delivered = std::mem::take(&mut self.alive);
        if delivered {
            say(SessionState::Lost, out).await;
        }
        let now = self.link.clock.now();
        let code = failure.code();
        // Once an outage, and again when the reason is another, or now and then.
        let news = self.told != Some(code);
        if news {
            self.limiter.forget(code, 0);
        }
        if self.limiter.admit(code, 0, now).is_some() || news {
            self.tell(code, now, format!("{failure}; trying again"));
        }
        self.told = Some(code);
        delivered
    }

    /// The machine's clock and start were asked.
    fn times(&mut self, times: ServerTimes) {
        let now = self.link.clock.now();
        if let Some(started) = times.started
            && self.outage.server_started(started)
        {
            let text = format!("{} runs since {started}", self.config.url);
            self.tell(Code::SourceRestarted, now, text);
        }
        let Some(offset) = times.offset_us else { return };
        self.link.counters.clock_offset_us.set(offset);
        let off = offset.saturating_abs() > CLOCK_OFFSET_US_MAX;
        if off && !self.clock_off {
            let text = format!(
                "the machine's clock is {:.3} s {} ours",
                offset.unsigned_abs() as f64 / 1e6,
                if offset > 0 { "ahead of" } else { "behind" },
            );
            let event = self.event(Code::SourceClockOffset, now, text);
            self.link.events.record(event.with("offset_us", Value::Int(offset)));
        }
        self.clock_off = off;
    }

    /// A point's node does not exist, or cannot be monitored.
    async fn unknown(
        &mut self,
        index: usize,
        status: StatusCode,
        now: Timestamp,
        out: &mut BlockSender,
    ) {
        let status = status_from_ua(status);
        let url = &self.config.url;
        self.unpacker.tell(Code::PointUnknown, index, now, || {
            let text = if status.code() == Status::BAD_NODE_ID_UNKNOWN {
                format!("{url} has no such node")
            } else {
                format!("{url} does not deliver it: {}", StatusCode::from(status.0))
            };
            (text, Value::Empty)
        });
        self.unpacker.without_value(index, status, now, out).await;
    }

    /// What is looked after besides the values while a session lasts.
    pub(super) fn rounds(&self, live: &Arc<Live>, layout: &Layout) -> Rounds {
        let link = self.link.clone();
        Rounds::new(Arc::clone(live), Arc::clone(&self.config), link, layout)
    }

    /// A look at some points ended.
    pub(super) async fn found(
        &mut self,
        findings: super::checkup::Findings,
        layout: &mut Layout,
        out: &mut BlockSender,
    ) {
        self.times(findings.times);
        let now = self.link.clock.now();
        for (index, status) in findings.vanished {
            layout.items[index].monitored = None;
            self.unknown(index, status, now, out).await;
        }
        for (index, id) in findings.monitored {
            layout.items[index].monitored = Some(id);
            self.unpacker.forget(Code::PointUnknown, index);
        }
    }

    fn event(&self, code: Code, now: Timestamp, text: String) -> Event {
        Event::new(now, code, &format!("source/{}", self.link.id), text)
    }

    fn tell(&self, code: Code, now: Timestamp, text: String) {
        self.link.events.record(self.event(code, now, text));
    }
}

/// A moment of our clock on one that is ahead by so much.
pub(super) fn shifted(moment: Timestamp, offset_us: i64) -> Timestamp {
    Timestamp::from_nanos(moment.nanos().saturating_add(offset_us.saturating_mul(1_000)))
}

/// Tells the hub whether the machine is there; waits while the ring is full of notes.
async fn say(state: SessionState, out: &mut BlockSender) {
    while !out.session(state) {
        tokio::time::sleep(NOTE_RETRY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(toml: &str) -> String {
        let config = toml::from_str(&format!("url = 'opc.tcp://mill'\n{toml}")).unwrap();
        check(&config).err().map_or_else(String::new, |error| error.to_string())
    }

    #[test]
    fn what_protects_nothing_must_be_allowed_by_name() {
        assert_eq!(problem(""), "");
        for policy in ["none", "basic128rsa15", "basic256"] {
            let set = format!("security_policy = '{policy}'");
            assert!(problem(&set).starts_with("security_policy: this policy protects nothing"));
            assert_eq!(problem(&format!("{set}\nallow_weak_security = true")), "");
        }
        assert!(problem("security_mode = 'none'").starts_with("security_mode"));
        assert!(problem("password = 'env:SECRET'").starts_with("password"));
    }
}
