//! Events about those who may not: bounded, so that a guesser cannot flood the log.

use std::sync::Arc;

use parking_lot::Mutex;
use resonance_plant::{Clock, Code, Event, EventSink, Principal, Role, Timestamp, Value};

/// Events of one code in one period; more are counted and told with the next.
const PER_PERIOD: u32 = 10;

/// The period, nanoseconds.
const PERIOD_NS: i64 = 60_000_000_000;

/// The longest text from a stranger that an event repeats, characters.
const STRANGER_TEXT_MAX: usize = 64;

#[derive(Debug)]
pub(super) struct Notices {
    clock: Arc<dyn Clock>,
    events: Arc<dyn EventSink>,
    failed: Mutex<Allowance>,
    denied: Mutex<Allowance>,
}

/// How many more events of one code may be recorded in this period.
#[derive(Debug, Default)]
pub(crate) struct Allowance {
    since: Timestamp,
    used: u32,
    suppressed: u64,
}

impl Allowance {
    /// Whether another event may be recorded now, and if so how many were not since the last.
    pub(crate) fn take(&mut self, now: Timestamp) -> Option<u64> {
        if !(0..PERIOD_NS).contains(&now.since(self.since)) {
            self.since = now;
            self.used = 0;
        }
        if self.used == PER_PERIOD {
            self.suppressed += 1;
            return None;
        }
        self.used += 1;
        Some(std::mem::take(&mut self.suppressed))
    }
}

impl Notices {
    pub(super) fn new(clock: Arc<dyn Clock>, events: Arc<dyn EventSink>) -> Self {
        Self { clock, events, failed: Mutex::default(), denied: Mutex::default() }
    }

    pub(super) fn failed(&self, surface: &str, peer: &str, name: &str) {
        let now = self.clock.now();
        let Some(suppressed) = self.failed.lock().take(now) else { return };
        let name = shown(name);
        let message = format!("{peer} did not prove to be user {name:?}");
        let event = Event::new(now, Code::AccessFailed, &format!("server/{surface}"), message)
            .with("peer", Value::Text(peer.into()))
            .with("user", Value::Text(name.into()))
            .with("suppressed", Value::Uint(suppressed));
        self.events.record(event);
    }

    pub(super) fn denied(&self, surface: &str, principal: &Principal, action: &str, needs: Role) {
        let now = self.clock.now();
        let Some(suppressed) = self.denied.lock().take(now) else { return };
        let (who, has, needs) = (&principal.name, principal.role.name(), needs.name());
        let action = shown(action);
        let message = format!("user {who:?} has role {has}; {action} needs {needs}");
        let event = Event::new(now, Code::AccessDenied, &format!("server/{surface}"), message)
            .by(principal.clone())
            .with("action", Value::Text(action.into()))
            .with("needs", Value::Text(needs.into()))
            .with("suppressed", Value::Uint(suppressed));
        self.events.record(event);
    }
}

/// Text from a stranger as events repeat it: bounded.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(STRANGER_TEXT_MAX).collect()
}
