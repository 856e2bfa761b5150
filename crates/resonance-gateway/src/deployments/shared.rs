//! What a deployment shows to other threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use parking_lot::Mutex;
use resonance_plant::{Clock, Code, Event, EventSink, ModelUsed, PointIndex, Principal, Value};

use super::{Command, CommandRefused, Deployments};
use crate::hub::ingest::Waker;
use crate::latency::Histogram;
use crate::status::{Counter, DeploymentState, DeploymentStatus};

/// A deployment's face: counters, state, and whether someone suspended it.
#[derive(Debug)]
pub struct Face {
    /// The name in the plant file.
    pub id: Arc<str>,
    /// Which asset it is about.
    pub asset: Arc<str>,
    /// The points that carry its results.
    pub outputs: Arc<[PointIndex]>,
    /// The model it asks for first.
    pub model: Arc<ModelUsed>,
    /// Times it was triggered.
    pub triggers: Counter,
    /// Inferences that gave an answer.
    pub inferences: Counter,
    /// Results given.
    pub results: Counter,
    /// Triggers dropped.
    pub overruns: Counter,
    /// Inferences that failed.
    pub failures: Counter,
    /// Inferences over budget.
    pub over_budget: Counter,
    /// From receipt of the trigger to the result.
    pub latency: Histogram,
    /// In the engine.
    pub inference: Histogram,
    state: AtomicU8,
    reason: Mutex<String>,
    suspended: AtomicBool,
    asked: AtomicBool,
}

impl Face {
    /// A deployment that is not active yet.
    pub fn new(
        id: Arc<str>,
        asset: Arc<str>,
        outputs: Arc<[PointIndex]>,
        model: Arc<ModelUsed>,
    ) -> Self {
        Self {
            id,
            asset,
            outputs,
            model,
            triggers: Counter::default(),
            inferences: Counter::default(),
            results: Counter::default(),
            overruns: Counter::default(),
            failures: Counter::default(),
            over_budget: Counter::default(),
            latency: Histogram::default(),
            inference: Histogram::default(),
            state: AtomicU8::new(DeploymentState::Inactive as u8),
            reason: Mutex::default(),
            suspended: AtomicBool::new(false),
            asked: AtomicBool::new(false),
        }
    }

    /// Goes on where the face of the same deployment under an earlier plan is: what was counted,
    /// its state, and whether someone suspended it.
    pub fn go_on_from(&self, before: &Self) {
        let pairs = [
            (&self.triggers, &before.triggers),
            (&self.inferences, &before.inferences),
            (&self.results, &before.results),
            (&self.overruns, &before.overruns),
            (&self.failures, &before.failures),
            (&self.over_budget, &before.over_budget),
        ];
        pairs.into_iter().for_each(|(counter, before)| counter.add(before.value()));
        self.latency.add_all(&before.latency);
        self.inference.add_all(&before.inference);
        // A deployment without a model that serves is Faulted from the start, and stays so.
        if self.state() != DeploymentState::Faulted {
            self.set_state(before.state(), &before.reason.lock());
        }
        self.suspended.store(before.is_suspended(), Ordering::Release);
        self.asked.store(true, Ordering::Release);
    }

    /// What it is doing.
    pub fn state(&self) -> DeploymentState {
        DeploymentState::from_u8(self.state.load(Ordering::Acquire))
    }

    /// Changes the state. Returns the one before if it was another.
    pub fn set_state(&self, state: DeploymentState, reason: &str) -> Option<DeploymentState> {
        let before = DeploymentState::from_u8(self.state.swap(state as u8, Ordering::AcqRel));
        let mut shown = self.reason.lock();
        if *shown != reason {
            reason.clone_into(&mut shown);
        }
        (before != state).then_some(before)
    }

    /// Whether someone suspended it.
    pub fn is_suspended(&self) -> bool {
        self.suspended.load(Ordering::Acquire)
    }

    /// Has the deployment look again at what it may do.
    pub fn ask(&self) {
        self.asked.store(true, Ordering::Release);
    }

