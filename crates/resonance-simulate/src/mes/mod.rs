//! Simulated MES: one takes results over MQTT 5, one over HTTP and misbehaves on demand.

mod http;
mod mqtt;

pub use http::{Behaviour, HttpMes, Received};
pub use mqtt::Mes;
