//! The run loop.

use std::future::Future;
use std::pin::Pin;

use super::OpcUaConfig;
use crate::hub::ingest::BlockSender;
use crate::sources::{Link, Source, SourceError, Stop};

/// An OPC UA client.
#[derive(Debug)]
pub struct OpcUaSource {
    config: OpcUaConfig,
}

impl OpcUaSource {
    /// A source with this configuration.
    pub fn new(config: OpcUaConfig) -> Self {
        Self { config }
    }
}

impl Source for OpcUaSource {
    fn run(
        self: Box<Self>,
        _link: Link,
        _out: BlockSender,
        _stop: Stop,
    ) -> Pin<Box<dyn Future<Output = Result<(), SourceError>>>> {
        Box::pin(async move {
            let _ = self.config;
            Ok(())
        })
    }
}
