//! The aligned slice of history that one inference sees.
//!
//! A window by time samples every input at the same moments, a period apart, back from its end. A
//! window by count samples at the last moments at which any input was observed: a value that did
//! not change, and so was not reported, still has a sample at each of them.

use std::collections::VecDeque;

use resonance_inference::package::manifest::WindowSpec;
use resonance_plant::{Interpolation, Status, Timestamp};

use crate::hub::ring::Ring;

/// Where one input's samples come from.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The point's recent past.
    pub ring: &'a Ring,
    /// How it holds between observations.
    pub interpolation: Interpolation,
}

/// Why a window is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Too little was observed yet.
    History,
    /// The ring holds too few samples for the window's span; it should grow.
    RingTooShort,
}

/// The moments of a window, newest first.
#[derive(Debug)]
pub struct Moments {
    spec: WindowSpec,
    /// Moments at which anything was observed, oldest first; only for windows by count.
    observed: VecDeque<Timestamp>,
    fresh: Vec<Timestamp>,
    newest_first: Vec<Timestamp>,
}

impl Moments {
    /// No moments yet.
    pub fn new(spec: WindowSpec) -> Self {
        let samples = spec.samples.max(1) as usize;
        Self {
            spec,
            observed: VecDeque::with_capacity(samples + 1),
            fresh: Vec::new(),
            newest_first: Vec::with_capacity(samples),
        }
    }

    /// Samples of each input.
    pub fn samples(&self) -> usize {
        self.spec.samples.max(1) as usize
    }

    /// Takes note of what was observed since the last call. Only windows by count need it.
    pub fn observe<'a>(&mut self, inputs: impl Iterator<Item = &'a Ring> + Clone) {
        if self.spec.period_ms.is_some() {
            return;
        }
        let samples = self.samples();
        let newest = inputs.clone().filter_map(|ring| ring.back(0)).map(|sample| sample.time).max();
        if let (Some(known), Some(newest)) = (self.observed.back(), newest)
            && newest < *known
        {
            // Rings never go back but when they were emptied: the machine's clock was set back.
            self.observed.clear();
        }
        let newest_known = self.observed.back().copied();
        self.fresh.clear();
        for ring in inputs {
            let newer = (0..samples)
                .map_while(|back| ring.back(back))
                .map(|sample| sample.time)
                .take_while(|time| newest_known.is_none_or(|known| *time > known));
            self.fresh.extend(newer);
        }
        self.fresh.sort_unstable();
        self.fresh.dedup();
        for moment in &self.fresh {
            if self.observed.len() == samples {
                self.observed.pop_front();
            }
            self.observed.push_back(*moment);
        }
    }

    /// The moments of the window that ends at `end`, newest first. `None` while too few.
    pub fn until(&mut self, end: Timestamp) -> Option<&[Timestamp]> {
        let samples = self.samples();
        self.newest_first.clear();
        match self.spec.period_ms {
            Some(period_ms) => {
                let step = i64::from(period_ms) * 1_000_000;
                let steps = (0..samples as i64).map(|back| end.nanos().saturating_sub(back * step));
                self.newest_first.extend(steps.map(Timestamp::from_nanos));
            }
            None => self.newest_first.extend(self.observed.iter().rev()),
        }
        (self.newest_first.len() == samples).then_some(&*self.newest_first)
    }
}

