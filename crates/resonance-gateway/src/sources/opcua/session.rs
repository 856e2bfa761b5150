//! The run loop: connect, receive, and again, for ever.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use opcua::types::{Error, StatusCode};
use resonance_opcua::trust::Certificate;
use resonance_opcua::value::status_from_ua;
use resonance_plant::{Code, Event, Status, Timestamp, Value};
use tokio::time::Instant;

use super::OpcUaConfig;
use super::checkup::{ServerTimes, server_times};
use super::config::{SecurityMode, SecurityPolicy, TimeFrom};
use super::connect::{NotResumed, SESSION_KEPT, Session, connect, resume};
use super::failure::Failure;
use super::history::recover;
use super::publish::receive;
use super::requests::Live;
use super::reverse::Way;
use super::rounds::Rounds;
use super::subscriptions::{Layout, is_filter_problem, subscribe};
use super::unpack::Unpacker;
use crate::expiry::Expiry;
use crate::hub::ingest::BlockSender;
use crate::sources::backoff::{Backoff, STEADY, random};
use crate::sources::contact::{Contact, shifted};
use crate::sources::{Deadband, Link, Source, SourceError, Stop, told};
use crate::status::Connection;

/// Connections that handed nothing over before their session is given up for a new one.
const FRUITLESS_MAX: u32 = 3;

/// How long to wait for the machine's goodbye when told to stop.
const GOODBYE: Duration = Duration::from_secs(1);

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
    if config.server_uri.is_some() && config.listen.is_none() {
        return refuse("server_uri", "it goes with listen, for a machine that connects to us");
    }
    if config.tells_password_to_anyone() {
        return refuse(
            "listen",
            "whoever connects would be told the password; trust the machine's certificate, or pin \
             it with server_fingerprint",
        );
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
    if config.user_certificate.is_some() != config.user_key.is_some() {
        return refuse("user_certificate", "it goes with user_key, and the other way round");
    }
    if config.user_certificate.is_some() && config.user.is_some() {
        return refuse("user_certificate", "a user is known by name or by certificate: keep one");
    }
    Ok(())
}

