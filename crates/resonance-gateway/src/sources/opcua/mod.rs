//! Reads an OPC UA server with a publish loop of its own.

pub mod config;
pub mod session;

pub use config::OpcUaConfig;
pub use session::OpcUaSource;
