//! The hub's thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use resonance_plant::{Clock, LastValues};

use super::core::Hub;
use super::ingest::Waker;
use crate::deployments::fleet::Fleet;

/// The longest the thread sleeps without a look around.
const SLEEP_MAX: Duration = Duration::from_millis(200);

/// The longest that models on threads of their own are waited for at the end.
const DRAIN_MAX: Duration = Duration::from_secs(2);

/// The hub's thread panicked; what it wrote is on standard error. Nobody writes into these columns
/// any more.
#[derive(Debug)]
pub struct Panicked(pub Arc<LastValues>);

/// Makes hub and deployments of one plan into those of the next, between two turns.
pub type Succession = Box<dyn FnOnce(Hub, Fleet) -> (Hub, Fleet) + Send>;

/// Where a succession waits until no model has rows under way; what sources send meanwhile is
/// taken, and judged afterwards.
#[derive(Default)]
pub struct Handover {
    is_waiting: AtomicBool,
    succession: Mutex<Option<Succession>>,
}

impl std::fmt::Debug for Handover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Handover({})", self.is_waiting())
    }
}

impl Handover {
    /// Asks for it; the thread has to be woken.
    pub fn ask(&self, succession: Succession) {
        *self.succession.lock() = Some(succession);
        self.is_waiting.store(true, Ordering::Release);
    }

    fn is_waiting(&self) -> bool {
        self.is_waiting.load(Ordering::Acquire)
    }

    /// Takes it back, unless it is under way or done.
    pub fn take(&self) -> Option<Succession> {
        let succession = self.succession.lock().take();
        self.is_waiting.store(false, Ordering::Release);
        succession
    }
}

/// What the hub's thread is told from outside.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// To end.
    pub stop: Arc<AtomicBool>,
    /// To go on with another plan.
    pub handover: Arc<Handover>,
}

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
    told: &Told,
) -> Result<(), Panicked> {
    waker.register();
    loop {
        let values = Arc::clone(hub.values());
        let turns = AssertUnwindSafe(|| turn_until_told(&mut hub, &mut fleet, clock, told));
        let succession = match catch_unwind(turns) {
            Ok(None) => return Ok(()),
            Ok(Some(succession)) => succession,
            Err(_) => {
                // Whatever is half done is not looked at again, but for the last answers.
                let told = catch_unwind(AssertUnwindSafe(|| fleet.withdraw_all(&mut hub)));
                if told.is_err() {
                    tracing::error!("the last answers could not be taken back");
                }
                return Err(Panicked(values));
            }
        };
        let succeeded = AssertUnwindSafe(|| succession(hub, fleet));
        (hub, fleet) = catch_unwind(succeeded).map_err(|_| Panicked(values))?;
    }
}

/// Returns what takes over, or nothing where the thread is to end.
fn turn_until_told(
    hub: &mut Hub,
    fleet: &mut Fleet,
    clock: &dyn Clock,
    told: &Told,
) -> Option<Succession> {
    let mut draining_since = None;
    loop {
        let taken = hub.take();
        let is_waiting = told.handover.is_waiting();
        let judged = if is_waiting { fleet.take_answers(hub) } else { fleet.turn(hub) };
        if is_waiting
            && !fleet.is_inferring()
            && let Some(succession) = told.handover.take()
        {
            return Some(succession);
        }
        if told.stop.load(Ordering::Acquire) && !taken {
            let since = *draining_since.get_or_insert_with(Instant::now);
            if !fleet.is_inferring() || since.elapsed() > DRAIN_MAX {
                return None;
            }
        }
        if !taken && !judged {
            // Whoever waits for a succession is woken by the answer it waits for.
            let wait = if is_waiting { SLEEP_MAX } else { until_due(fleet, clock) };
            std::thread::park_timeout(wait);
        }
    }
}

/// Tells the thread to stop.
pub fn stop(told: &Told, waker: &Waker) {
    told.stop.store(true, Ordering::Release);
    waker.wake();
}

fn until_due(fleet: &Fleet, clock: &dyn Clock) -> Duration {
    let Some(due) = fleet.next_due() else { return SLEEP_MAX };
    let wait_ns = due.since(clock.now()).max(0);
    Duration::from_nanos(wait_ns.unsigned_abs()).min(SLEEP_MAX)
}
