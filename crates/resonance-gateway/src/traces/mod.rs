//! Traces: how long each stage took that a result passed, for OpenTelemetry.
//!
//! The id of a trace is that of its result, so that every stage, a sink after a restart among
//! them, knows without being told which trace it belongs to and whether that is sampled. Nothing
//! of it is in the result's record but the id that was there before.
//!
//! ```text
//! result wear            from the machine's time of the newest sample to the finished record
//! ├─ observe             from that time to the receipt by the source
//! ├─ window              until the hub had gathered the window
//! ├─ queue               until the engine began
//! ├─ infer               in the engine
//! ├─ spool               from the finished record until it is in the file
//! └─ deliver mes         from reading it out of the file to the system's acknowledgement
//! ```
//!
//! Without `[traces]` in the plant file a stage looks at one `None`; with it, at seven bytes of
//! the result's id. Spans wait in a bounded queue; nothing waits for them.

mod exporter;
mod span;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use resonance_plant::{Clock, EventSink, ResultId};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::sinks::SinkError;
use crate::sinks::http::HttpConfig;
use crate::sources::Stop;
use crate::status::Counter;
pub use span::{Attribute, Span, Stages, context_of_delivery, of_delivery, of_result, of_spool};

/// The name under which a sink hands the context on, as a header or a property.
pub const CONTEXT: &str = "traceparent";

/// Spans that may wait to be sent.
pub const QUEUE_MAX: usize = 8_192;

/// Where spans are sent, and of how many results.
#[derive(Clone, Debug, PartialEq)]
pub struct TracesPlan {
    /// The collector; of a sink's configuration: url, token, ca_file and timeout.
    pub collector: HttpConfig,
    /// The share of results that are traced, 0 to 1.
    pub ratio: f64,
    /// Names this gateway among others (`service.name`).
    pub service_name: String,
    /// The longest a span waits for others to be sent with.
    pub every: Duration,
}

/// What was traced so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TracesStatus {
    /// Spans the collector took.
    pub exported: u64,
    /// Spans that were lost: the queue was full, or the collector did not take them.
    pub lost: u64,
}

/// Takes spans; cheap to clone. By default it takes none.
#[derive(Clone, Debug, Default)]
pub struct Tracer(Option<Arc<Taking>>);

#[derive(Debug)]
struct Taking {
    /// Results whose id has at least this in its last seven bytes are traced.
    threshold: u64,
    queue: mpsc::Sender<Span>,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    exported: Counter,
    lost: Counter,
}

/// The randomness of an id that decides: 56 bits (W3C Trace Context Level 2, 3.2.2.3; OpenTelemetry
/// probability sampling).
const RANDOM_BITS: u32 = 56;

impl Tracer {
    /// A tracer with the task that sends what it takes, until told to stop. `instance` tells this
    /// process from others of its name.
    ///
    /// # Errors
    /// Where the configuration cannot work.
    pub fn start(
        plan: &TracesPlan,
        clock: Arc<dyn Clock>,
        events: Arc<dyn EventSink>,
        stop: Stop,
    ) -> Result<(Self, JoinHandle<()>), SinkError> {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let counters = Arc::new(Counters::default());
        let exporter = exporter::Exporter::new(plan, Arc::clone(&counters), clock, events)?;
        let task = tokio::spawn(exporter.run(waiting, stop));
        let taking = Taking { threshold: threshold(plan.ratio), queue, counters };
        Ok((Self(Some(Arc::new(taking))), task))
    }

    /// Whether anything is traced.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Whether a result is traced.
    pub fn samples(&self, id: &ResultId) -> bool {
        self.0.as_ref().is_some_and(|taking| randomness(id) >= taking.threshold)
    }

    /// Takes spans. Where too many wait they are lost, and counted.
    pub fn take(&self, spans: impl IntoIterator<Item = Span>) {
        let Some(taking) = &self.0 else { return };
        for span in spans {
            if taking.queue.try_send(span).is_err() {
                taking.counters.lost.add(1);
            }
        }
    }

    /// The numbers so far; `None` where nothing is traced.
    pub fn status(&self) -> Option<TracesStatus> {
        let counters = &self.0.as_ref()?.counters;
        let (exported, lost) = (counters.exported.value(), counters.lost.value());
        Some(TracesStatus { exported, lost })
    }
}

fn randomness(id: &ResultId) -> u64 {
    let [_, _, _, _, _, _, _, _, _, a, b, c, d, e, f, g] = id.0;
    u64::from_be_bytes([0, a, b, c, d, e, f, g])
}

/// One above the largest randomness where nothing is to be traced.
fn threshold(ratio: f64) -> u64 {
    let all = 1_u64 << RANDOM_BITS;
    // Within 0 and 2^56 by the clamp, which a 64-bit float tells apart well enough.
    all - (ratio.clamp(0.0, 1.0) * all as f64) as u64
}
