//! How long to wait before the next attempt. No IO; told randomness.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// The first wait.
const FIRST: Duration = Duration::from_millis(250);

/// Waits that double up to a limit, each shortened by up to half at random, so that a hundred
/// gateways do not all come back in the same moment.
#[derive(Clone, Debug)]
pub struct Backoff {
    next: Duration,
    max: Duration,
}

impl Backoff {
    /// Waits of at most `max`.
    pub fn new(max: Duration) -> Self {
        Self { next: FIRST.min(max), max }
    }

    /// The next wait: between half of and the whole of the present step.
    pub fn wait(&mut self, random: u64) -> Duration {
        let step = self.next;
        self.next = step.saturating_mul(2).min(self.max);
        let share = (random % 1_000) as u32;
        step / 2 + step / 2 * share / 1_000
    }

    /// An attempt succeeded: the next wait is short again.
    pub fn reset(&mut self) {
        self.next = FIRST.min(self.max);
    }
}

/// The longest wait between two attempts where the plant file does not say, milliseconds.
pub(super) fn ms_max_by_default() -> u32 {
    30_000
}

/// A number that differs between processes and moments. Not for secrets.
pub fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_limit_and_start_over() {
        let mut backoff = Backoff::new(Duration::from_secs(30));
        let longest: Vec<u128> = (0..9).map(|_| backoff.wait(999).as_millis()).collect();
        let steps = [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000];
        for (wait, step) in longest.iter().zip(steps) {
            assert!((step - step / 500 - 1..=step).contains(wait), "{wait} of {step}");
        }
        assert_eq!(backoff.wait(0), Duration::from_secs(15));
        backoff.reset();
        assert_eq!(backoff.wait(0), Duration::from_millis(125));
    }
}
