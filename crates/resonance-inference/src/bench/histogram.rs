//! Counting times in buckets: bounded memory, however long it runs.

use std::time::Duration;

/// Sub-buckets of each power of two: a time is known to one part in this many.
const STEPS: u64 = 128;

/// Powers of two of nanoseconds kept apart: up to about 18 minutes.
const POWERS: u64 = 34;

/// Times, each kept to within one part in 128.
#[derive(Clone, Debug)]
pub struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl Histogram {
    /// No times yet.
    pub fn new() -> Self {
        Self { buckets: vec![0; (STEPS * (POWERS + 1)) as usize], count: 0, max: Duration::ZERO }
    }

    /// Counts a time.
    pub fn add(&mut self, time: Duration) {
        let bucket = bucket(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        let last = self.buckets.len() - 1;
        self.buckets[bucket.min(last as u64) as usize] += 1;
        self.count += 1;
        self.max = self.max.max(time);
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The longest.
    pub fn max(&self) -> Duration {
        self.max
    }

    /// The time that this share (0 to 1) of all times does not exceed, rounded up to its bucket.
    pub fn below(&self, share: f64) -> Duration {
        let wanted = (share * self.count as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (at, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Duration::from_nanos(upper(at as u64)).min(self.max);
            }
        }
        self.max
    }
}

/// Times below `STEPS` have a bucket each; above, each power of two has `STEPS` buckets.
fn bucket(nanos: u64) -> u64 {
    if nanos < STEPS {
        return nanos;
    }
    let power = u64::from(nanos.ilog2() - STEPS.ilog2());
    (power + 1) * STEPS + (nanos >> power) - STEPS
}

/// The largest time of a bucket.
fn upper(bucket: u64) -> u64 {
    if bucket < STEPS {
        return bucket;
    }
    let (power, step) = (bucket / STEPS - 1, bucket % STEPS);
    ((STEPS + step + 1) << power) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_cover_all_times_in_order() {
        let mut before = 0;
        for nanos in (0..40).flat_map(|power| [1_u64 << power, (1 << power) + (1 << power) / 3]) {
            let bucket = bucket(nanos);
            assert!(bucket >= before, "{nanos}");
            before = bucket;
            let upper = upper(bucket);
            assert!(upper >= nanos && upper - nanos <= nanos / STEPS, "{nanos} {upper}");
        }
    }

    #[test]
    fn percentiles_are_those_of_the_times() {
        let mut times = Histogram::new();
        (1..=1_000).for_each(|micros| times.add(Duration::from_micros(micros)));
        for (share, micros) in [(0.5, 500.0), (0.9, 900.0), (0.99, 990.0), (1.0, 1_000.0)] {
            let found = times.below(share).as_secs_f64() * 1e6;
            assert!((found / micros - 1.0).abs() < 0.01, "{share}: {found}");
        }
        assert_eq!(times.max(), Duration::from_millis(1));
        assert_eq!(Histogram::new().below(0.5), Duration::ZERO);
        times.add(Duration::from_secs(1_000_000));
        assert_eq!(times.below(1.0), Duration::from_nanos(upper(STEPS * (POWERS + 1) - 1)));
    }
}
