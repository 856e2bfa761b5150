//! A simulated MTConnect agent on a real socket, and the simulated CNC behind it.
//!
//! [`Agent`] is the standard's buffer without any IO; [`Serving`] answers `probe`, `current` and
//! `sample` over HTTP, streaming where asked; [`start_cnc`] lets the CNC's physics fill it. An
//! agent can be told to misbehave ([`Mischief`]) for the tests of whoever reads it.

mod agent;
mod cnc;
mod http;
mod mischief;
mod request;

pub use agent::{Agent, Said};
pub use cnc::{CncAgentOptions, StartError, cnc_model, start_cnc};
pub use http::{AgentOptions, Serving, serve};
pub use mischief::Mischief;

#[cfg(test)]
mod tests;
