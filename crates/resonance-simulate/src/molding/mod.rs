//! A simulated injection molding machine: its physics, and the machine that serves them.
//!
//! `relations.toml` states every constant; [`MoldingPhysics`] follows them in virtual time. The
//! temperatures along the barrel are one profile, a `YArrayItemType` (OPC 10000-8, 5.3.4.4), as
//! well as one variable a zone. Names are those of UA/PlasticsRubber (EUROMAP 83 and 77, OPC 40083
//! and 40077) where it has one; the machine is no implementation of it.

mod channels;
mod physics;
mod relations;

pub use channels::spec;
pub use physics::MoldingPhysics;
pub use relations::{Relations, STATED};
