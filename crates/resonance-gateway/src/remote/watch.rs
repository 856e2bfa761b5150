//! Whether a server still serves what it should.

use std::sync::Arc;
use std::time::Duration;

use resonance_plant::{Clock, Code, Event, EventSink};
use tokio::sync::watch;

use super::{Remote, RemoteError};

/// Looks at a server again and again, and tells of every change.
pub(crate) struct Watch {
    /// The server.
    pub(crate) remote: Arc<Remote>,
    /// How often.
    pub(crate) every: Duration,
    /// Told of changes.
    pub(crate) events: Arc<dyn EventSink>,
    /// The time of events.
    pub(crate) clock: Arc<dyn Clock>,
    /// Called after every change: who uses it looks again.
    pub(crate) changed: Box<dyn Fn() + Send + Sync>,
}

impl Watch {
    /// Tells what was `found` first, then looks until `stop`.
    pub(crate) async fn run(self, found: Result<(), RemoteError>, mut stop: watch::Receiver<bool>) {
        let mut told = None;
        self.tell(&mut told, found);
        loop {
            let lost = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(self.every) => false,
                () = self.remote.lost.notified() => true,
            };
            // What an inference found is told at once; the server is looked at when it is due.
            let found = if lost {
                self.remote.standing()
            } else {
                tokio::select! {
                    _ = stop.wait_for(|stop| *stop) => return,
                    found = self.remote.check() => found,
                }
            };
            self.tell(&mut told, found);
        }
    }

    /// Tells of what was found, if it is news.
    fn tell(&self, told: &mut Option<Result<(), RemoteError>>, found: Result<(), RemoteError>) {
        let is_news = match (&*told, &found) {
            (None, _) | (Some(Ok(())), Err(_)) | (Some(Err(_)), Ok(())) => true,
            (Some(Ok(())), Ok(())) => false,
            (Some(Err(before)), Err(now)) => now.is_news_after(before),
        };
        if !is_news {
            return;
        }
        let manifest = &self.remote.model.manifest;
        let (code, message) = match &found {
            Ok(()) => {
                let identity = &self.remote.identity;
                let message = format!("{} {} on {identity}", manifest.name, manifest.version);
                (Code::RemoteReady, message)
            }
            Err(error) => (error.code(), error.to_string()),
        };
        let subject = format!("model/{}", manifest.name);
        self.events.record(Event::new(self.clock.now(), code, &subject, message));
        *told = Some(found);
        (self.changed)();
    }
}
