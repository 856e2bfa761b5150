//! Publishes results to an MQTT 5 broker.

pub mod config;
pub mod publisher;

pub use config::MqttConfig;
pub use publisher::MqttSink;
