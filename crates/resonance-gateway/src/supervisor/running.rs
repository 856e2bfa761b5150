//! A running gateway.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use resonance_plant::{Clock, Code, Event, EventSink, LastValues, Plant, Timestamp};
use tokio::sync::watch;

use super::assembly::{Options, Worker};
use crate::access::Access;
use crate::deployments::Deployments;
use crate::deployments::shared::Face;
use crate::events::EventLog;
use crate::hub::core::HubCounters;
use crate::hub::ingest::Waker;
use crate::hub::run::{self, Told};
use crate::models::Models;
use crate::plan::Plan;
use crate::recording::{Recording, RecordingCounters};
use crate::results::Results;
use crate::servers::{Context, RunningServers};
use crate::spool::Spool;
use crate::status::{
    Connection, SinkCounters, SinkStatus, SourceCounters, SourceStatus, SpoolStatus, Status,
};

/// How long sinks may still deliver when the gateway stops.
const DELIVERY_MAX: Duration = Duration::from_secs(2);

/// How often it is seen whether they have.
const DELIVERY_LOOK: Duration = Duration::from_millis(10);

/// A running gateway. Ends with [`Gateway::stop`]; call it too once [`Gateway::failed`] returns.
pub struct Gateway {
    pub(super) plan: Plan,
    pub(super) options: Options,
    /// In the order of the plan's deployments.
    pub(super) faces: Vec<Arc<Face>>,
    pub(super) started_at: Timestamp,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) events: Arc<EventLog>,
    pub(super) plant: Arc<Plant>,
    pub(super) values: Arc<LastValues>,
    pub(super) results: Results,
    pub(super) deployments: Arc<dyn Deployments>,
    pub(super) models: Arc<Models>,
    pub(super) access: Arc<Access>,
    pub(super) hub_counters: Arc<HubCounters>,
    pub(super) hub_told: Told,
    pub(super) waker: Waker,
    pub(super) hub_thread: Option<JoinHandle<()>>,
    pub(super) recording: Option<Recording>,
    /// Turns true when the hub ended by itself.
    pub(super) failed: watch::Receiver<bool>,
    pub(super) spool: Option<Arc<Spool>>,
    pub(super) sources: Arc<Vec<SourceFace>>,
    pub(super) sinks: Arc<Vec<SinkFace>>,
    pub(super) source_workers: Vec<Worker>,
    pub(super) sink_workers: Vec<Worker>,
    /// By their places in the hub: the sources; `None`: one that stopped.
    pub(super) inlets: Vec<Option<Arc<str>>>,
    pub(super) remote_tasks: Vec<tokio::task::JoinHandle<()>>,
    /// Ends them.
    pub(super) remote_stop: watch::Sender<bool>,
    pub(super) servers: Arc<RunningServers>,
    /// Ends what sends spans, after those who make them.
    pub(super) traces_stop: watch::Sender<bool>,
    pub(super) traces_task: Option<tokio::task::JoinHandle<()>>,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gateway(since {})", self.started_at)
    }
}

/// A source as status sees it.
#[derive(Debug)]
pub(super) struct SourceFace {
    pub(super) id: Arc<str>,
    pub(super) points: usize,
    pub(super) counters: Arc<SourceCounters>,
}

/// A sink as status sees it.
#[derive(Debug)]
pub(super) struct SinkFace {
    pub(super) id: Arc<str>,
    pub(super) counters: Arc<SinkCounters>,
}

impl Gateway {
    /// Assets and points.
    pub fn plant(&self) -> &Arc<Plant> {
        &self.plant
    }

    /// The last value of every point.
    pub fn values(&self) -> &Arc<LastValues> {
        &self.values
    }

    /// Results, live.
    pub fn results(&self) -> &Results {
        &self.results
    }

    /// Events, recent and live.
    pub fn events(&self) -> &Arc<EventLog> {
        &self.events
    }

    /// What is recorded, where it is.
    pub fn recording(&self) -> Option<Arc<RecordingCounters>> {
        self.recording.as_ref().map(|recording| Arc::clone(&recording.counters))
    }

    /// The deployments.
    pub fn deployments(&self) -> &Arc<dyn Deployments> {
        &self.deployments
    }

    /// What servers see of the gateway, and whatever else looks at it.
    pub fn context(&self) -> Context {
        Context {
            plant: Arc::clone(&self.plant),
            values: Arc::clone(&self.values),
            models: Arc::clone(&self.models),
            deployments: Arc::clone(&self.deployments),
            results: self.results.clone(),
            events: Arc::clone(&self.events),
            clock: Arc::clone(&self.clock),
            access: Arc::clone(&self.access),
            wishes: self.options.wishes.clone(),
            status: self.status_reader(),
        }
    }

    /// The gateway at this moment.
    pub fn status(&self) -> Status {
        (self.status_reader())()
    }

    /// Reads the gateway's status from any thread, for as long as it is kept.
    pub fn status_reader(&self) -> Arc<dyn Fn() -> Status + Send + Sync> {
        let clock = Arc::clone(&self.clock);
        let started_at = self.started_at;
        let (sources, sinks) = (Arc::clone(&self.sources), Arc::clone(&self.sinks));
        let deployments = Arc::clone(&self.deployments);
        let events = Arc::clone(&self.events);
        let (hub, servers) = (Arc::clone(&self.hub_counters), Arc::clone(&self.servers));
        let tracer = self.results.tracer().clone();
        let recording = self.recording();
        // A reader must not keep the spool open after the gateway stopped.
        let spool = self.spool.as_ref().map(Arc::downgrade);
        Arc::new(move || Status {
            at: clock.now(),
            started_at,
            version: env!("CARGO_PKG_VERSION"),
            sources: sources.iter().map(SourceFace::status).collect(),
            hub: hub.status(),
            deployments: deployments.status(),
            sinks: sinks.iter().map(SinkFace::status).collect(),
            servers: servers.status(),
            spool: spool
                .as_ref()
                .and_then(std::sync::Weak::upgrade)
                .map_or_else(SpoolStatus::default, |spool| spool.status()),
            events: events.status(),
            recording: recording.as_ref().map(|counters| counters.value()),
            traces: tracer.status(),
        })
    }

