//! A simulated spray coating line: its physics, and the machine that serves them.
//!
//! `relations.toml` states every constant; [`CoatingPhysics`] follows them in virtual time. No
//! companion specification for coating lines is known; the names are ours.

mod channels;
mod physics;
mod relations;

pub use channels::spec;
pub use physics::{CoatingPhysics, Fault};
pub use relations::{Relations, STATED};
