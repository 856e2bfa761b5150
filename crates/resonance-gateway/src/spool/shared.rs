//! What the spool's worker, its cursors and the status share.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use resonance_plant::{Clock, EventSink};
use tokio::sync::watch;

use super::store::{Opened, SetAside};
use crate::plan::SpoolPlan;
use crate::status::{Counter, SinkCounters, SpoolStatus};
use crate::traces::Tracer;

/// What the worker, the cursors and the status share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) path: PathBuf,
    pub(super) age_max: Duration,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) events: Arc<dyn EventSink>,
    pub(super) sinks: RwLock<Arc<[Arc<Place>]>>,
    /// The last sequence in the file.
    pub(super) last: watch::Sender<u64>,
    /// The first sequence in the file; one past the last where there is none.
    pub(super) first: AtomicU64,
    /// Counts the files: a damaged one is replaced.
    pub(super) generation: AtomicU64,
    /// Set by a reader that met damage.
    pub(super) damaged: AtomicBool,
    /// What sinks' systems refused for good, until it is kept. Bounded by what may be in flight.
    pub(super) set_aside: Mutex<Vec<SetAside>>,
    /// Set once results are traced.
    pub(super) tracer: OnceLock<Tracer>,
    pub(super) bytes: AtomicU64,
    pub(super) written: Counter,
    pub(super) dropped: Counter,
    pub(super) unqueued: Counter,
    pub(super) closing: AtomicBool,
}

/// Where a sink is.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) id: Arc<str>,
    /// The last sequence it acknowledged.
    pub(super) acknowledged: AtomicU64,
    /// The last sequence it read.
    pub(super) taken: AtomicU64,
    /// Set once the sink runs.
    pub(super) counters: OnceLock<Arc<SinkCounters>>,
}

impl Place {
    pub(super) fn new(id: &Arc<str>, acknowledged: u64, first: u64) -> Arc<Self> {
        Arc::new(Self {
            id: Arc::clone(id),
            acknowledged: AtomicU64::new(acknowledged),
            taken: AtomicU64::new(acknowledged.max(first - 1)),
            counters: OnceLock::new(),
        })
    }
}

impl Shared {
    pub(super) fn new(
        plan: &SpoolPlan,
        sinks: &[Arc<str>],
        opened: &Opened,
        clock: Arc<dyn Clock>,
        events: Arc<dyn EventSink>,
    ) -> Self {
        let first = opened.store.first;
        let place = |(id, acknowledged): (&Arc<str>, &u64)| Place::new(id, *acknowledged, first);
        Self {
            path: plan.path.clone(),
            age_max: plan.age_max,
            clock,
            events,
            sinks: RwLock::new(sinks.iter().zip(&opened.acknowledged).map(place).collect()),
            last: watch::channel(opened.store.next - 1).0,
            first: AtomicU64::new(opened.store.first),
            generation: AtomicU64::new(0),
            damaged: AtomicBool::new(false),
            set_aside: Mutex::default(),
            tracer: OnceLock::new(),
            bytes: AtomicU64::new(opened.store.bytes),
            written: Counter::default(),
            dropped: Counter::default(),
            unqueued: Counter::default(),
            closing: AtomicBool::new(false),
        }
    }

    /// The places of all sinks, as they are now.
    pub(super) fn sinks(&self) -> Arc<[Arc<Place>]> {
        Arc::clone(&self.sinks.read())
    }

    pub(super) fn status(&self) -> SpoolStatus {
        let last = *self.last.borrow();
        SpoolStatus {
            written: self.written.value(),
            kept: (last + 1).saturating_sub(self.first.load(Ordering::Acquire)),
            bytes: self.bytes.load(Ordering::Acquire),
            dropped: self.dropped.value() + self.unqueued.value(),
        }
    }

    /// How many results a sink has not acknowledged.
    pub(super) fn waiting(&self, place: &Place) -> u64 {
        let before = self.first.load(Ordering::Acquire).saturating_sub(1);
        let done = place.acknowledged.load(Ordering::Acquire).max(before);
        self.last.borrow().saturating_sub(done)
    }

    pub(super) fn closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }
}
