//! Reads an OPC UA server with a publish loop of its own.
//!
//! The stack's client loses messages unseen: it neither checks sequence numbers nor lets its
//! user refuse a message, and after a reconnect it may stay silent. So only its secure channel
//! is used; sessions ([`connect`]), subscriptions and the publish loop are here.

mod checkup;
pub mod config;
mod connect;
mod failure;
pub(in crate::sources) mod history;
mod pki;
mod publish;
mod requests;
mod reverse;
mod rounds;
mod sequence;
pub mod session;
mod subscriptions;
pub mod survey;
mod transport;
mod unpack;
mod visit;

pub use config::OpcUaConfig;
pub use session::OpcUaSource;
pub use visit::pki_folder;
pub(super) use visit::visit;
