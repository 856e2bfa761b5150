//! The hub's thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use resonance_plant::Clock;

use super::core::Hub;
use super::ingest::Waker;
use crate::deployments::fleet::Fleet;

/// The longest the thread sleeps without a look around.
const SLEEP_MAX: Duration = Duration::from_millis(200);

/// The longest that models on threads of their own are waited for at the end.
const DRAIN_MAX: Duration = Duration::from_secs(2);

/// Runs hub and deployments on the calling thread until told to stop and everything that sources
/// sent is taken and judged.
pub fn run(mut hub: Hub, mut fleet: Fleet, waker: &Waker, clock: &dyn Clock, stop: &AtomicBool) {
    waker.register();
    let mut draining_since = None;
    loop {
        let taken = hub.take();
        let judged = fleet.turn(&mut hub);
        if stop.load(Ordering::Acquire) && !taken {
            let since = *draining_since.get_or_insert_with(Instant::now);
            if !fleet.is_inferring() || since.elapsed() > DRAIN_MAX {
                return;
            }
        }
        if !taken && !judged {
            std::thread::park_timeout(until_due(&fleet, clock));
        }
    }
}

/// Tells the thread to stop.
pub fn stop(flag: &Arc<AtomicBool>, waker: &Waker) {
    flag.store(true, Ordering::Release);
    waker.wake();
}

fn until_due(fleet: &Fleet, clock: &dyn Clock) -> Duration {
    let Some(due) = fleet.next_due() else { return SLEEP_MAX };
    let wait_ns = due.since(clock.now()).max(0);
    Duration::from_nanos(wait_ns.unsigned_abs()).min(SLEEP_MAX)
}
