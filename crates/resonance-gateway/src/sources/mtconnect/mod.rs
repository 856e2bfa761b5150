//! Reads an MTConnect agent: `probe`, then `current`, then the endless `sample` from there on.
//!
//! Sequence numbers make the stream whole: after a cut it goes on where it ended, and what the
//! agent's buffer no longer has, or an agent that restarted never had, is a gap and a new
//! `current`. The codec is in `resonance_wire::mtconnect`.

pub mod config;
mod documents;
mod http;
mod layout;
mod sequence;
mod session;
pub mod survey;
mod values;
mod visit;

pub use config::MtconnectConfig;
pub use session::MtconnectSource;
pub(super) use visit::visit;
