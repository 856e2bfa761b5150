//! From the hub of one plan to that of the next.

use std::sync::Arc;

use resonance_plant::{LastValues, Plant, PointIndex};

use super::{Hub, Inlet, Interest, NONE};

/// By the number of a point under one plan, its number under the next; `None`: it is no more, or
/// means something else.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Renumbering(pub Vec<Option<PointIndex>>);

impl Renumbering {
    /// The number under the next plan.
    pub fn of(&self, point: PointIndex) -> Option<PointIndex> {
        self.0.get(point.0 as usize).copied().flatten()
    }

    /// Whether the next plan has as many points, each under the same number.
    pub fn is_identity(&self, points: usize) -> bool {
        let stays =
            |(old, new): (usize, &Option<PointIndex>)| new.is_some_and(|new| new.0 as usize == old);
        self.0.len() == points && self.0.iter().enumerate().all(stays)
    }
}

/// How a source comes into a hub.
#[derive(Debug)]
pub enum Entry {
    /// It is new.
    New(Inlet),
    /// It runs on: the place of its inlet under the plan before, and its points under this one.
    Kept(usize, Arc<[PointIndex]>),
    /// It is about to stop; what it still sends is taken.
    Leaving(usize),
}

impl Inlet {
    /// The same way in under a plan that numbers the points `points`, in the same order.
    fn renumber(&mut self, points: Arc<[PointIndex]>, to: &Renumbering) {
        if points != self.points {
            let next = |point: PointIndex| to.of(point).unwrap_or(PointIndex(NONE));
            let renumbered = match &self.renumbered {
                Some(earlier) => earlier.iter().map(|point| next(*point)).collect(),
                None => (0..to.0.len() as u32).map(|number| next(PointIndex(number))).collect(),
            };
            self.renumbered = Some(renumbered);
        }
        self.points = points;
        self.marked.retain_mut(|(point, ..)| to.of(*point).map(|new| *point = new).is_some());
    }
}

impl Hub {
    /// The hub of the next plan, which goes on where this one is: last values, pasts and ways in
    /// of what stays. What sources sent and was not taken yet is taken by it. Where two sources have
    /// a point, as one that changes does while it leaves, the later entry has it.
    #[must_use]
    pub fn succeeded_by(
        self,
        plant: Arc<Plant>,
        values: Arc<LastValues>,
        entries: Vec<Entry>,
        interest: &Interest,
        deployments: usize,
        to: &Renumbering,
    ) -> Self {
        let mut before: Vec<_> = self.inlets.into_iter().map(Some).collect();
        let inlets = entries.into_iter().filter_map(|entry| {
            let (at, points) = match entry {
                Entry::New(inlet) => return Some(inlet),
                Entry::Kept(at, points) => (at, Some(points)),
                Entry::Leaving(at) => (at, None),
            };
            let is_leaving = points.is_none();
            let mut inlet = before.get_mut(at).and_then(Option::take)?;
            let left = || inlet.points.iter().filter_map(|point| to.of(*point)).collect();
            let points = points.unwrap_or_else(left);
            inlet.is_leaving = is_leaving;
            inlet.renumber(points, to);
            Some(inlet)
        });
        let inlets = inlets.collect();
        let recorder = self.recorder.as_ref().map(|recorder| recorder.on(&plant));
        let hub = Self::new(plant, values, inlets, interest, deployments, self.counters);
        let mut hub = hub.recorded(recorder);
        for (number, new) in to.0.iter().enumerate() {
            let (Some(new), old) = (new, PointIndex(number as u32)) else { continue };
            if !Arc::ptr_eq(&hub.values, &self.values) {
                hub.values.copy(*new, &self.values, old);
            }
            let ring_before = self.ring_of.get(number).and_then(|at| self.rings.get(*at as usize));
            let at = hub.ring_of.get(new.0 as usize).copied().unwrap_or(NONE);
            if let (Some(before), Some(ring)) = (ring_before, hub.rings.get_mut(at as usize)) {
                ring.go_on_from(before);
            }
        }
        for inlet in &mut hub.inlets {
            for (point, _, version) in &mut inlet.marked {
                *version = hub.values.version(*point);
            }
        }
        hub
    }
}
