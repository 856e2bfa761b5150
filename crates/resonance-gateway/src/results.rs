//! From deployments to everyone who wants results: live subscribers and the spool.

use std::sync::Arc;

use resonance_plant::ResultRecord;
use tokio::sync::broadcast;

use crate::spool::SpoolWriter;
use crate::traces::Tracer;

/// Results a live subscriber may be behind before it loses the oldest.
pub const LIVE_RESULTS_MAX: usize = 4_096;

/// Passes each result on once to live subscribers and once to the spool. Neither can hold it up.
#[derive(Clone, Debug)]
pub struct Results {
    live: broadcast::Sender<Arc<ResultRecord>>,
    spool: Option<SpoolWriter>,
    tracer: Tracer,
}

impl Results {
    /// Results for live subscribers and, if there is one, the spool.
    pub fn new(spool: Option<SpoolWriter>) -> Self {
        Self { live: broadcast::channel(LIVE_RESULTS_MAX).0, spool, tracer: Tracer::default() }
    }

    /// The same, and traced.
    #[must_use]
    pub fn traced(self, tracer: Tracer) -> Self {
        Self { tracer, ..self }
    }

    /// What takes the spans of results.
    pub fn tracer(&self) -> &Tracer {
        &self.tracer
    }

    /// Passes a result on.
    pub fn publish(&self, record: Arc<ResultRecord>) {
        if let Some(spool) = &self.spool {
            spool.offer(Arc::clone(&record));
        }
        // An error only says that nobody listens.
        let _ = self.live.send(record);
    }

    /// Results from now on. A subscriber that is too slow is told how many it lost.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<ResultRecord>> {
        self.live.subscribe()
    }
}
