//! An OPC UA server over last-value columns: it answers Browse, Read, TranslateBrowsePaths and
//! monitored items from an [`AddressSpace`] and the columns, and keeps no second copy of either.
//!
//! [`UaServer::start`] takes [`ServerOptions`], an [`AddressSpace`] and the
//! [`LastValues`](resonance_plant::LastValues) that someone else writes.

mod address_space;
mod admission;
mod authentication;
mod encoding;
mod manager;
mod nodes;
mod options;
mod passage;
mod pki;
mod reverse;
mod running;
mod sampling;

pub use address_space::{
    AddressSpace, AddressSpaceError, Axis, ObjectAt, ObjectSpec, Reading, VariableAt, VariableSpec,
};
pub use options::{Authenticator, DEFAULT_TICK, Doorkeeper, Pki, Product, Security, ServerOptions};
pub use reverse::ReverseWatch;
pub use running::{Running, Sampling, ServerError, UaServer};
