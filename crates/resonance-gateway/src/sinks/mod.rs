//! What pushes results to other systems. One directory a sink, one line in [`build`].

pub mod backoff;
pub mod http;
pub mod mqtt;
pub mod payload;
mod unconfirmed;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use resonance_plant::{Clock, EventSink};

use crate::plan::{SinkKind, SinkPlan};
use crate::sources::Stop;
use crate::spool::Cursor;
use crate::status::SinkCounters;

/// What a sink gets from the gateway besides its own configuration.
#[derive(Debug)]
pub struct Delivery {
    /// The sink's name in the plant file.
    pub id: Arc<str>,
    /// Where results come from, and where delivery is acknowledged.
    pub cursor: Cursor,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where events go.
    pub events: Arc<dyn EventSink>,
    /// What the sink counts; read by status and metrics.
    pub counters: Arc<SinkCounters>,
}

/// Runs until told to stop. It reconnects by itself, for ever.
pub trait Sink: Send {
    /// Delivers every result at least once, in order; returns when `stop` turns true.
    fn run(
        self: Box<Self>,
        delivery: Delivery,
        stop: Stop,
    ) -> Pin<Box<dyn Future<Output = Result<(), SinkError>> + Send>>;
}

/// Why a sink gave up.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The configuration cannot work.
    #[error("{key}: {problem}")]
    Configuration {
        /// The key in the plant file.
        key: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// Something of ours failed.
    #[error("{0}")]
    Internal(String),
}

/// The sink for a plan.
pub fn build(plan: &SinkPlan) -> Box<dyn Sink> {
    match &plan.kind {
        SinkKind::Http(config) => Box::new(http::HttpSink::new(config.clone())),
        SinkKind::Mqtt(config) => Box::new(mqtt::MqttSink::new(config.clone())),
    }
}

/// Reaches for a sink's system without sending it anything that it would keep. Returns the
/// certificates that it showed (DER), its own first.
///
/// # Errors
/// Why it cannot be reached, and what to do.
pub async fn visit(plan: &SinkPlan) -> Result<Vec<Vec<u8>>, String> {
    match &plan.kind {
        SinkKind::Http(config) => http::visit(config, &plan.id).await,
        SinkKind::Mqtt(config) => mqtt::visit(config, &plan.id).await,
    }
}
