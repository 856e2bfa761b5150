//! Events about requests that were refused: a few a minute of each code, the rest counted.

use std::sync::Arc;

use parking_lot::Mutex;
use resonance_plant::{Clock, Code, Event, EventSink, Principal, Value};

use crate::access::{Allowance, shown};

#[derive(Debug)]
pub(in crate::servers) struct Complaints {
    /// The subject of the events.
    subject: &'static str,
    clock: Arc<dyn Clock>,
    events: Arc<dyn EventSink>,
    allowances: [(Code, Mutex<Allowance>); 6],
}

impl Complaints {
    pub(in crate::servers) fn new(
        subject: &'static str,
        clock: Arc<dyn Clock>,
        events: Arc<dyn EventSink>,
    ) -> Self {
        let allowances = [
            Code::RequestInvalid,
            Code::RequestTooLarge,
            Code::RequestTimeout,
            Code::Overloaded,
            Code::InferenceFailed,
            Code::ControlRefused,
        ];
        Self { subject, clock, events, allowances: allowances.map(|code| (code, Mutex::default())) }
    }

    /// Records that a request was refused, if its code is one to tell of and not told too often.
    pub(in crate::servers) fn tell(
        &self,
        code: Code,
        principal: Option<&Principal>,
        path: &str,
        detail: &str,
    ) {
        let Some((_, allowance)) = self.allowances.iter().find(|(known, _)| *known == code) else {
            return;
        };
        let now = self.clock.now();
        let Some(suppressed) = allowance.lock().take(now) else { return };
        let message = format!("{}: {detail}", shown(path));
        let event = Event::new(now, code, self.subject, message)
            .with("path", Value::Text(shown(path).into()))
            .with("suppressed", Value::Uint(suppressed));
        self.events.record(match principal {
            Some(principal) => event.by(principal.clone()),
            None => event,
        });
    }
}
