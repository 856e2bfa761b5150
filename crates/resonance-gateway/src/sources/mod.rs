//! What reads from equipment. One directory a source, one line in [`build`].

mod backoff;
mod contact;
mod failure;
pub mod image;
mod limiter;
pub mod mtconnect;
pub mod opcua;
mod outage;
mod outlet;
pub mod replay;
pub mod survey;
mod text;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use resonance_plant::{Clock, EventSink, PointIndex};

use crate::hub::ingest::BlockSender;
use crate::plan::{SourceKind, SourcePlan};
use crate::status::SourceCounters;

/// What a source gets from the gateway besides its own configuration.
#[derive(Clone, Debug)]
pub struct Link {
    /// The source's name in the plant file.
    pub id: Arc<str>,
    /// The points it serves, with their addresses.
    pub points: Arc<[SourcePoint]>,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where events go.
    pub events: Arc<dyn EventSink>,
    /// What the source counts; read by status and metrics.
    pub counters: Arc<SourceCounters>,
}

/// A point as its source knows it.
#[derive(Clone, Debug)]
pub struct SourcePoint {
    /// The point's dense index.
    pub point: PointIndex,
    /// What people call it: `mill-1.spindle_load`.
    pub path: Arc<str>,
    /// The address in the source's own form, such as `ns=2;s=Spindle.Load`.
    pub address: Arc<str>,
    /// The declared type; another type is refused.
    pub data_type: resonance_plant::DataType,
    /// The names of the values 0, 1, 2 and so on of a state: where a machine sends words, the
    /// number is found by them.
    pub labels: Arc<[Arc<str>]>,
    /// How often the machine samples it, milliseconds; `None`: the source's own default.
    pub sampling_ms: Option<u32>,
    /// Smaller changes are not reported.
    pub deadband: Option<Deadband>,
}

/// How large a change must be for the machine to report it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Deadband {
    /// In the point's unit.
    Absolute(f64),
    /// Percent of the range that the machine knows of the point (OPC 10000-8, 7.2).
    Percent(f64),
}

/// Told to stop; cheap to clone.
pub type Stop = tokio::sync::watch::Receiver<bool>;

/// Ends when the source is told to stop, or whoever would tell is gone.
async fn told(stop: &mut Stop) {
    // An error means that the sender is gone: nobody is left to run for.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Runs until told to stop. It reconnects by itself, for ever; an error is one that no retry mends.
pub trait Source: Send {
    /// Runs the source; returns when `stop` turns true.
    fn run(
        self: Box<Self>,
        link: Link,
        out: BlockSender,
        stop: Stop,
    ) -> Pin<Box<dyn Future<Output = Result<(), SourceError>>>>;
}

/// Why a source gave up.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
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

/// The source for a plan.
pub fn build(plan: &SourcePlan) -> Box<dyn Source> {
    match &plan.kind {
        SourceKind::Image(config) => Box::new(image::ImageSource::new(config.clone())),
        SourceKind::Mtconnect(config) => Box::new(mtconnect::MtconnectSource::new(config.clone())),
        SourceKind::Opcua(config) => Box::new(opcua::OpcUaSource::new(config.clone())),
        SourceKind::Replay(config) => Box::new(replay::ReplaySource::new(config.clone())),
    }
}

/// What a short visit to a machine showed.
#[derive(Clone, Debug, Default)]
pub struct Visit {
    /// The machine's clock minus ours, microseconds; `None` where it tells no time.
    pub offset_us: Option<i64>,
    /// The certificates it showed (DER), its own first.
    pub certificates: Vec<Vec<u8>>,
}

/// Visits a machine as its source would, without taking any values. No step takes longer than
/// `step`.
///
/// # Errors
/// Why it cannot be reached or does not answer, and what to do.
pub async fn visit(plan: &SourcePlan, step: Duration, clock: &dyn Clock) -> Result<Visit, String> {
    match &plan.kind {
        SourceKind::Image(config) => image::visit(config),
        SourceKind::Mtconnect(config) => mtconnect::visit(config, step, clock).await,
        SourceKind::Opcua(config) => opcua::visit(config, step, clock).await,
        SourceKind::Replay(config) => replay::visit(config),
    }
}
