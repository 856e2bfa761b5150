//! What a model was asked over the inference API, and how long it took.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use resonance_plant::Timestamp;
use serde::Serialize;

use crate::status::Counter;

/// How often something was done and how long it took altogether.
#[derive(Debug, Default)]
struct Tally {
    count: Counter,
    ns: Counter,
}

impl Tally {
    fn add(&self, took: Duration) {
        self.count.add(1);
        self.ns.add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    fn read(&self) -> Spent {
        Spent { count: self.count.value(), ns: self.ns.value() }
    }
}

/// How long the parts of one inference took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parts {
    /// Waiting for its turn.
    pub queue: Duration,
    /// Decoding the request.
    pub input: Duration,
    /// The model itself.
    pub infer: Duration,
    /// Encoding the answer.
    pub output: Duration,
}

/// Counted by every surface of the inference API; what deployments infer is counted by them.
#[derive(Debug, Default)]
pub struct Statistics {
    success: Tally,
    fail: Tally,
    queue: Tally,
    input: Tally,
    infer: Tally,
    output: Tally,
    rows: Counter,
    last: AtomicI64,
}

impl Statistics {
    /// An inference of this many rows was answered.
    pub fn succeeded(&self, parts: Parts, rows: u64, at: Timestamp) {
        self.success.add(parts.queue + parts.input + parts.infer + parts.output);
        self.queue.add(parts.queue);
        self.input.add(parts.input);
        self.infer.add(parts.infer);
        self.output.add(parts.output);
        self.rows.add(rows);
        self.last.fetch_max(at.nanos(), Ordering::Relaxed);
    }

    /// A request for an inference was refused, or the model failed.
    pub fn failed(&self, took: Duration) {
        self.fail.add(took);
    }

    /// The figures at this moment; each is true, those of requests under way may be partly in.
    pub fn read(&self) -> ModelFigures {
        ModelFigures {
            last_inference: u64::try_from(self.last.load(Ordering::Relaxed) / 1_000_000)
                .unwrap_or(0),
            inference_count: self.rows.value(),
            execution_count: self.infer.count.value(),
            inference_stats: InferenceFigures {
                success: self.success.read(),
                fail: self.fail.read(),
                queue: self.queue.read(),
                compute_input: self.input.read(),
                compute_infer: self.infer.read(),
                compute_output: self.output.read(),
            },
        }
    }
}

/// A model's statistics, as the protocol's statistics extension names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ModelFigures {
    /// Milliseconds since 1970; 0: none yet.
    pub last_inference: u64,
    /// Rows inferred.
    pub inference_count: u64,
    /// Times the model ran.
    pub execution_count: u64,
    /// Where the time went.
    pub inference_stats: InferenceFigures,
}

/// Where a model's time went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct InferenceFigures {
    /// Requests answered, from their arrival on.
    pub success: Spent,
    /// Requests refused or failed.
    pub fail: Spent,
    /// Waiting for their turn.
    pub queue: Spent,
    /// Decoding requests.
    pub compute_input: Spent,
    /// The model itself.
    pub compute_infer: Spent,
    /// Encoding answers.
    pub compute_output: Spent,
}

/// A count and nanoseconds over all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Spent {
    /// How often.
    pub count: u64,
    /// Nanoseconds, over all.
    pub ns: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_counted_once() {
        let statistics = Statistics::default();
        let ms = Duration::from_millis;
        let parts = Parts { queue: ms(1), input: ms(2), infer: ms(3), output: ms(4) };
        statistics.succeeded(parts, 8, Timestamp::from_millis(1_700));
        statistics.succeeded(parts, 1, Timestamp::from_millis(1_600));
        statistics.failed(ms(5));
        let read = statistics.read();
        assert_eq!((read.inference_count, read.execution_count), (9, 2));
        assert_eq!(read.last_inference, 1_700);
        assert_eq!(read.inference_stats.success, Spent { count: 2, ns: 20_000_000 });
        assert_eq!(read.inference_stats.compute_infer, Spent { count: 2, ns: 6_000_000 });
        assert_eq!(read.inference_stats.fail, Spent { count: 1, ns: 5_000_000 });
    }
}
