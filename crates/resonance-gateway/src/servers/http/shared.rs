//! What every connection and route shares.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use resonance_plant::{Event, ResultRecord};
use tokio::sync::{Semaphore, watch};

use super::complaints::Complaints;
use super::feed::Feed;
use super::lane::Lane;
use super::turns::Turns;
use crate::models::ServedModel;
use crate::plan::HttpServerPlan;
use crate::servers::Context;
use crate::status::Counter;

/// Streams open at once.
const STREAMS_MAX: usize = 64;

/// Passwords being verified or waiting for it at once; a guesser gets no more of the machine.
const LOGINS_MAX: usize = 4;

/// What a listener offers. Both stand on the same requests, bounds and refusals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::servers) enum Surface {
    /// The routes of [`super::router`].
    Http,
    /// The calls of [`crate::servers::grpc`].
    Grpc,
}

impl Surface {
    /// The name in plant files and events.
    pub(in crate::servers) const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Grpc => "grpc",
        }
    }

    /// The subject of its events.
    pub(in crate::servers) const fn subject(self) -> &'static str {
        match self {
            Self::Http => "server/http",
            Self::Grpc => "server/grpc",
        }
    }
}

pub(in crate::servers) struct Shared {
    pub(in crate::servers) surface: Surface,
    pub(in crate::servers) context: Context,
    pub(in crate::servers) plan: HttpServerPlan,
    /// By the model's name.
    pub(in crate::servers) lanes: BTreeMap<Arc<str>, Arc<Lane>>,
    /// Requests under way.
    pub(in crate::servers) requests: Arc<Semaphore>,
    /// Inferences that are not quick: as many as there are processors.
    pub(in crate::servers) slow: Arc<Turns>,
    /// Passwords being verified.
    pub(in crate::servers) logins: Arc<Semaphore>,
    /// Open streams.
    pub(in crate::servers) streams: Arc<Semaphore>,
    pub(super) results: Arc<Feed<ResultRecord>>,
    pub(super) events: Arc<Feed<Event>>,
    pub(in crate::servers) complaints: Complaints,
    pub(in crate::servers) counters: Arc<Counters>,
    /// Turns true when connections are to end: the server stops, or goes on with another plan.
    pub(in crate::servers) stop: watch::Receiver<bool>,
}

#[derive(Debug, Default)]
pub(in crate::servers) struct Counters {
    /// Connections open.
    pub(in crate::servers) clients: AtomicU64,
    /// Requests answered.
    pub(in crate::servers) requests: Counter,
    /// Results and events sent on streams.
    pub(in crate::servers) delivered: Counter,
    /// Requests and connections refused.
    pub(in crate::servers) refused: Counter,
}

impl Shared {
    pub(in crate::servers) fn new(
        surface: Surface,
        plan: HttpServerPlan,
        context: Context,
        slow: Turns,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let started = context.clock.now().nanos();
        let (clock, events) = (Arc::clone(&context.clock), context.event_sink());
        Self {
            surface,
            lanes: lanes(&context),
            requests: Arc::new(Semaphore::new(plan.requests_max)),
            slow: Arc::new(slow),
            logins: Arc::new(Semaphore::new(LOGINS_MAX)),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            results: Arc::new(Feed::new(started)),
            events: Arc::new(Feed::new(started)),
            complaints: Complaints::new(surface.subject(), clock, events),
            counters: Arc::default(),
            stop,
            context,
            plan,
        }
    }

    /// The same for the gateway as it is now: bounds, streams and counters go on.
    pub(in crate::servers) fn succeeded_by(
        &self,
        context: Context,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let (clock, events) = (Arc::clone(&context.clock), context.event_sink());
        Self {
            surface: self.surface,
            lanes: lanes(&context),
            requests: Arc::clone(&self.requests),
            slow: Arc::clone(&self.slow),
            logins: Arc::clone(&self.logins),
            streams: Arc::clone(&self.streams),
            results: Arc::clone(&self.results),
            events: Arc::clone(&self.events),
            complaints: Complaints::new(self.surface.subject(), clock, events),
            counters: Arc::clone(&self.counters),
            stop,
            context,
            plan: self.plan.clone(),
        }
    }
}

fn lanes(context: &Context) -> BTreeMap<Arc<str>, Arc<Lane>> {
    let lane = |model: &Arc<ServedModel>| {
        (Arc::clone(&model.used.name), Arc::new(Lane::new(Arc::clone(model))))
    };
    context.models.iter().map(lane).collect()
}
