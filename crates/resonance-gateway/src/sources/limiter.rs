//! Keeps a misbehaving machine from flooding the event log.

use std::collections::HashMap;
use std::time::Duration;

use resonance_plant::{Code, Timestamp};

/// The same code about the same point is told again after this.
const AGAIN: Duration = Duration::from_secs(60);

/// Events of one code within [`AGAIN`].
const MOST: u32 = 20;

/// Which events are told, and how many were not.
#[derive(Debug, Default)]
pub(super) struct Limiter {
    told: HashMap<(Code, usize), Timestamp>,
    windows: HashMap<Code, Window>,
}

#[derive(Debug)]
struct Window {
    since: Timestamp,
    told: u32,
    untold: u64,
}

impl Limiter {
    /// Whether to tell of this now. `Some` holds how many of this code went untold before.
    pub(super) fn admit(&mut self, code: Code, point: usize, now: Timestamp) -> Option<u64> {
        let told = self.told.get(&(code, point));
        if told.is_some_and(|at| now < at.plus(AGAIN)) {
            return None;
        }
        let window = self.windows.entry(code).or_insert(Window { since: now, told: 0, untold: 0 });
        if now >= window.since.plus(AGAIN) {
            (window.since, window.told) = (now, 0);
        }
        if window.told >= MOST {
            window.untold += 1;
            return None;
        }
        window.told += 1;
        self.told.insert((code, point), now);
        Some(std::mem::take(&mut window.untold))
    }

    /// Forgets that this was told: its cause is gone, so that a return is news.
    pub(super) fn forget(&mut self, code: Code, point: usize) {
        self.told.remove(&(code, point));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_told_of_once_a_minute_and_all_points_within_a_bound() {
        let mut limiter = Limiter::default();
        let now = Timestamp::from_millis(0);
        let code = Code::PointNotFinite;
        assert_eq!(limiter.admit(code, 7, now), Some(0));
        assert_eq!(limiter.admit(code, 7, now.plus(Duration::from_secs(59))), None);
        assert_eq!(limiter.admit(Code::PointUnknown, 7, now), Some(0), "codes are apart");
        let told = (100..200).filter(|point| limiter.admit(code, *point, now).is_some()).count();
        assert_eq!(told, MOST as usize - 1);
        let later = now.plus(AGAIN);
        assert_eq!(limiter.admit(code, 7, later), Some(81), "how many went untold is told");
        limiter.forget(code, 7);
        assert_eq!(limiter.admit(code, 7, later), Some(0));
    }
}
