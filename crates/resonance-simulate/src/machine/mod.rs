//! A simulated machine: channels served over OPC UA, and a feed that moves them in real time.
//!
//! Its address space is structured like the MachineTool companion specification (a machine, its
//! components, their variables) without being an implementation of it:
//!
//! ```text
//! Objects
//!   <Machine>                         ns=<n>;s=<Machine>
//!     Identification                  ns=<n>;s=<Machine>.Identification
//!       Manufacturer, Model, ...
//!     <Component>                     ns=<n>;s=<Machine>.<Component>
//!       <Channel>                     ns=<n>;s=<Machine>.<Component>.<Channel>
//!         EngineeringUnits, EURange, SemanticId, ...
//! ```
//!
//! The namespace is [`NAMESPACE_URI`]; node ids are stable from run to run.

mod channel;
mod feed;
mod physics;
mod running;

pub use channel::{Axis, Channel, MachineSpec, NAMESPACE_URI, SpecError};
pub use feed::{Counters, Feed, Next, Writer};
pub use physics::{Pace, PaceError, Paced, Physics, start_paced, write_table};
pub use running::{Endpoint, Running, StartError, Summary, User, start};
