//! A model's way through this server: its buffers, and whether it is quick.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use resonance_plant::TensorBuf;

use crate::models::ServedModel;

/// An inference expected to take no longer runs on the thread that serves the connection; a
/// longer one would keep other requests of that thread waiting.
const INLINE_MAX: Duration = Duration::from_micros(500);

/// The same while no other request waits for that thread: what comes meanwhile waits no longer.
const INLINE_ALONE_MAX: Duration = Duration::from_millis(10);

/// Buffers kept for reuse; more are made under load and dropped afterwards.
const KEPT_MAX: usize = 8;

/// A buffer beyond this is not kept: one large request must not hold memory for ever.
const KEPT_BYTES_MAX: usize = 1 << 20;

#[derive(Debug)]
pub(in crate::servers) struct Lane {
    pub(in crate::servers) model: Arc<ServedModel>,
    buffers: Mutex<Vec<Buffers>>,
    /// Nanoseconds of decoding, inference and encoding per byte of body, recent requests
    /// weighted; zero: nothing known yet.
    pace: AtomicU64,
}

/// Inputs and outputs of one inference.
#[derive(Debug, Default)]
pub(in crate::servers) struct Buffers {
    pub(in crate::servers) inputs: TensorBuf,
    pub(in crate::servers) outputs: TensorBuf,
}

impl Lane {
    pub(in crate::servers) fn new(model: Arc<ServedModel>) -> Self {
        Self { model, buffers: Mutex::default(), pace: AtomicU64::new(0) }
    }

    pub(in crate::servers) fn take(&self) -> Buffers {
        self.buffers.lock().pop().unwrap_or_default()
    }

    pub(in crate::servers) fn give_back(&self, buffers: Buffers) {
        let tensors = buffers.inputs.tensors.iter().chain(&buffers.outputs.tensors);
        let bytes: usize = tensors
            .map(|tensor| {
                let texts: usize = tensor.strings().iter().map(|text| 24 + text.capacity()).sum();
                tensor.bytes().len() + texts
            })
            .sum();
        let mut kept = self.buffers.lock();
        if bytes <= KEPT_BYTES_MAX && kept.len() < KEPT_MAX {
            kept.push(buffers);
        }
    }

    /// Whether a request with a body of this length is expected to be quick enough for the thread
    /// that serves its connection, where it is `alone` there.
    pub(in crate::servers) fn is_quick(&self, body_bytes: usize, alone: bool) -> bool {
        is_quick(self.pace.load(Ordering::Relaxed), body_bytes, alone)
    }

    /// Learns from a request that took this long.
    pub(in crate::servers) fn learn(&self, began: Instant, body_bytes: usize) {
        let taken = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let now = (taken / body_bytes.max(1) as u64).max(1);
        let before = self.pace.load(Ordering::Relaxed);
        // A load and a store may lose another thread's lesson; the next request repeats it.
        let pace = if before == 0 { now } else { (before.saturating_mul(7) + now) / 8 };
        self.pace.store(pace, Ordering::Relaxed);
    }
}

fn is_quick(pace: u64, body_bytes: usize, alone: bool) -> bool {
    let most = if alone { INLINE_ALONE_MAX } else { INLINE_MAX };
    pace != 0 && u128::from(pace) * body_bytes as u128 <= most.as_nanos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_is_alone_may_take_longer() {
        // 60 ns a byte: 64 KiB take 4 ms, 4 KiB a quarter.
        for (body_bytes, alone, quick) in [
            (4 << 10, false, true),
            (64 << 10, false, false),
            (64 << 10, true, true),
            (1 << 20, true, false),
        ] {
            assert_eq!(is_quick(60, body_bytes, alone), quick, "{body_bytes} bytes, {alone}");
        }
        assert!(!is_quick(0, 1, true), "nothing is known of it");
    }
}
