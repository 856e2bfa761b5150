//! The HTTP server over real sockets.

mod access;
mod bad_input;
pub(crate) mod client;
mod fixture;
mod management;
mod overhead;
mod programs;
mod protocol;
mod streams;
mod tls;
mod triton;
