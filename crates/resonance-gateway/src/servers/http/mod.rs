//! HTTP: Open Inference Protocol v2 under `/v2`, management under `/api/v1`, metrics at `/metrics`.
//!
//! Every request passes [`gate`] (who, what role, how many at once) before its route; a route is
//! typed in and typed out. `/v2` answers errors in the protocol's form, `/api/v1` as problem
//! details (RFC 9457).

pub(in crate::servers) mod body;
mod complaints;
mod deployments;
mod events;
mod feed;
pub(in crate::servers) mod gate;
mod inference;
pub(in crate::servers) mod lane;
mod linger;
pub(in crate::servers) mod listener;
mod management;
pub(in crate::servers) mod metadata;
mod metrics;
mod openapi;
mod plant;
pub(in crate::servers) mod refusal;
mod reload;
pub(in crate::servers) mod repository;
pub(in crate::servers) mod router;
pub(in crate::servers) mod run;
pub(in crate::servers) mod shared;
mod status;
mod stream;
#[cfg(test)]
mod tests;
pub(super) mod threads;
mod tls;
mod turns;
mod values;

pub use listener::{Running, ServerError, start};
pub use openapi::document as openapi_document;
pub use tls::check_pair;
