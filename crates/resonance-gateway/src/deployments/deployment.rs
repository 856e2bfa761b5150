//! One deployment: when it is due, whether its inputs are fit, and what it last answered.

use std::sync::Arc;
use std::time::Duration;

use resonance_inference::package::manifest::{Manifest, WindowSpec};
use resonance_plant::{Plant, PointIndex, ResultRecord, Status, Timestamp, Value};

use super::gate::{GateState, GateWatch};
use super::lane::{Lane, Ticket};
use super::record::{Frame, Slots};
use super::shared::Face;
use super::trigger::{Due, Occasion};
use super::window::{Missing, Moments, sample};
use crate::hub::core::Hub;
use crate::plan::{Binding, DeploymentPlan, Fallback, Trigger};

/// A deployment on the hub's thread.
#[derive(Debug)]
pub struct Deployment {
    /// What other threads see of it.
    pub face: Arc<Face>,
    /// When it is due.
    pub due: Due,
    /// What its records say besides the answer.
    pub frame: Frame,
    /// The package's manifest.
    pub manifest: Arc<Manifest>,
    /// The values of its results.
    pub slots: Slots,
    /// What it does when its model cannot answer.
    pub fallback: Fallback,
    /// Its last answer that came from a model.
    pub last: Option<Arc<ResultRecord>>,
    /// Its results so far.
    pub sequence: u64,
    /// Consecutive inferences over budget, up to a bound.
    pub slow: u8,
    /// Triggers go unused; told once an episode.
    pub overrun: bool,
    /// What the results said last when there was no answer; told once, not at every trigger.
    pub told: Option<Status>,
    /// When its last answer turns stale; `None` where it did, or is none.
    pub stale_at: Option<Timestamp>,
    inputs: Vec<BoundFeature>,
    /// The point whose change triggers it; `None`: its inputs do, or the clock.
    event: Option<PointIndex>,
    /// The point that names the part.
    part: Option<PointIndex>,
    moments: Moments,
    gate: Option<GateWatch>,
    samples: Vec<f64>,
}

/// One feature with its origin.
#[derive(Clone, Copy, Debug)]
struct BoundFeature {
    binding: Binding,
    tensor: usize,
    feature: usize,
    max_age: Option<Duration>,
    /// Numbers of the point's newest value, where that is a profile or an image.
    elements: Option<usize>,
}

/// Where a window ends.
#[derive(Clone, Copy, Debug)]
struct WindowEnd {
    /// The newest source time among the inputs.
    at: Timestamp,
    /// Whose it is, and so on which clock.
    point: PointIndex,
    /// When the observation that triggered was received.
    received: Timestamp,
}

/// Whether a row could be gathered.
#[derive(Clone, Debug, PartialEq)]
pub enum Readiness {
    /// The row was written; this is its ticket.
    Row(Ticket),
    /// It could, but only its own trigger makes it.
    Standing,
    /// Someone suspended the deployment.
    Suspended,
    /// The machine does not operate, or warms up; look again at this moment.
    Gated(Option<Timestamp>),
    /// Inputs are not all there yet.
    Waiting(String),
    /// Inputs are there, but unfit.
    Unfit(Status, String),
}

impl Deployment {
    /// A deployment of `plan`; `sequence` continues what was counted before a restart.
    pub fn new(plan: &DeploymentPlan, plant: &Plant, face: Arc<Face>, sequence: u64) -> Self {
        let manifest = Arc::clone(&plan.model.manifest);
        let window = window_of(&manifest);
        let valid_for = Duration::from_millis(manifest.valid_for_ms);
        let features = manifest.inputs.iter().enumerate().flat_map(|(tensor, input)| {
            input.features.iter().enumerate().map(move |(at, of)| (tensor, at, of.elements))
        });
        let inputs: Vec<_> = features
            .zip(&plan.bindings)
            .map(|((tensor, feature, elements), binding)| BoundFeature {
                binding: *binding,
                tensor,
                feature,
                elements: elements.map(|elements| elements as usize),
                max_age: [plan.max_age, binding.max_age].into_iter().flatten().min(),
            })
            .collect();
        let paths = inputs.iter().map(|input| plant.path(input.binding.point).into()).collect();
        let asset = plant.assets.get(plan.asset);
        let frame = Frame {
            deployment: Arc::clone(&plan.id),
            asset: Arc::clone(&face.asset),
            equipment_id: asset.map_or_else(|| "".into(), |asset| Arc::clone(&asset.equipment_id)),
            physical_asset_id: asset.and_then(|asset| asset.physical_asset_id.clone()),
            points: paths,
            valid_for,
            // The package's budget is that of an engine; a network's share is bounded by a timeout.
            budget_us: manifest.latency_budget_us.filter(|_| plan.remote.is_none()).unwrap_or(0),
            samples: window.samples.max(1),
        };
        let gate = plan
            .gate
            .as_ref()
            .and_then(|gate| plant.point(gate.point).map(|point| GateWatch::new(gate, point)));
        Self {
            due: Due::new(plan.trigger, valid_for),
            frame,
            slots: Slots::new(&manifest, &plan.outputs),
            fallback: plan.fallback.clone(),
            last: None,
            sequence,
            slow: 0,
            overrun: false,
            told: None,
            stale_at: None,
            inputs,
            event: match plan.trigger {
                Trigger::Event(point) => Some(point),
                Trigger::Change { .. } | Trigger::Every(_) => None,
            },
            part: plan.part,
            moments: Moments::new(window),
            gate,
            samples: Vec::with_capacity(window.samples.max(1) as usize),
            manifest,
            face,
        }
    }