    /// Whether a command came, or something changed that it depends on, since the last call.
    pub fn take_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed) && self.asked.swap(false, Ordering::AcqRel)
    }

    fn status(&self) -> DeploymentStatus {
        DeploymentStatus {
            id: Arc::clone(&self.id),
            asset: Arc::clone(&self.asset),
            outputs: Arc::clone(&self.outputs),
            model: Arc::clone(&self.model.name),
            model_version: Arc::clone(&self.model.version),
            trained_on: Arc::clone(&self.model.trained_on),
            state: self.state(),
            reason: self.reason.lock().clone(),
            triggers: self.triggers.value(),
            inferences: self.inferences.value(),
            results: self.results.value(),
            overruns: self.overruns.value(),
            failures: self.failures.value(),
            over_budget: self.over_budget.value(),
            latency: self.latency.summary(),
            inference: self.inference.summary(),
        }
    }
}

/// All deployments' faces, for servers.
#[derive(Debug)]
pub struct Faces {
    faces: Vec<Arc<Face>>,
    waker: Waker,
    clock: Arc<dyn Clock>,
    events: Arc<dyn EventSink>,
}

impl Faces {
    /// The faces of deployments whose thread `waker` wakes.
    pub fn new(
        faces: Vec<Arc<Face>>,
        waker: Waker,
        clock: Arc<dyn Clock>,
        events: Arc<dyn EventSink>,
    ) -> Self {
        Self { faces, waker, clock, events }
    }
}

impl Deployments for Faces {
    fn status(&self) -> Vec<DeploymentStatus> {
        self.faces.iter().map(|face| face.status()).collect()
    }

    fn command(
        &self,
        deployment: &str,
        command: Command,
        principal: Principal,
    ) -> Result<(), CommandRefused> {
        let face = self
            .faces
            .iter()
            .find(|face| *face.id == *deployment)
            .ok_or_else(|| CommandRefused::Unknown(deployment.into()))?;
        let suspend = command == Command::Suspend;
        if face.suspended.swap(suspend, Ordering::AcqRel) == suspend {
            let state = if suspend { "suspended already" } else { "not suspended" };
            return Err(CommandRefused::State(state.into()));
        }
        face.ask();
        self.waker.wake();
        let (verb, subject) = match command {
            Command::Suspend => ("suspended", format!("deployment/{deployment}")),
            Command::Resume => ("resumed", format!("deployment/{deployment}")),
        };
        let message = format!("{} {verb} deployment {deployment:?}", principal.name);
        let event = Event::new(self.clock.now(), Code::ControlCommand, &subject, message);
        self.events.record(event.by(principal).with("command", Value::Text(verb.into())));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use resonance_plant::{ManualClock, Role};

    use super::*;
    use crate::events::EventLog;

    #[test]
    fn commands_change_the_face_and_leave_an_event_with_a_name() {
        let model = Arc::new(ModelUsed {
            name: "wear".into(),
            version: "1".into(),
            digest: "sha256:0".into(),
            engine: "none".into(),
            trained_on: "simulated".into(),
            fallback: None,
        });
        let face = Arc::new(Face::new("wear".into(), "mill".into(), Arc::from([]), model));
        let events = Arc::new(EventLog::in_memory());
        let clock = Arc::new(ManualClock::default());
        let faces =
            Faces::new(vec![Arc::clone(&face)], Waker::default(), clock, Arc::clone(&events) as _);
        let anna = Principal { name: "anna".into(), role: Role::Operate };
        assert_eq!(faces.command("wear", Command::Suspend, anna.clone()), Ok(()));
        assert!(face.is_suspended() && face.take_asked() && !face.take_asked());
        let again = faces.command("wear", Command::Suspend, anna.clone());
        assert_eq!(again, Err(CommandRefused::State("suspended already".into())));
        let unknown = faces.command("worn", Command::Resume, anna.clone());
        assert_eq!(unknown, Err(CommandRefused::Unknown("worn".into())));
        let recorded = events.recent(10);
        assert_eq!((recorded.len(), &recorded[0].principal), (1, &anna));
    }
}
