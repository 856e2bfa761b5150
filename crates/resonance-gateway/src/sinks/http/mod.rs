//! Posts results to a system over HTTP/1.1: at least once, in order, each under a stable id.
//!
//! One request at a time: the next begins when the one before is answered, so order holds without
//! the peer's help. A request carries one result, or up to `batch_max`. The `Idempotency-Key` of
//! a request is the same for every attempt: the result's id, or a hash of all ids.
//!
//! What follows from an answer:
//! - *2xx*: delivered. With `acknowledge = "confirm_bod"` only if the body is a ConfirmBOD or
//!   Acknowledge message about this request that accepts it; without one, nothing is known, and
//!   the results are sent again; after `unconfirmed_max` times the first becomes a dead letter.
//! - *A ConfirmBOD that rejects, or 4xx*: no later attempt would end otherwise. A result that was
//!   sent alone becomes a dead letter; several are sent again one by one to find which it is.
//! - *401, 403, 404, 405, 407, 408, 421, 425, 426, 429, 3xx, 5xx*, or no answer in time: for an
//!   operator or time to mend. Delivery pauses, keeps the order, and tries again with growing
//!   waits, or after what `Retry-After` says.

mod answer;
pub mod config;
mod connection;
mod endpoint;
mod poster;
#[cfg(test)]
mod tests;
mod visit;

pub use config::HttpConfig;
pub(crate) use connection::Connection;
pub(crate) use endpoint::Endpoint;
pub use poster::HttpSink;
pub(super) use visit::visit;
