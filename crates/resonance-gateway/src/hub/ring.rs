//! The recent past of one point, ordered by source time.

use resonance_plant::{Interpolation, Status, Timestamp};

use super::gaps::Gaps;

/// The most samples a ring grows to.
pub const RING_SAMPLES_MAX: usize = 1 << 16;

/// A sample that is later than this is not late: its machine's clock was set back.
const LATE_NS_MAX: i64 = 5_000_000_000;

/// One sample of a ring.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// When the source says it was so.
    pub time: Timestamp,
    /// The value in the point's unit.
    pub value: f64,
    /// How good it is.
    pub status: Status,
}

/// The last 2^k samples of a point, oldest to newest by source time.
#[derive(Debug)]
pub struct Ring {
    time: Box<[i64]>,
    value: Box<[f64]>,
    status: Box<[u32]>,
    /// Samples ever kept; the newest is at `(count - 1) & mask`.
    count: u64,
    /// Where samples are missing.
    gaps: Gaps,
    /// The end of the newest gap, nanoseconds.
    gaps_end: i64,
}

impl Ring {
    /// A ring for at least `samples` samples.
    pub fn new(samples: usize) -> Self {
        let capacity = samples.clamp(2, RING_SAMPLES_MAX).next_power_of_two();
        Self {
            time: vec![0; capacity].into(),
            value: vec![0.0; capacity].into(),
            status: vec![0; capacity].into(),
            count: 0,
            gaps: Gaps::default(),
            gaps_end: i64::MIN,
        }
    }

    /// Samples held.
    pub fn len(&self) -> usize {
        usize::try_from(self.count).map_or(self.capacity(), |count| count.min(self.capacity()))
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Samples that fit.
    pub fn capacity(&self) -> usize {
        self.time.len()
    }

    /// Whether older samples were dropped for newer ones.
    pub fn has_wrapped(&self) -> bool {
        self.count > self.capacity() as u64
    }

    /// Adds a sample. One that is older than the newest is put in its place; one that repeats a
    /// source time replaces the sample of that time. Returns false where the sample is so much
    /// older that the machine's clock must have been set back: the past is then forgotten.
    ///
    /// A machine sends the values of a point in order: where the newest is from within a gap, or
    /// repeats the one before it, nothing is missing after that one.
    #[inline]
    pub fn push(&mut self, time: Timestamp, value: f64, status: Status) -> bool {
        let newest = self.time[self.slot(0)];
        if time.nanos() < self.gaps_end && (self.count == 0 || time.nanos() >= newest) {
            self.end_gaps_at(time);
        }
        if self.count > 0 && time.nanos() <= newest {
            if newest.saturating_sub(time.nanos()) <= LATE_NS_MAX {
                self.insert(time, value, status);
                return true;
            }
            self.count = 0;
            (self.gaps, self.gaps_end) = (Gaps::default(), i64::MIN);
            self.push(time, value, status);
            return false;
        }
        let slot = self.count as usize & (self.capacity() - 1);
        self.time[slot] = time.nanos();
        self.value[slot] = value;
        self.status[slot] = status.0;
        self.count += 1;
        true
    }

    /// The sample `back` places before the newest. `None` past the oldest.
    #[inline]
    pub fn back(&self, back: usize) -> Option<Sample> {
        (back < self.len()).then(|| {
            let slot = self.slot(back);
            Sample {
                time: Timestamp::from_nanos(self.time[slot]),
                value: self.value[slot],
                status: Status(self.status[slot]),
            }
        })
    }

    /// Says that samples between two moments are missing.
    pub fn mark_gap(&mut self, from: Timestamp, to: Timestamp) {
        self.gaps.add(from, to);
        self.gaps_end = self.gaps.end();
    }

    /// Whether samples are known to be missing between two moments.
    pub fn has_gap_within(&self, from: Timestamp, to: Timestamp) -> bool {
        self.gaps_end > from.nanos() && self.gaps.any_within(from, to)
    }

    #[cold]
    fn end_gaps_at(&mut self, time: Timestamp) {
        self.gaps.end_at(time);
        self.gaps_end = self.gaps.end();
    }

    /// Doubles the ring, keeping its samples. Returns false at the bound.
    pub fn grow(&mut self) -> bool {
        if self.capacity() >= RING_SAMPLES_MAX {
            return false;
        }
        let mut larger = Self::new(self.capacity() * 2);
        larger.go_on_from(self);
        *self = larger;
        true
    }

    /// Takes over the samples of another ring, the newest where it holds fewer, and its gaps.
    pub fn go_on_from(&mut self, before: &Self) {
        for back in (0..before.len()).rev() {
            if let Some(sample) = before.back(back) {
                self.push(sample.time, sample.value, sample.status);
            }
        }
        (self.gaps, self.gaps_end) = (before.gaps, before.gaps_end);
    }

    /// Walks backwards through time; see [`Walk::at`].
    pub fn walk(&self) -> Walk<'_> {
        Walk { ring: self, back: 0 }
    }

