//! A simulated CNC machine: its physics, without any protocol, and the machine that serves them.
//!
//! `relations.toml` states every constant with its unit and where it comes from; [`CncPhysics`]
//! follows them in virtual time; [`CncMachine`] lets that time pass and listens.

mod channels;
mod export;
mod machine;
mod motion;
mod physics;
mod relations;

pub use channels::{CHANNELS, ChannelDef, position};
pub use export::{ExportError, ExportPlan, export_csv};
pub use machine::{CncError, CncMachine, CncOptions, Movement};
pub use motion::Execution;
pub use physics::{CncPhysics, STEP_MAX_S};
pub use relations::{Block, BlockKind, Relations, RelationsError, STATED};
