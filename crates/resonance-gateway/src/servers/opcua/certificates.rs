//! Certificates of clients: whom the server refuses is told, and what runs out.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use resonance_opcua::server::Doorkeeper;
use resonance_opcua::trust::{Certificate, Folder, Item, Place, Refusal};
use resonance_plant::{Code, Event, EventSink, Value};

use crate::expiry::Expiry;
use crate::servers::Context;

const LOOK_EVERY: Duration = Duration::from_secs(600);

/// Counts and tells who is refused.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) context: Context,
    pub(super) refused: Arc<AtomicU64>,
}

impl Doorkeeper for Door {
    fn refused(&self, certificate: &Certificate, refusal: &Refusal, is_news: bool) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        if !is_news {
            return;
        }
        let print = certificate.fingerprint();
        let message = format!(
            "an OPC UA client's certificate is not trusted ({}): {refusal}; if its fingerprint \
             {print} is the client's: resonance certificate trust --thumbprint {}",
            certificate.subject(),
            print.get(..16).unwrap_or(&print),
        );
        let now = self.context.clock.now();
        let event = Event::new(now, Code::AccessFailed, "server/opcua", message)
            .with("certificate", Value::Text(print.into()));
        self.context.events.record(event);
    }
}

/// Looks now and then how long our certificate and those that are trusted hold, for ever.
pub(super) async fn watch(pki: PathBuf, context: Context, expiry: Arc<Expiry>) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let (pki, context, expiry) = (pki.clone(), context.clone(), Arc::clone(&expiry));
        let looked = tokio::task::spawn_blocking(move || {
            let entries = Folder::at(pki).entries();
            let holding = entries.iter().filter_map(|entry| match (&entry.item, entry.place) {
                (Item::Certificate(it), Place::Own) => Some(("our", &**it)),
                (Item::Certificate(it), Place::Trusted) => Some(("the trusted", &**it)),
                _ => None,
            });
            expiry.look(holding, context.clock.now(), context.events.as_ref());
        });
        if looked.await.is_err() {
            return;
        }
    }
}
