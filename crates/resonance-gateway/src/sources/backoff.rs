//! How long to wait between two attempts to connect.

use std::time::Duration;

/// The first wait.
const FIRST: Duration = Duration::from_millis(250);

/// A session that lived this long was a success: the next wait is short again.
pub(super) const STEADY: Duration = Duration::from_secs(5);

/// Waits that double up to a bound, each shortened at random by up to a half, so that many
/// gateways do not come back to a restarted machine all at once.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    most: Duration,
    next: Duration,
}

impl Backoff {
    /// Waits of at most `most`.
    pub(super) fn new(most: Duration) -> Self {
        Self { most, next: FIRST.min(most) }
    }

    /// The next wait; `random` is uniform in [0, 1).
    pub(super) fn wait(&mut self, random: f64) -> Duration {
        let wait = self.next.mul_f64(1.0 - 0.5 * random.clamp(0.0, 1.0));
        self.next = (self.next * 2).min(self.most);
        wait
    }

    /// Starts anew with the shortest wait.
    pub(super) fn reset(&mut self) {
        self.next = FIRST.min(self.most);
    }
}

/// A number uniform in [0, 1), from the randomness that seeds the standard library's hash maps.
pub(super) fn random() -> f64 {
    use std::hash::{BuildHasher, Hasher};
    let bits = std::hash::RandomState::new().build_hasher().finish();
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn waits_grow_stay_bounded_and_never_vanish(
            most_ms in 1_u64..120_000,
            randoms in proptest::collection::vec(0.0..1.0_f64, 1..60),
        ) {
            let most = Duration::from_millis(most_ms);
            let mut backoff = Backoff::new(most);
            let mut full = FIRST.min(most);
            for random in randoms {
                let wait = backoff.wait(random);
                prop_assert!(wait <= full && wait >= full / 2, "{wait:?} of {full:?}");
                full = (full * 2).min(most);
            }
            backoff.reset();
            prop_assert!(backoff.wait(0.0) == FIRST.min(most));
        }
    }

    #[test]
    fn randomness_is_in_range_and_differs() {
        let drawn: Vec<f64> = (0..100).map(|_| random()).collect();
        assert!(drawn.iter().all(|x| (0.0..1.0).contains(x)));
        assert!(drawn.iter().any(|x| *x != drawn[0]));
    }
}
