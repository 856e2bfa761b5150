//! Certificates that run out are told ahead, once a day each.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::Mutex;
use resonance_opcua::trust::Certificate;
use resonance_plant::{Code, Event, EventSink, Timestamp, Value};

/// How long ahead, days.
const DAYS_AHEAD: i64 = 30;

/// A day, nanoseconds.
const DAY: i64 = 24 * 3_600 * 1_000_000_000;

/// Certificates that are remembered.
const TOLD_MAX: usize = 1_000;

/// What of one source or server runs out, and when that was told.
#[derive(Debug)]
pub(crate) struct Expiry {
    subject: String,
    first: AtomicI64,
    told: Mutex<BTreeMap<String, Timestamp>>,
}

impl Expiry {
    /// For the events of a source or server.
    pub(crate) fn new(subject: String) -> Self {
        Self { subject, first: AtomicI64::new(i64::MAX), told: Mutex::default() }
    }

    /// When the first of the certificates looked at last runs out.
    pub(crate) fn first(&self) -> Option<Timestamp> {
        let first = self.first.load(Ordering::Relaxed);
        (first != i64::MAX).then(|| Timestamp::from_nanos(first))
    }

    /// Looks at certificates, each with whose it is.
    pub(crate) fn look<'a>(
        &self,
        certificates: impl Iterator<Item = (&'static str, &'a Certificate)>,
        now: Timestamp,
        events: &dyn EventSink,
    ) {
        let mut first = i64::MAX;
        for (whose, certificate) in certificates {
            let until = certificate.not_after();
            first = first.min(until.nanos());
            if until.since(now) < DAYS_AHEAD * DAY && self.is_due(certificate, now) {
                events.record(event(&self.subject, whose, certificate, now));
            }
        }
        self.first.store(first, Ordering::Relaxed);
    }

    fn is_due(&self, certificate: &Certificate, now: Timestamp) -> bool {
        let mut told = self.told.lock();
        let print = certificate.fingerprint();
        if told.get(&print).is_some_and(|at| now.since(*at) < DAY) {
            return false;
        }
        if told.len() >= TOLD_MAX {
            told.pop_first();
        }
        told.insert(print, now);
        true
    }
}

fn event(subject: &str, whose: &str, certificate: &Certificate, now: Timestamp) -> Event {
    let until = certificate.not_after();
    let (name, days) = (certificate.subject(), until.since(now).div_euclid(DAY));
    let (code, message) = if until < now {
        let text = format!("{whose} certificate \"{name}\" ran out at {until}");
        (Code::CertificateExpired, text)
    } else {
        let text = format!("{whose} certificate \"{name}\" runs out in {days} days, at {until}");
        (Code::CertificateExpiring, text)
    };
    Event::new(now, code, subject, message)
        .with("certificate", Value::Text(certificate.fingerprint().into()))
        .with("until", Value::Time(until))
}