    /// Goes on where the same deployment under an earlier plan is. Its last answer and how its gate
    /// stands are its own only where nothing of it was changed.
    pub fn go_on_from(&mut self, before: &Self, unchanged: bool) {
        if !Arc::ptr_eq(&self.face, &before.face) {
            self.face.go_on_from(&before.face);
        }
        self.sequence = self.sequence.max(before.sequence);
        // What stands in its points turns stale, whoever gave it.
        self.stale_at = before.stale_at;
        if !unchanged {
            return;
        }
        self.due.go_on_from(&before.due);
        (self.last, self.told) = (before.last.clone(), before.told);
        (self.slow, self.overrun) = (before.slow, before.overrun);
        if let (Some(gate), Some(before)) = (&mut self.gate, &before.gate) {
            gate.go_on_from(before);
        }
    }

    /// The points it listens to.
    pub fn points(&self) -> impl Iterator<Item = PointIndex> {
        self.inputs.iter().map(|input| input.binding.point)
    }

    /// The point whose value opens its gate.
    pub fn gate_point(&self) -> Option<PointIndex> {
        self.gate.as_ref().map(GateWatch::point)
    }

    /// Gathers its row into a lane, if it may, its inputs are fit and the occasion is one to
    /// infer on.
    pub fn gather(
        &mut self,
        hub: &mut Hub,
        lane: &mut Lane,
        occasion: Occasion,
        now: Timestamp,
    ) -> Readiness {
        if self.face.is_suspended() {
            return Readiness::Suspended;
        }
        if let Some(gate) = &mut self.gate {
            match gate.look(hub.values(), now) {
                GateState::Open => {}
                GateState::Settling => return Readiness::Gated(gate.opens_at()),
                GateState::Shut => return Readiness::Gated(None),
            }
            // An open gate is as old as the machine that told of it; a shut one may stay shut.
            if !hub.is_alive(gate.point()) {
                let path = hub.plant().path(gate.point());
                let reason = format!("the source of {path}, its gate, lost its machine");
                return Readiness::Unfit(Status::BAD_NO_COMMUNICATION, reason);
            }
        }
        let end = match self.check_inputs(hub, occasion, now) {
            Ok(end) => end,
            Err(readiness) => return readiness,
        };
        if occasion == Occasion::Asked && !self.due.answers_when_asked() {
            return Readiness::Standing;
        }
        self.write_row(hub, lane, end)
    }

    /// Checks that every input was observed, is fresh, and has its machine.
    fn check_inputs(
        &self,
        hub: &Hub,
        occasion: Occasion,
        now: Timestamp,
    ) -> Result<WindowEnd, Readiness> {
        let event = self.event.and_then(|point| Some((point, hub.values().slot(point)?)));
        // Until when, on our clock, inputs that did not change are known to hold.
        let held_until = match (occasion, event) {
            (Occasion::Timed, _) => Some(now),
            (Occasion::Observed, Some((point, slot))) => Some(hub.ours(point, slot.source_time)),
            _ => None,
        };
        let mut end = None::<WindowEnd>;
        for input in &self.inputs {
            let point = input.binding.point;
            let path = || hub.plant().path(point);
            let Some(slot) = hub.values().slot(point).filter(|slot| slot.version > 0) else {
                return Err(Readiness::Waiting(format!("{} was not observed yet", path())));
            };
            if !hub.is_alive(point) {
                let reason = format!("the source of {} lost its machine", path());
                return Err(Readiness::Unfit(Status::BAD_NO_COMMUNICATION, reason));
            }
            let age = now.since(slot.receive_time);
            if let Some(max_age) = input.max_age
                && age > i64::try_from(max_age.as_nanos()).unwrap_or(i64::MAX)
            {
                let reason = format!("{} is {} ms old", path(), age / 1_000_000);
                return Err(Readiness::Unfit(Status::BAD_NO_DATA, reason));
            }
            let held = held_until.map(|held_until| hub.present(point, held_until));
            let at = held.map_or(slot.source_time, |held| held.max(slot.source_time));
            let received = slot.receive_time.max(end.map_or(slot.receive_time, |e| e.received));
            end = match end {
                Some(end) if end.at >= at => Some(WindowEnd { received, ..end }),
                _ => Some(WindowEnd { at, point, received }),
            };
        }
        let Some(end) = end else {
            return Err(Readiness::Waiting("no input is bound".into()));
        };
        // Inputs that did not change for hours, or came before an outage, are no latency.
        let received = match occasion {
            Occasion::Observed => event.map_or(end.received, |(_, slot)| slot.receive_time),
            Occasion::Timed | Occasion::Asked => now,
        };
        Ok(WindowEnd { received, ..end })
    }

