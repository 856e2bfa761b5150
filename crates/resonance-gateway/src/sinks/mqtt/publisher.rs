//! The run loop.

use std::future::Future;
use std::pin::Pin;

use super::MqttConfig;
use crate::sinks::{Delivery, Sink, SinkError};
use crate::sources::Stop;

/// An MQTT 5 publisher.
#[derive(Debug)]
pub struct MqttSink {
    config: MqttConfig,
}

impl MqttSink {
    /// A sink with this configuration.
    pub fn new(config: MqttConfig) -> Self {
        Self { config }
    }
}

impl Sink for MqttSink {
    fn run(
        self: Box<Self>,
        _delivery: Delivery,
        _stop: Stop,
    ) -> Pin<Box<dyn Future<Output = Result<(), SinkError>> + Send>> {
        Box::pin(async move {
            let _ = self.config;
            Ok(())
        })
    }
}
