//! The OPC UA source against asyncua as machine, and against networks that misbehave.

mod faults;
pub mod harness;
mod history;
mod losses;
mod resume;
mod reverse;
pub mod scale;
mod security;
mod values;