    fn slot(&self, back: usize) -> usize {
        (self.count as usize).wrapping_sub(1 + back) & (self.capacity() - 1)
    }

    /// Puts a late sample in its place, dropping it where it is older than all that is held and
    /// the ring is full.
    fn insert(&mut self, time: Timestamp, value: f64, status: Status) {
        let len = self.len();
        let place = (0..len).find(|back| self.time[self.slot(*back)] <= time.nanos());
        if let Some(back) = place
            && self.time[self.slot(back)] == time.nanos()
        {
            let slot = self.slot(back);
            self.value[slot] = value;
            self.status[slot] = status.0;
            return;
        }
        let newer = place.unwrap_or(len);
        if newer == self.capacity() {
            return;
        }
        self.count += 1;
        for back in 0..newer {
            let (to, from) = (self.slot(back), self.slot(back + 1));
            self.time[to] = self.time[from];
            self.value[to] = self.value[from];
            self.status[to] = self.status[from];
        }
        let slot = self.slot(newer);
        self.time[slot] = time.nanos();
        self.value[slot] = value;
        self.status[slot] = status.0;
    }
}

/// A walk through a ring towards older samples.
#[derive(Debug)]
pub struct Walk<'a> {
    ring: &'a Ring,
    back: usize,
}

impl Walk<'_> {
    /// The value at a moment, by the point's interpolation. Moments must not grow from call to
    /// call. `None` where the ring does not reach back that far.
    ///
    /// A value that is held although others after it are missing is at best
    /// `UncertainLastUsableValue`; one between two that have a gap between them at best
    /// `UncertainSubNormal` (both of OPC 10000-8).
    pub fn at(&mut self, moment: Timestamp, interpolation: Interpolation) -> Option<Sample> {
        let held = loop {
            let sample = self.ring.back(self.back)?;
            if sample.time <= moment {
                break sample;
            }
            self.back += 1;
        };
        let next = self.back.checked_sub(1).and_then(|newer| self.ring.back(newer));
        let (mut sample, until, incomplete) = match (interpolation, next) {
            (Interpolation::Linear, Some(next)) => {
                let sample = between(held, next, moment, next.value - held.value);
                (sample, next.time, Status::UNCERTAIN_SUB_NORMAL)
            }
            (Interpolation::Angle, Some(next)) => {
                let sample = between(held, next, moment, short_way(held.value, next.value));
                (sample, next.time, Status::UNCERTAIN_SUB_NORMAL)
            }
            _ => (held, moment, Status::UNCERTAIN_LAST_USABLE_VALUE),
        };
        if moment > held.time && self.ring.has_gap_within(held.time, until) {
            sample.status = sample.status.worst(incomplete);
        }
        Some(sample)
    }
}

fn between(held: Sample, next: Sample, moment: Timestamp, difference: f64) -> Sample {
    let span = next.time.since(held.time) as f64;
    let share = if span > 0.0 { moment.since(held.time) as f64 / span } else { 0.0 };
    Sample {
        time: moment,
        value: held.value + difference * share,
        status: held.status.worst(next.status),
    }
}

