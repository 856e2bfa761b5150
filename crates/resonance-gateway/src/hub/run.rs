//! The hub's thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use resonance_plant::Clock;

use super::core::Hub;
use super::ingest::Waker;
use crate::deployments::fleet::Fleet;

/// The longest the thread sleeps without a look around.
const SLEEP_MAX: Duration = Duration::from_millis(200);

/// Runs hub and deployments on the calling thread until told to stop, then once more until
/// nothing waits.
pub fn run(mut hub: Hub, mut fleet: Fleet, waker: &Waker, clock: &dyn Clock, stop: &AtomicBool) {
    waker.register();
    loop {
        let taken = hub.take();
        let judged = fleet.turn(&mut hub);
        if taken || judged {
            continue;
        }
        if stop.load(Ordering::Acquire) {
            return;
        }
        waker.announce_sleep();
        if hub.is_idle() && !stop.load(Ordering::Acquire) {
            std::thread::park_timeout(until_due(&fleet, clock));
        }
        waker.announce_awake();
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
