//! Simulated machines that speak their real protocol over a real socket, and misbehaving ones.

pub mod cnc;
pub mod mutants;