    fn write_row(&mut self, hub: &mut Hub, lane: &mut Lane, end: WindowEnd) -> Readiness {
        let rings = self.inputs.iter().filter_map(|input| hub.input(input.binding.point));
        self.moments.observe(rings.map(|input| input.ring));
        let samples = self.moments.samples();
        // Profiles and images are taken as they stand, whenever others were observed.
        let now = [end.at];
        let moments = if self.inputs.iter().all(|input| input.elements.is_some()) {
            Some(&now[..])
        } else {
            self.moments.until(end.at)
        };
        let Some(moments) = moments else {
            return Readiness::Waiting(format!("fewer than {samples} samples were observed yet"));
        };
        let (to, from) = (moments[0], moments[moments.len() - 1]);
        let mut worst = Status::GOOD;
        let mut worst_at = None;
        for bound in &self.inputs {
            let point = bound.binding.point;
            let Some(input) = hub.input(point) else {
                return Readiness::Waiting(format!("{} has no past", hub.plant().path(point)));
            };
            let sampled = match bound.elements {
                None => sample(input, moments, &mut self.samples),
                Some(elements) => match elements_of(hub, point, elements, &mut self.samples) {
                    Ok(status) => Ok(status),
                    Err(unfit) => return unfit,
                },
            };
            match sampled {
                Ok(status) => {
                    let status = hub.expired(point).map_or(status, |stale| status.worst(stale));
                    if worst.worst(status) != worst {
                        (worst, worst_at) = (status, Some(point));
                    }
                }
                Err(Missing::History) => {
                    let path = hub.plant().path(point);
                    return Readiness::Waiting(format!("{path} was observed for too short a time"));
                }
                Err(Missing::RingTooShort) => {
                    let path = hub.plant().path(point);
                    let remedy =
                        if hub.grow(point) { "room was made" } else { "sample it more slowly" };
                    return Readiness::Waiting(format!(
                        "{path} is observed more often than its past had room for; {remedy}"
                    ));
                }
            }
            let conversion = bound.binding.conversion;
            let converted = self.samples.iter().map(|value| conversion.apply(*value));
            lane.write_feature(bound.tensor, bound.feature, converted);
        }
        if worst.is_bad() {
            let path = worst_at.map(|point| hub.plant().path(point)).unwrap_or_default();
            return Readiness::Unfit(worst, format!("{path} is {worst}"));
        }
        let (ended, received) = (hub.ours(end.point, to), end.received);
        Readiness::Row(Ticket {
            deployment: 0,
            part: self.part.and_then(|point| part_id(hub, point)),
            from,
            to,
            ended,
            worst,
            backfilled: hub.is_backfilled(end.point, to),
            received,
            gathered: received,
        })
    }
}

/// The part that a point names at the moment.
fn part_id(hub: &Hub, point: PointIndex) -> Option<Arc<str>> {
    let newest = hub.values().observation(point).filter(|newest| !newest.status.is_bad())?;
    match newest.value {
        Value::Empty => None,
        Value::Text(part) => Some(part),
        number => Some(number.to_string().into()),
    }
}

/// The numbers of a point's newest value, which must be so many, and its status.
fn elements_of(
    hub: &Hub,
    point: PointIndex,
    elements: usize,
    numbers: &mut Vec<f64>,
) -> Result<Status, Readiness> {
    let path = || hub.plant().path(point);
    let Some(newest) = hub.values().observation(point) else {
        return Err(Readiness::Waiting(format!("{} was not observed yet", path())));
    };
    numbers.clear();
    match &newest.value {
        Value::Floats(profile) if profile.len() == elements => numbers.extend_from_slice(profile),
        Value::Bytes(bytes) if bytes.len() == elements => {
            numbers.extend(bytes.iter().map(|byte| f64::from(*byte)));
        }
        // An observation without a value says itself why it has none.
        _ if newest.status.is_bad() => {
            return Err(Readiness::Unfit(
                newest.status,
                format!("{} is {}", path(), newest.status),
            ));
        }
        value => {
            let has = match value {
                Value::Floats(profile) => profile.len(),
                Value::Bytes(bytes) => bytes.len(),
                _ => 0,
            };
            let reason = format!("{} has {has} elements, the model takes {elements}", path());
            return Err(Readiness::Unfit(Status::BAD_TYPE_MISMATCH, reason));
        }
    }
    Ok(newest.status)
}

/// The window of a package; a package without one sees the last value.
pub fn window_of(manifest: &Manifest) -> WindowSpec {
    manifest.window.unwrap_or(WindowSpec { samples: 1, period_ms: None })
}