    /// Reads how often the hub has looked around so far. A number that stands still for a second is
    /// that of a hub that hangs.
    pub fn turns_reader(&self) -> impl Fn() -> u64 + Send + 'static {
        let counters = Arc::clone(&self.hub_counters);
        move || counters.turns.value()
    }

    /// Returns when the hub ended unexpectedly: every value and result is bad then, and stays so.
    pub async fn failed(&self) {
        let mut failed = self.failed.clone();
        if failed.wait_for(|failed| *failed).await.is_err() {
            // The hub ended as asked, so this will never happen.
            std::future::pending().await
        }
    }

    /// Whether the hub ended unexpectedly.
    pub fn has_failed(&self) -> bool {
        *self.failed.borrow()
    }

    /// Stops sources, lets the hub finish what it has, then stops servers and sinks and closes
    /// the spool.
    pub async fn stop(mut self) {
        // An error says that they ended already.
        let _ = self.remote_stop.send(true);
        end_all(std::mem::take(&mut self.source_workers)).await;
        for task in std::mem::take(&mut self.remote_tasks) {
            // One that panicked has said so on standard error.
            let _ = task.await;
        }
        run::stop(&self.hub_told, &self.waker);
        join_all(self.hub_thread.take().into_iter().collect()).await;
        // The hub is gone and with it what fed the recording.
        join_all(self.recording.take().map(|recording| recording.thread).into_iter().collect())
            .await;
        self.servers.stop().await;
        self.wait_for_sinks().await;
        end_all(std::mem::take(&mut self.sink_workers)).await;
        let _ = self.traces_stop.send(true);
        if let Some(task) = self.traces_task.take() {
            let _ = task.await;
        }
        let now = self.clock.now();
        self.events.record(Event::new(now, Code::GatewayStopped, "gateway", "stopped"));
        if let Some(spool) = self.spool.take().and_then(Arc::into_inner) {
            let _ = tokio::task::spawn_blocking(move || spool.close()).await;
        }
        let events = Arc::clone(&self.events);
        let _ = tokio::task::spawn_blocking(move || events.flush()).await;
    }

    /// Gives sinks that have their system a moment to deliver what the hub gave last; what they
    /// do not manage stays in the spool.
    async fn wait_for_sinks(&self) {
        let end = tokio::time::Instant::now() + DELIVERY_MAX;
        let is_behind = |sink: &SinkFace| {
            let counters = &sink.counters;
            counters.connection.value() == Connection::Connected && counters.waiting.value() > 0
        };
        while self.sinks.iter().any(is_behind) && tokio::time::Instant::now() < end {
            tokio::time::sleep(DELIVERY_LOOK).await;
        }
    }
}

/// Tells all to end, then waits for each.
pub(super) async fn end_all(workers: Vec<Worker>) {
    let tell = |worker: Worker| {
        // An error says that it ended already.
        let _ = worker.stop.send(true);
        worker.thread
    };
    join_all(workers.into_iter().map(tell).collect()).await;
}

async fn join_all(threads: Vec<JoinHandle<()>>) {
    let joined = tokio::task::spawn_blocking(move || {
        for thread in threads {
            // A thread that panicked has said so on standard error.
            let _ = thread.join();
        }
    });
    let _ = joined.await;
}

impl SourceFace {
    /// The same source once more.
    pub(super) fn again(&self) -> Self {
        let (id, counters) = (Arc::clone(&self.id), Arc::clone(&self.counters));
        Self { id, points: self.points, counters }
    }

    fn status(&self) -> SourceStatus {
        let counters = &self.counters;
        let last_message = counters.last_message.value();
        let certificate_until = counters.certificate_until.value();
        SourceStatus {
            id: Arc::clone(&self.id),
            connection: counters.connection.value(),
            points: self.points,
            observations: counters.observations.value(),
            gaps: counters.gaps.value(),
            backfilled: counters.backfilled.value(),
            sequence_gaps: counters.sequence_gaps.value(),
            overflows: counters.overflows.value(),
            refused: counters.refused.value(),
            unfiltered: counters.unfiltered.value(),
            times_replaced: counters.times_replaced.value(),
            reconnects: counters.reconnects.value(),
            clock_offset_us: counters.clock_offset_us.value(),
            certificate_until: (certificate_until != 0)
                .then(|| Timestamp::from_nanos(certificate_until)),
            last_message: (last_message != 0).then(|| Timestamp::from_nanos(last_message)),
        }
    }
}

impl SinkFace {
    fn status(&self) -> SinkStatus {
        let counters = &self.counters;
        SinkStatus {
            id: Arc::clone(&self.id),
            connection: counters.connection.value(),
            delivered: counters.delivered.value(),
            failed: counters.failed.value(),
            waiting: counters.waiting.value(),
            dropped: counters.dropped.value(),
            refused: counters.refused.value(),
            left_out: counters.left_out.value(),
        }
    }
}