/// The difference from one angle in degrees to another, the short way round.
fn short_way(from: f64, to: f64) -> f64 {
    (to - from + 180.0).rem_euclid(360.0) - 180.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(at: i64) -> Timestamp {
        Timestamp::from_millis(at)
    }

    fn values(ring: &Ring) -> Vec<f64> {
        (0..ring.len()).rev().filter_map(|back| ring.back(back)).map(|s| s.value).collect()
    }

    #[test]
    fn late_samples_find_their_place_and_repeats_replace() {
        let mut ring = Ring::new(4);
        for (time, value) in [(10, 1.0), (30, 3.0), (20, 2.0), (30, 3.5), (5, 0.5)] {
            ring.push(ms(time), value, Status::GOOD);
        }
        assert_eq!(values(&ring), [0.5, 1.0, 2.0, 3.5]);
        ring.push(ms(1), 0.1, Status::GOOD);
        assert_eq!(values(&ring), [0.5, 1.0, 2.0, 3.5], "older than a full ring");
        ring.push(ms(40), 4.0, Status::GOOD);
        assert_eq!(values(&ring), [1.0, 2.0, 3.5, 4.0]);
    }

    #[test]
    fn a_clock_that_is_set_back_begins_a_new_past() {
        let mut ring = Ring::new(4);
        assert!(ring.push(ms(60_000), 1.0, Status::GOOD));
        assert!(ring.push(ms(55_000), 0.5, Status::GOOD), "late");
        assert!(!ring.push(ms(100), 2.0, Status::GOOD), "set back");
        assert!(ring.push(ms(200), 3.0, Status::GOOD));
        assert_eq!(values(&ring), [2.0, 3.0]);
    }

    #[test]
    fn moments_are_held_or_interpolated() {
        let mut ring = Ring::new(4);
        ring.push(ms(0), 350.0, Status::GOOD);
        ring.push(ms(100), 10.0, Status::UNCERTAIN);
        let at = |moment, how| ring.walk().at(ms(moment), how).map(|s| (s.value, s.status));
        assert_eq!(at(50, Interpolation::Step), Some((350.0, Status::GOOD)));
        assert_eq!(at(50, Interpolation::Linear), Some((180.0, Status::UNCERTAIN)));
        assert_eq!(at(50, Interpolation::Angle), Some((360.0, Status::UNCERTAIN)));
        assert_eq!(at(200, Interpolation::Linear), Some((10.0, Status::UNCERTAIN)));
        assert_eq!(at(-1, Interpolation::Step), None);
    }

    #[test]
    fn what_is_held_across_a_gap_is_uncertain_until_the_next_value() {
        let held = Status::UNCERTAIN_LAST_USABLE_VALUE;
        let at = |ring: &Ring, moment, how| ring.walk().at(ms(moment), how).map(|s| s.status);
        let mut ring = Ring::new(8);
        ring.push(ms(0), 1.0, Status::GOOD);
        ring.mark_gap(ms(40), ms(60));
        for (moment, expect) in [(0, Status::GOOD), (40, Status::GOOD), (50, held), (99, held)] {
            assert_eq!(at(&ring, moment, Interpolation::Step), Some(expect), "{moment}");
        }
        ring.push(ms(100), 2.0, Status::GOOD);
        assert_eq!(at(&ring, 99, Interpolation::Step), Some(held));
        assert_eq!(at(&ring, 99, Interpolation::Linear), Some(Status::UNCERTAIN_SUB_NORMAL));
        assert_eq!(at(&ring, 100, Interpolation::Linear), Some(Status::GOOD));
        assert_eq!(at(&ring, 200, Interpolation::Step), Some(Status::GOOD));
        ring.mark_gap(ms(140), ms(160));
        assert_eq!(at(&ring, 50, Interpolation::Step), Some(held), "the first is not forgotten");
        assert_eq!(at(&ring, 150, Interpolation::Step), Some(held));
    }

    #[test]
    fn a_value_that_is_confirmed_after_a_gap_did_not_change_in_it() {
        let mut ring = Ring::new(8);
        ring.push(ms(0), 1.0, Status::GOOD);
        ring.mark_gap(ms(40), ms(60));
        ring.push(ms(0), 1.0, Status::GOOD);
        let status = |ring: &Ring, moment| ring.walk().at(ms(moment), Interpolation::Step);
        assert_eq!(status(&ring, 50).map(|s| s.status), Some(Status::GOOD));
        ring.mark_gap(ms(140), ms(160));
        ring.push(ms(150), 2.0, Status::GOOD);
        let held = Some(Status::UNCERTAIN_LAST_USABLE_VALUE);
        assert_eq!(status(&ring, 149).map(|s| s.status), held);
        assert_eq!(status(&ring, 155).map(|s| s.status), Some(Status::GOOD));
    }

    proptest! {
        #[test]
        fn a_ring_is_the_newest_samples_in_order(times in prop::collection::vec(0_i64..60, 1..80)) {
            let mut ring = Ring::new(16);
            let mut model = std::collections::BTreeMap::new();
            for (at, time) in times.iter().enumerate() {
                let full = model.len() >= 16;
                let oldest = model.keys().next().copied();
                if !full || oldest.is_some_and(|o| *time >= o) {
                    model.insert(*time, at as f64);
                    if model.len() > 16 { model.pop_first(); }
                }
                ring.push(ms(*time), at as f64, Status::GOOD);
            }
            prop_assert_eq!(values(&ring), model.values().copied().collect::<Vec<_>>());
        }

        #[test]
        fn growing_changes_nothing_that_is_held(count in 1_i64..200) {
            let mut ring = Ring::new(8);
            (0..count).for_each(|t| assert!(ring.push(ms(t), t as f64, Status::GOOD)));
            let before = values(&ring);
            prop_assert!(ring.grow());
            prop_assert_eq!(values(&ring), before);
        }
    }
}
