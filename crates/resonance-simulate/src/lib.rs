//! Simulated machines that speak their real protocol over a real socket, and misbehaving ones.
//!
//! [`machine`] serves channels over OPC UA; [`cnc`], [`molding`] and [`coating`] move them by stated
//! physics, [`replay`] by a recording, [`load`] by counters. [`mtconnect`] serves a device model as an MTConnect agent, the
//! CNC's for one. [`mes`] takes results. [`mutants`] misbehave for the tests of whoever talks to
//! machines.

pub mod cnc;
pub mod coating;
pub mod load;
pub mod machine;
pub mod mes;
pub mod molding;
pub mod mtconnect;
pub mod mutants;
mod noise;
pub mod replay;
