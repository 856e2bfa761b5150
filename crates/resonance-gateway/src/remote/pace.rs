//! How many inferences a second are asked for: each takes a moment of its own.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Gives out moments that lie an even time apart.
#[derive(Debug)]
pub(super) struct Pace {
    apart: Duration,
    next: Mutex<Option<Instant>>,
}

impl Pace {
    pub(super) fn new(per_second: Option<u32>) -> Self {
        let apart = per_second.map_or(Duration::ZERO, |most| Duration::from_secs(1) / most.max(1));
        Self { apart, next: Mutex::new(None) }
    }

    /// How long to wait from `now` for the next moment, which is taken.
    pub(super) fn take(&self, now: Instant) -> Duration {
        if self.apart.is_zero() {
            return Duration::ZERO;
        }
        let mut next = self.next.lock();
        let mine = next.map_or(now, |next| next.max(now));
        *next = Some(mine + self.apart);
        mine - now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_lie_apart_and_what_was_not_used_is_not_saved_up() {
        let pace = Pace::new(Some(10));
        let now = Instant::now();
        let taken: Vec<_> = (0..3).map(|_| pace.take(now).as_millis()).collect();
        assert_eq!(taken, [0, 100, 200]);
        let later = now + Duration::from_secs(9);
        assert_eq!((pace.take(later).as_millis(), pace.take(later).as_millis()), (0, 100));
        assert_eq!(Pace::new(None).take(now), Duration::ZERO);
    }
}
