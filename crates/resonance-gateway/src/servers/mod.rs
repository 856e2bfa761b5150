//! What other systems read: OPC UA and HTTP.

pub mod http;
pub mod opcua;

use std::sync::Arc;

use resonance_plant::{Clock, EventSink, LastValues, Plant};

use crate::access::Access;
use crate::deployments::Deployments;
use crate::events::EventLog;
use crate::models::Models;
use crate::results::Results;
use crate::status::Status;

/// What every server sees of the gateway.
#[derive(Clone)]
pub struct Context {
    /// Assets and points.
    pub plant: Arc<Plant>,
    /// The last value of every point.
    pub values: Arc<LastValues>,
    /// The models.
    pub models: Arc<Models>,
    /// The deployments.
    pub deployments: Arc<dyn Deployments>,
    /// Results, live.
    pub results: Results,
    /// Events, recent and live.
    pub events: Arc<EventLog>,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Who may.
    pub access: Arc<Access>,
    /// The whole gateway at this moment.
    pub status: Arc<dyn Fn() -> Status + Send + Sync>,
}

impl Context {
    /// Events as their recorders see them.
    pub fn event_sink(&self) -> Arc<dyn EventSink> {
        Arc::clone(&self.events) as Arc<dyn EventSink>
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Context")
    }
}
