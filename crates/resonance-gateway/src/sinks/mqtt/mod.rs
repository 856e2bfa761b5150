//! Publishes results to an MQTT 5 broker: at least once, in order, each under a stable id.
//!
//! A result stays in the spool until the broker acknowledged it (QoS 1, PUBACK) and everything
//! before it. After a lost connection, what was not acknowledged is sent again, so a subscriber
//! may see a result twice; `result_id` tells.
//!
//! What follows from a refusal:
//! - *Payload format invalid*, or larger than the broker's Maximum Packet Size: no later attempt
//!   would end otherwise. The result becomes a dead letter of the spool, and delivery goes on. So
//!   does one that the application rejects.
//! - *Everything else* (not authorized, quota exceeded, topic name invalid, ...) is for an
//!   operator or time to mend. Delivery pauses, keeps the order, and tries again with growing
//!   waits; the spool's bounds decide how much is kept meanwhile.
//!
//! With `acknowledge = "confirm_bod"` the broker's word is not enough: results are published with a
//! Response Topic, and each counts as delivered when the application confirmed it there. One that
//! is not confirmed in time is sent again, over a new connection.
//!
//! Every connection is a clean start with session expiry 0: the spool is the session.

mod answer;
pub mod config;
mod confirm;
mod endpoint;
mod progress;
pub mod publisher;
#[cfg(test)]
mod tests;
pub mod topic;
mod visit;

pub use config::MqttConfig;
pub use publisher::MqttSink;
pub(super) use visit::visit;
