//! The hub's thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
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

/// The hub's thread panicked; what it wrote is on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panicked;

/// Runs hub and deployments on the calling thread until told to stop and everything that sources
/// sent is taken and judged.
///
/// # Errors
/// Where it panicked. Every answer was then taken back: nothing may pass for current.
pub fn run(
    mut hub: Hub,
    mut fleet: Fleet,
    waker: &Waker,
    clock: &dyn Clock,
    stop: &AtomicBool,
) -> Result<(), Panicked> {
    waker.register();
    let turns = AssertUnwindSafe(|| turn_until_told(&mut hub, &mut fleet, clock, stop));
    catch_unwind(turns).map_err(|_| {
        // Whatever is half done is not looked at again, but for the last answers.
        let told = catch_unwind(AssertUnwindSafe(|| fleet.withdraw_all(&mut hub)));
        if told.is_err() {
            tracing::error!("the last answers could not be taken back");
        }
        Panicked
    })
}

fn turn_until_told(hub: &mut Hub, fleet: &mut Fleet, clock: &dyn Clock, stop: &AtomicBool) {
    let mut draining_since = None;
    loop {
        let taken = hub.take();
        let judged = fleet.turn(hub);
        if stop.load(Ordering::Acquire) && !taken {
            let since = *draining_since.get_or_insert_with(Instant::now);
            if !fleet.is_inferring() || since.elapsed() > DRAIN_MAX {
                return;
            }
        }
        if !taken && !judged {
            std::thread::park_timeout(until_due(fleet, clock));
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
