//! Stays awake for a moment after the last answer, where the next request is likely to come at
//! once.
//!
//! A processor that went to sleep takes tens of microseconds to wake, more than a small model's
//! whole inference. A client that asks again and again, one request after the other, would pay
//! that for every request. One that asks now and then would only cost processor time: after a few
//! moments in vain, the thread sleeps at once and tries again rarely.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::yield_now;

/// How long a thread stays awake for the next request, at least and at most.
const LINGER: Duration = Duration::from_micros(100);
const LINGER_MAX: Duration = Duration::from_micros(500);

/// Where the answer took long, so did the client's sleep, and it wakes more slowly: the thread
/// stays awake for this share of it.
const SHARE: u32 = 10;

/// After so many moments in vain in succession, most answers are followed by none.
const VAIN_MAX: u32 = 4;

/// Then one answer in so many is.
const RARELY: u32 = 64;

/// What one thread knows of its requests.
#[derive(Debug, Default)]
pub(super) struct Linger {
    answered: Notify,
    /// Nanoseconds that the last answer took.
    took: AtomicU64,
    /// How many requests have come, and how many had when the last was answered.
    requests: AtomicU64,
    seen: AtomicU64,
}

impl Linger {
    /// A request has come.
    pub(super) fn came(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// The last request under way was answered, after this time.
    pub(super) fn answered(&self, took: Duration) {
        self.seen.store(self.requests.load(Ordering::Relaxed), Ordering::Relaxed);
        self.took.store(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.answered.notify_one();
    }

    /// Runs on the thread that is to stay awake, for as long as it does.
    pub(super) async fn run(&self) {
        let mut habit = Habit::default();
        loop {
            self.answered.notified().await;
            if habit.is_worth_it() {
                habit.learn(self.next().await);
            }
        }
    }

    /// How long the last of those that it waited after took.
    pub(super) fn took(&self) -> Duration {
        Duration::from_nanos(self.took.load(Ordering::Relaxed))
    }

    /// Looks for requests without sleeping; whether one came since the answer.
    async fn next(&self) -> bool {
        let until = Instant::now() + (self.took() / SHARE).clamp(LINGER, LINGER_MAX);
        loop {
            // The runtime looks at its sockets before it comes back.
            yield_now().await;
            if self.requests.load(Ordering::Relaxed) != self.seen.load(Ordering::Relaxed) {
                return true;
            }
            if Instant::now() >= until {
                return false;
            }
        }
    }
}

/// Whether it pays to stay awake, as the last moments have shown.
#[derive(Debug, Default)]
struct Habit {
    vain: u32,
    passed_over: u32,
}

impl Habit {
    /// Asked after every answer that leaves none under way.
    fn is_worth_it(&mut self) -> bool {
        if self.vain < VAIN_MAX {
            return true;
        }
        self.passed_over = (self.passed_over + 1) % RARELY;
        self.passed_over == 0
    }

    /// Whether a request came in time.
    fn learn(&mut self, came: bool) {
        self.vain = if came { 0 } else { self.vain.saturating_add(1) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_asks_now_and_then_is_waited_for_rarely() {
        let mut habit = Habit::default();
        let mut tried = |came| {
            let worth_it = habit.is_worth_it();
            if worth_it {
                habit.learn(came);
            }
            worth_it
        };
        assert!((0..VAIN_MAX).all(|_| tried(false)));
        assert_eq!((0..10 * RARELY).filter(|_| tried(false)).count(), 10);
        // One hit, and every answer is followed by a moment again.
        assert!((0..RARELY).any(|_| tried(true)) && tried(true));
    }

    #[tokio::test]
    async fn a_request_that_comes_at_once_is_seen() {
        let linger = Linger::default();
        let (came, ()) = tokio::join!(linger.next(), async { linger.came() });
        assert!(came);
        linger.answered(Duration::ZERO);
        assert!(!linger.next().await, "none came since");
        linger.came();
        assert!(linger.next().await, "one came before it was looked for");
    }
}
