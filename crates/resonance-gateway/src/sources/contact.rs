//! Whether a source has its machine: what hub, counters and event log are told when it comes and
//! goes, whichever the protocol.

use std::sync::Arc;
use std::time::Duration;

use resonance_plant::{Code, Event, Timestamp, Value};

use super::Link;
use super::failure::Failure;
use super::limiter::Limiter;
use super::outage::{Outage, Recovery};
use super::outlet::Outlet;
use crate::hub::ingest::{BlockSender, Gap, GapReason, SessionState};
use crate::status::Connection;

/// While the ring to the hub is full of notes, how long until the next try.
const NOTE_RETRY: Duration = Duration::from_millis(2);

/// A machine's clock that is off by more is told of, microseconds.
const CLOCK_OFFSET_US_MAX: i64 = 1_000_000;

/// Follows one machine through losses and returns.
#[derive(Debug)]
pub(super) struct Contact {
    link: Link,
    url: String,
    outage: Outage,
    limiter: Limiter,
    /// What was last told of the connection, so that each attempt is not told anew.
    told: Option<Code>,
    alive: bool,
    connected_once: bool,
    clock_off: bool,
    /// What was lost goes on over a new connection and was not heard yet.
    resumed: bool,
    /// The offset of the machine's clock when it was last heard, microseconds.
    heard_offset_us: i64,
    /// What of the outage that is open was had from the machine's history.
    recovery: Option<Recovery>,
}

impl Contact {
    pub(super) fn new(link: &Link, url: &str) -> Self {
        Self {
            link: link.clone(),
            url: url.into(),
            outage: Outage::default(),
            limiter: Limiter::default(),
            told: None,
            alive: false,
            connected_once: false,
            clock_off: false,
            resumed: false,
            heard_offset_us: 0,
            recovery: None,
        }
    }

    /// Whether the machine, once it is heard, goes on where it was: then nothing is missing.
    pub(super) fn goes_on(&mut self, goes_on: bool) {
        self.resumed = goes_on;
    }

    /// The machine sent a message: an outage, if there was one, is over.
    pub(super) async fn heard(&mut self, outlet: &mut Outlet, out: &mut BlockSender) -> Timestamp {
        let now = self.link.clock.now();
        self.link.counters.last_message.set(now.nanos());
        if self.resumed {
            self.recovery = None;
            self.outage.forget();
        }
        let missing = self.outage.heard(now);
        let offset_us = outlet.clock_offset_us();
        let offset_before_us = std::mem::replace(&mut self.heard_offset_us, offset_us);
        if self.alive {
            return now;
        }
        if let Some(missing) = missing {
            // Should the machine's clock have been set meanwhile, either reading is missing.
            let [before, after] = [offset_before_us, offset_us].map(|us| shifted(missing.from, us));
            let (from, to) = (before.min(after), shifted(missing.to, offset_us));
            let gap = Gap { points: Arc::from([]), from, to, reason: missing.reason };
            match self.recovery.take() {
                Some(recovery) if recovery.values > 0 || recovery.whole > 0 => {
                    self.recovered(&recovery, gap, outlet, out);
                }
                _ => outlet.gap(gap, out),
            }
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
        self.tell(Code::SourceConnected, format!("{} delivers {points} points{again}", self.url));
        now
    }

    /// An outage that is open began then, by our clock.
    pub(super) fn away_since(&self) -> Option<Timestamp> {
        self.outage.since()
    }

    /// What of the outage that is open was had from the machine's history.
    pub(super) fn had(&mut self, recovery: Recovery) {
        self.recovery = Some(recovery);
    }

    /// Tells what was read from history, and of the gap only what that left.
    fn recovered(&mut self, had: &Recovery, gap: Gap, outlet: &mut Outlet, out: &mut BlockSender) {
        let (from, to) = (had.oldest.unwrap_or(gap.from), gap.to);
        if had.oldest.is_some() {
            outlet.gap(Gap { to: from, ..gap.clone() }, out);
        }
        if !had.without.is_empty() {
            outlet.gap(Gap { points: had.without.as_slice().into(), from, ..gap.clone() }, out);
        }
        if let Some(since) = had.partial_since {
            let points = had.partial.as_slice().into();
            outlet.gap(Gap { points, from: since.max(from), ..gap }, out);
        }
        let (whole, partial, values) = (had.whole, had.partial.len(), had.values);
        let text = format!(
            "{values} values of {whole} points, from {from} to {to}, were read from the machine's \
             history{}",
            if partial > 0 { format!("; {partial} more points in part") } else { String::new() },
        );
        let event = self
            .event(Code::DataRecovered, text)
            .with("points", Value::Uint(whole as u64))
            .with("values", Value::Uint(values))
            .with("from", Value::Time(from))
            .with("to", Value::Time(to));
        self.link.events.record(event);
    }

    /// There is no contact, or none any more. Returns whether there was one that delivered.
    pub(super) async fn failed(&mut self, failure: &Failure, out: &mut BlockSender) -> bool {
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
            self.tell(code, format!("{failure}; trying again"));
        }
        self.told = Some(code);
        delivered
    }

    /// Something it sent was left out, as is told now and then.
    pub(super) fn row_refused(&mut self, text: &str) {
        let now = self.link.clock.now();
        if let Some(untold) = self.limiter.admit(Code::DataGap, 0, now) {
            let event = self.event(Code::DataGap, text.to_owned());
            self.link.events.record(event.with("untold", Value::Uint(untold)));
        }
    }

    /// There is nothing more to come, for good.
    pub(super) async fn ended(&mut self, how: &str, out: &mut BlockSender) {
        if std::mem::take(&mut self.alive) {
            say(SessionState::Lost, out).await;
        }
        self.link.counters.connection.set(Connection::Stopped);
        self.tell(Code::SourceDisconnected, format!("{}: {how}", self.url));
    }

    /// Something that the machine had to say since then did not arrive, though it was heard.
    pub(super) fn incomplete_since(&mut self, moment: Timestamp) {
        self.outage.incomplete_since(moment);
    }

    /// The outage that is open has this reason. Returns whether one is open.
    pub(super) fn outage_is(&mut self, reason: GapReason) -> bool {
        self.outage.is_for(reason)
    }

    /// The machine says since when it runs.
    pub(super) fn server_started(&mut self, at: Timestamp) {
        if self.outage.server_started(at) {
            self.tell(Code::SourceRestarted, format!("{} runs since {at}", self.url));
        }
    }

    /// The machine says otherwise that it started anew.
    pub(super) fn restarted(&mut self, how: &str) {
        self.tell(Code::SourceRestarted, format!("{}: {how}", self.url));
    }

    /// The machine's clock minus ours was measured, microseconds.
    pub(super) fn clock_offset(&mut self, offset_us: i64) {
        self.link.counters.clock_offset_us.set(offset_us);
        let off = offset_us.saturating_abs() > CLOCK_OFFSET_US_MAX;
        if off && !self.clock_off {
            let text = format!(
                "the machine's clock is {:.3} s {} ours",
                offset_us.unsigned_abs() as f64 / 1e6,
                if offset_us > 0 { "ahead of" } else { "behind" },
            );
            let event = self.event(Code::SourceClockOffset, text);
            self.link.events.record(event.with("offset_us", Value::Int(offset_us)));
        }
        self.clock_off = off;
    }

    fn tell(&self, code: Code, text: String) {
        self.link.events.record(self.event(code, text));
    }

    fn event(&self, code: Code, text: String) -> Event {
        Event::new(self.link.clock.now(), code, &format!("source/{}", self.link.id), text)
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
