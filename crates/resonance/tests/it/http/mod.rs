//! The HTTP server over real sockets.

mod access;
mod bad_input;
pub(crate) mod client;
pub(crate) mod fixture;
mod management;
mod metrics;
pub(crate) mod programs;
mod protocol;
mod repository;
pub(crate) mod streams;
pub(crate) mod tls;
mod triton;
