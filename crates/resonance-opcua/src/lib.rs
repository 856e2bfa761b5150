//! OPC UA on both sides: value conversion, and a node manager over last values.

pub mod server;
pub mod structures;
pub mod trust;
pub mod value;