/// Samples one input at the moments of a window (newest first) into `samples`, oldest first.
/// Returns the worst status among them.
///
/// # Errors
/// Where the input's past does not reach back far enough.
pub fn sample(
    input: Input<'_>,
    moments: &[Timestamp],
    samples: &mut Vec<f64>,
) -> Result<Status, Missing> {
    samples.clear();
    samples.resize(moments.len(), 0.0);
    let mut worst = Status::GOOD;
    let mut walk = input.ring.walk();
    for (moment, place) in moments.iter().zip(samples.iter_mut().rev()) {
        let Some(sample) = walk.at(*moment, input.interpolation) else {
            let wrapped = input.ring.has_wrapped();
            return Err(if wrapped { Missing::RingTooShort } else { Missing::History });
        };
        *place = sample.value;
        worst = worst.worst(sample.status);
    }
    if let (Some(newest), Some(oldest)) = (moments.first(), moments.last())
        && input.ring.has_gap_within(*oldest, *newest)
    {
        worst = worst.worst(Status::UNCERTAIN_SUB_NORMAL);
    }
    Ok(worst)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(at: i64) -> Timestamp {
        Timestamp::from_millis(at)
    }

    fn ring(samples: &[(i64, f64)]) -> Ring {
        let mut ring = Ring::new(8);
        for (time, value) in samples {
            assert!(ring.push(ms(*time), *value, Status::GOOD));
        }
        ring
    }

    fn input(ring: &Ring) -> Input<'_> {
        Input { ring, interpolation: Interpolation::Step }
    }

    #[test]
    fn by_time_an_unchanged_value_is_sampled_at_every_moment() {
        let mut moments = Moments::new(WindowSpec { samples: 3, period_ms: Some(10) });
        let still = ring(&[(0, 7.0)]);
        let moving = ring(&[(75, 1.0), (85, 2.0), (95, 3.0)]);
        let until = moments.until(ms(95)).unwrap();
        let mut samples = Vec::new();
        assert_eq!(sample(input(&still), until, &mut samples), Ok(Status::GOOD));
        assert_eq!(samples, [7.0, 7.0, 7.0]);
        assert_eq!(sample(input(&moving), until, &mut samples), Ok(Status::GOOD));
        assert_eq!(samples, [1.0, 2.0, 3.0]);
    }

    #[test]
    fn by_count_the_moments_are_those_of_all_inputs() {
        let mut moments = Moments::new(WindowSpec { samples: 3, period_ms: None });
        let (mut a, b) = (ring(&[(10, 1.0), (20, 2.0)]), ring(&[(5, 50.0)]));
        moments.observe([&a, &b].into_iter());
        assert_eq!(moments.until(ms(20)), Some(&[ms(20), ms(10), ms(5)][..]));
        a.push(ms(30), 3.0, Status::GOOD);
        a.push(ms(40), 4.0, Status::GOOD);
        moments.observe([&a, &b].into_iter());
        let until = moments.until(ms(40)).unwrap();
        let mut samples = Vec::new();
        assert_eq!(sample(input(&a), until, &mut samples), Ok(Status::GOOD));
        assert_eq!(samples, [2.0, 3.0, 4.0]);
        assert_eq!(sample(input(&b), until, &mut samples), Ok(Status::GOOD));
        assert_eq!(samples, [50.0; 3]);
    }

    #[test]
    fn by_count_a_clock_that_is_set_back_begins_anew() {
        let mut moments = Moments::new(WindowSpec { samples: 2, period_ms: None });
        let mut a = ring(&[(60_000, 1.0), (60_010, 2.0)]);
        moments.observe([&a].into_iter());
        assert!(moments.until(ms(60_010)).is_some());
        assert!(!a.push(ms(10), 3.0, Status::GOOD));
        moments.observe([&a].into_iter());
        assert_eq!(moments.until(ms(10)), None);
        a.push(ms(20), 4.0, Status::GOOD);
        moments.observe([&a].into_iter());
        assert_eq!(moments.until(ms(20)), Some(&[ms(20), ms(10)][..]));
    }

    #[test]
    fn too_little_history_is_told_from_too_short_a_ring() {
        let mut moments = Moments::new(WindowSpec { samples: 3, period_ms: Some(10) });
        let young = ring(&[(90, 1.0)]);
        let mut samples = Vec::new();
        let until = moments.until(ms(100)).unwrap().to_vec();
        assert_eq!(sample(input(&young), &until, &mut samples), Err(Missing::History));
        let fast: Vec<_> = (0..20).map(|at| (81 + at, 0.0)).collect();
        assert_eq!(sample(input(&ring(&fast)), &until, &mut samples), Err(Missing::RingTooShort));
    }

    #[test]
    fn a_gap_inside_the_window_makes_it_uncertain() {
        let mut ring = ring(&[(0, 1.0), (100, 2.0)]);
        let mut samples = Vec::new();
        ring.mark_gap(ms(40), ms(60));
        let sampled = |ring: &Ring, samples: &mut Vec<f64>, at: &[i64]| {
            let moments: Vec<_> = at.iter().map(|at| ms(*at)).collect();
            sample(input(ring), &moments, samples)
        };
        let uncertain = Ok(Status::UNCERTAIN_SUB_NORMAL);
        let held = Ok(Status::UNCERTAIN_LAST_USABLE_VALUE);
        assert_eq!(sampled(&ring, &mut samples, &[100, 50]), held);
        assert_eq!(sampled(&ring, &mut samples, &[99, 70]), held, "held since before the gap");
        assert_eq!(sampled(&ring, &mut samples, &[100, 0]), uncertain);
        assert_eq!(sampled(&ring, &mut samples, &[110, 100]), Ok(Status::GOOD));
        assert_eq!(sampled(&ring, &mut samples, &[40, 0]), Ok(Status::GOOD));
    }
}
