//! HTTP: Open Inference Protocol v2 under `/v2`, management under `/api/v1`.
//!
//! Every request passes [`gate`] (who, what role, how many at once) before its route; a route is
//! typed in and typed out. `/v2` answers errors in the protocol's form, `/api/v1` as problem
//! details (RFC 9457).

mod body;
mod complaints;
mod deployments;
mod events;
mod feed;
mod gate;
mod inference;
mod lane;
mod listener;
mod metadata;
mod plant;
mod refusal;
mod router;
mod shared;
mod status;
mod stream;
#[cfg(test)]
mod tests;
mod tls;
mod values;

pub use listener::{Running, ServerError, start};