/// What outlives a session.
pub(super) struct Reader {
    pub(super) config: Arc<OpcUaConfig>,
    pub(super) link: Link,
    pub(super) unpacker: Unpacker,
    way: Way,
    contact: Contact,
    expiry: Expiry,
    /// What the session at hand stands on.
    certificates: Vec<(&'static str, Certificate)>,
    backoff: Backoff,
    /// A message was handed over, all or part of it, since the connection was made.
    pub(super) progressed: bool,
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
            way: Way::new(&config),
            contact: Contact::new(&link, &config.url),
            expiry: Expiry::new(format!("source/{}", link.id)),
            certificates: Vec::new(),
            backoff: Backoff::new(Duration::from_millis(u64::from(config.backoff_ms_max.max(1)))),
            config: Arc::new(config),
            link,
            progressed: false,
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
                    let config = Arc::clone(&self.config);
                    let mut way = std::mem::replace(&mut self.way, Way::There);
                    let ended = tokio::select! {
                        () = told(stop) => None,
                        () = way.mind(&config) => None,
                        failure = self.serve(&live, &mut session, out) => Some(failure),
                    };
                    self.way = way;
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
            let delivered = self.contact.failed(&failure, out).await;
            if delivered && began.elapsed() >= STEADY {
                self.backoff.reset();
                if kept.is_some() {
                    // The shorter a cut, the more the machine still has of what it had to say.
                    continue;
                }
            }
            if !self.way.was_there() {
                continue;
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
        self.listen().await?;
        if let Some(mut old) = kept.take()
            && old.lost.elapsed() < SESSION_KEPT
        {
            match resume(&self.config, &mut self.way, &mut old.session).await {
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
        let (live, session) = connect(&self.config, &mut self.way).await?;
        self.certificates = session.certificates();
        self.look_at_certificates();
        let (lost, fruitless) = (Instant::now(), FRUITLESS_MAX);
        Ok((Arc::new(live), Kept { session, layout: None, lost, fruitless }))
    }

    /// Where the machine is to connect to us, there is something to connect to.
    async fn listen(&mut self) -> Result<(), Failure> {
        let Some(address) = self.way.open(&self.config).await? else { return Ok(()) };
        let (now, subject) = (self.link.clock.now(), format!("source/{}", self.link.id));
        let text = format!("awaits {} at {address}", self.config.url);
        let event = Event::new(now, Code::ServerListening, &subject, text);
        let address = Value::Text(address.to_string().into());
        self.link.events.record(event.with("address", address));
        Ok(())
    }

    /// Uses a session until it ends.
    async fn serve(&mut self, live: &Arc<Live>, kept: &mut Kept, out: &mut BlockSender) -> Failure {
        self.contact.goes_on(kept.layout.is_some());
        let mut layout = match kept.layout.take() {
            Some(layout) => layout,
            None => match self.subscribed(live, out).await {
                Ok(layout) => {
                    self.recover(live, &layout, out).await;
                    layout
                }
                Err(failure) => return failure,
            },
        };
        self.progressed = false;
        layout.subscriptions.iter_mut().for_each(|subscription| subscription.is_whole = false);
        let failure = receive(live, &mut layout, self, out).await;
        let partial = layout.subscriptions.iter().filter(|subscription| !subscription.is_whole);
        if let Some(complete) = partial.map(|subscription| subscription.complete).min() {
            self.contact.incomplete_since(complete);
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
            let refused = layout.items[index].refused;
            match layout.items[index].monitored {
                None => self.unknown(index, refused, now, out).await,
                Some(_) => self.unfiltered(index, refused, now),
            }
        }
        Ok(layout)
    }

    /// Reads what was missed from the machine's history, where it has one.
    async fn recover(&mut self, live: &Live, layout: &Layout, out: &mut BlockSender) {
        let Some(from) = self.contact.away_since().filter(|_| self.config.backfill_s_max > 0)
        else {
            return;
        };
        if self.config.time != TimeFrom::Source {
            return;
        }
        let offset_us = self.unpacker.outlet.clock_offset_us();
        let away = (shifted(from, offset_us), shifted(self.link.clock.now(), offset_us));
        let had = recover(live, &self.config, layout, &mut self.unpacker, away, out).await;
        self.contact.had(had);
    }

    /// The machine sent a message: an outage, if there was one, is over.
    pub(super) async fn heard(&mut self, out: &mut BlockSender) -> Timestamp {
        self.contact.heard(&mut self.unpacker.outlet, out).await
    }

    /// The machine's clock and start were asked.
    fn times(&mut self, times: ServerTimes) {
        if let Some(started) = times.started {
            self.contact.server_started(started);
        }
        if let Some(offset_us) = times.offset_us {
            self.contact.clock_offset(offset_us);
        }
    }

    /// Certificates that run out are told ahead.
    fn look_at_certificates(&mut self) {
        let of_session = self.certificates.iter().map(|(whose, it)| (*whose, it));
        self.expiry.look(of_session, self.link.clock.now(), self.link.events.as_ref());
        let until = self.expiry.first().map_or(0, Timestamp::nanos);
        self.link.counters.certificate_until.set(until);
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
        self.unpacker.outlet.tell(Code::PointUnknown, index, now, || {
            let text = if status.code() == Status::BAD_NODE_ID_UNKNOWN {
                format!("{url} has no such node")
            } else {
                format!("{url} does not deliver it: {}", StatusCode::from(status.0))
            };
            (text, Value::Empty)
        });
        self.unpacker.outlet.without_value(index, status, now, out).await;
    }

    /// A point is monitored; the machine may have refused to filter it.
    fn unfiltered(&mut self, index: usize, status: StatusCode, now: Timestamp) {
        if !is_filter_problem(status) {
            return;
        }
        self.link.counters.unfiltered.add(1);
        let deadband = self.link.points.get(index).and_then(|point| point.deadband);
        self.unpacker.outlet.tell(Code::PointUnfiltered, index, now, || {
            let (asked, remedy) = match deadband {
                Some(Deadband::Percent(share)) => (
                    format!("a deadband of {share} percent"),
                    "it may know no EURange of the node: write deadband, in the unit, instead of \
                     deadband_percent",
                ),
                _ => ("a deadband".into(), "take it away"),
            };
            let text = format!(
                "the machine refuses {asked} ({status}), so every change is read; {remedy}"
            );
            (text, Value::Empty)
        });
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
        self.look_at_certificates();
        let now = self.link.clock.now();
        for (index, status) in findings.vanished {
            layout.items[index].monitored = None;
            self.unknown(index, status, now, out).await;
        }
        for (index, id, filtered) in findings.monitored {
            layout.items[index].monitored = Some(id);
            self.unfiltered(index, filtered, now);
            self.unpacker.outlet.forget(Code::PointUnknown, index);
        }
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
        assert!(problem("server_uri = 'urn:mill'").starts_with("server_uri"));
        assert_eq!(problem("server_uri = 'urn:mill'\nlisten = '127.0.0.1:4843'"), "");
        let anyone = "listen = '0.0.0.0:4843'\nuser = 'me'\npassword = 'env:SECRET'";
        assert_eq!(problem(anyone), "");
        let trusting = format!("{anyone}\ntrust_any_certificate = true");
        assert!(problem(&trusting).starts_with("listen: whoever connects"));
        assert!(problem("password = 'env:SECRET'").starts_with("password"));
        assert!(problem("user_key = 'env:KEY'").starts_with("user_certificate"));
        let certified = "user_certificate = 'a.der'\nuser_key = 'env:KEY'";
        assert_eq!(problem(certified), "");
        assert!(problem(&format!("user = 'me'\n{certified}")).starts_with("user_certificate"));
    }
}
