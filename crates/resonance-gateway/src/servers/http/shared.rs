//! What every connection and route shares.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use resonance_plant::{Event, ResultRecord};
use tokio::sync::{Semaphore, watch};

use super::complaints::Complaints;
use super::feed::Feed;
use super::lane::Lane;
use crate::models::ServedModel;
use crate::plan::HttpServerPlan;
use crate::servers::Context;
use crate::status::Counter;

/// Streams open at once.
const STREAMS_MAX: usize = 64;

/// Passwords being verified or waiting for it at once; a guesser gets no more of the machine.
const LOGINS_MAX: usize = 4;

pub(super) struct Shared {
    pub(super) context: Context,
    pub(super) plan: HttpServerPlan,
    /// By the model's name; models are fixed while the gateway runs.
    pub(super) lanes: BTreeMap<Arc<str>, Arc<Lane>>,
    /// Requests under way.
    pub(super) requests: Semaphore,
    /// Inferences that are not quick: as many as there are processors.
    pub(super) slow: Arc<Semaphore>,
    /// Passwords being verified.
    pub(super) logins: Arc<Semaphore>,
    /// Open streams.
    pub(super) streams: Arc<Semaphore>,
    pub(super) results: Arc<Feed<ResultRecord>>,
    pub(super) events: Arc<Feed<Event>>,
    pub(super) complaints: Complaints,
    pub(super) counters: Counters,
    /// Turns true when the server is to stop.
    pub(super) stop: watch::Receiver<bool>,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Connections open.
    pub(super) clients: AtomicU64,
    /// Requests answered.
    pub(super) requests: Counter,
    /// Results and events sent on streams.
    pub(super) delivered: Counter,
    /// Requests and connections refused.
    pub(super) refused: Counter,
}

impl Shared {
    pub(super) fn new(plan: HttpServerPlan, context: Context, stop: watch::Receiver<bool>) -> Self {
        let lane = |model: &Arc<ServedModel>| {
            (Arc::clone(&model.used.name), Arc::new(Lane::new(Arc::clone(model))))
        };
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let started = context.clock.now().nanos();
        Self {
            lanes: context.models.iter().map(lane).collect(),
            requests: Semaphore::new(plan.requests_max),
            slow: Arc::new(Semaphore::new(processors)),
            logins: Arc::new(Semaphore::new(LOGINS_MAX)),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            results: Arc::new(Feed::new(started)),
            events: Arc::new(Feed::new(started)),
            complaints: Complaints::new(Arc::clone(&context.clock), context.event_sink()),
            counters: Counters::default(),
            stop,
            context,
            plan,
        }
    }
}
