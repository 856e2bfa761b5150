//! A histogram of latencies that any thread may add to and read.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::status::LatencySummary;

/// Buckets for each doubling: a percentile is off by at most one part in 16.
const STEPS: u32 = 16;
const BUCKETS: usize = (STEPS * 29) as usize;

/// Latencies from 1 µs to over an hour.
#[derive(Debug)]
pub struct Histogram {
    buckets: Box<[AtomicU64]>,
    max_us: AtomicU32,
}

impl Default for Histogram {
    fn default() -> Self {
        let buckets = (0..BUCKETS).map(|_| AtomicU64::new(0)).collect();
        Self { buckets, max_us: AtomicU32::new(0) }
    }
}

impl Histogram {
    /// Adds one latency.
    pub fn add(&self, latency_us: u32) {
        if let Some(bucket) = self.buckets.get(bucket_of(latency_us)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.max_us.fetch_max(latency_us, Ordering::Relaxed);
    }

    /// Adds what another histogram holds.
    pub fn add_all(&self, other: &Self) {
        for (bucket, more) in self.buckets.iter().zip(&other.buckets) {
            bucket.fetch_add(more.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        self.max_us.fetch_max(other.max_us.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// The percentiles so far; zeros where there is none.
    pub fn summary(&self) -> LatencySummary {
        let counts: Vec<u64> = self.buckets.iter().map(|b| b.load(Ordering::Relaxed)).collect();
        let total: u64 = counts.iter().sum();
        let max_us = self.max_us.load(Ordering::Relaxed);
        let percentile = |share: f64| {
            let rank = (total as f64 * share).ceil() as u64;
            let mut seen = 0;
            let bucket = counts.iter().position(|count| {
                seen += count;
                seen >= rank && seen > 0
            });
            bucket.map_or(0, |bucket| upper_end(bucket).min(max_us))
        };
        LatencySummary { p50_us: percentile(0.5), p99_us: percentile(0.99), max_us }
    }
}

fn bucket_of(latency_us: u32) -> usize {
    if latency_us < STEPS {
        return latency_us as usize;
    }
    let doubling = latency_us.ilog2() - STEPS.ilog2();
    let step = (latency_us >> doubling) - STEPS;
    ((doubling + 1) * STEPS + step) as usize
}

fn upper_end(bucket: usize) -> u32 {
    let (doubling, step) = (bucket as u32 / STEPS, bucket as u32 % STEPS);
    match doubling {
        0 => step,
        _ => {
            u32::try_from(((u64::from(STEPS + step) + 1) << (doubling - 1)) - 1).unwrap_or(u32::MAX)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_within_a_sixteenth() {
        let histogram = Histogram::default();
        (1..=10_000).for_each(|latency| histogram.add(latency));
        let summary = histogram.summary();
        for (actual, exact) in [(summary.p50_us, 5_000_f64), (summary.p99_us, 9_900.0)] {
            assert!((f64::from(actual) / exact - 1.0).abs() < 1.0 / 15.0, "{actual} for {exact}");
        }
        assert_eq!(summary.max_us, 10_000);
    }

    #[test]
    fn every_latency_has_a_bucket_that_holds_it() {
        for latency in (0..32).map(|bit| 1_u32 << bit).chain([0, 15, 17, 1_000, u32::MAX]) {
            let bucket = bucket_of(latency);
            assert!(bucket < BUCKETS && upper_end(bucket) >= latency, "{latency}");
            assert!(bucket == 0 || upper_end(bucket - 1) < latency, "{latency}");
        }
    }
}
