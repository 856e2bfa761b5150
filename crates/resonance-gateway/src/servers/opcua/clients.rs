//! Users of the plant file as the OPC UA server verifies them, and clients that it connects to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use resonance_opcua::server::{Authenticator, ReverseWatch};
use resonance_plant::{Code, Event, EventSink, Principal, Value};

use crate::access::Access;
use crate::servers::Context;

const SURFACE: &str = "opcua";

/// The stack names a peer by its session only after it was admitted.
const PEER: &str = "unknown";

/// Everyone who is known may view, and nothing here needs more: no node can be written.
#[derive(Debug)]
pub(super) struct Users {
    access: Arc<Access>,
    refused: Arc<AtomicU64>,
}

impl Users {
    pub(super) fn new(access: Arc<Access>, refused: Arc<AtomicU64>) -> Self {
        Self { access, refused }
    }

    fn refuse(&self, name: &str) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        self.access.report_failed(SURFACE, PEER, name);
    }
}

impl Authenticator for Users {
    fn authenticate(&self, name: &str, password: &str) -> Option<Principal> {
        let principal = self.access.authenticate(name, password.as_bytes());
        if principal.is_none() {
            self.refuse(name);
        }
        principal
    }

    fn takes_certificates(&self) -> bool {
        self.access.has_certificates()
    }

    fn by_certificate(&self, thumbprint: &str) -> Option<Principal> {
        let principal = self.access.by_thumbprint(thumbprint);
        if principal.is_none() {
            self.refuse(thumbprint);
        }
        principal
    }

    fn anonymous_refused(&self) {
        self.refuse("anonymous");
    }
}

/// Tells of clients that the server connects to.
#[derive(Debug)]
pub(super) struct Called(pub(super) Context);

impl Called {
    fn tell(&self, code: Code, client: SocketAddr, message: String) {
        let event = Event::new(self.0.clock.now(), code, "server/opcua", message);
        self.0.events.record(event.with("client", Value::Text(client.to_string().into())));
    }
}

impl ReverseWatch for Called {
    fn used(&self, client: SocketAddr) {
        self.tell(Code::ClientConnected, client, format!("{client} uses our reverse connection"));
    }

    fn missing(&self, client: SocketAddr, reason: &str) {
        let message = format!("no reverse connection for {client}: {reason}; it is tried again");
        self.tell(Code::ClientMissing, client, message);
    }
}
