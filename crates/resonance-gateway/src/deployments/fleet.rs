//! All deployments, on the hub's thread: who is due, which rows go together, what is published.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use resonance_plant::result::FallbackUsed;
use resonance_plant::{
    Clock, Code, Event, EventSink, ModelUsed, OutputValue, PointIndex, ResultRecord, Status,
    Timestamp, Value,
};

use super::deployment::{Deployment, Readiness};
use super::lane::{Batch, Lane, Ticket};
use super::record::{Facts, record};
use super::trigger::Occasion;
use crate::hub::core::Hub;
use crate::plan::Fallback;
use crate::recording::{Recorder, ServedRow};
use crate::results::Results;
use crate::status::DeploymentState;
use crate::traces::{self, Stages};

/// Consecutive inferences over budget that degrade a deployment.
const SLOW_MAX: u8 = 8;

/// All deployments with the lanes of their models.
#[derive(Debug)]
pub struct Fleet {
    members: Vec<Member>,
    lanes: Vec<Lane>,
    results: Results,
    clock: Arc<dyn Clock>,
    events: Arc<dyn EventSink>,
    recorder: Option<Recorder>,
}

/// A deployment and where its rows go.
#[derive(Debug)]
pub struct Member {
    /// The deployment.
    pub deployment: Deployment,
    /// The lane of its own model: the place in the fleet. `None` where the model was refused.
    pub lane: Option<usize>,
    /// The lane of the model it falls back to.
    pub fallback_lane: Option<usize>,
    /// Its own model failed; the other answers until this moment.
    pub own_lane_out_until: Option<Timestamp>,
    /// When a settling gate asks to look again.
    pub look_at: Option<Timestamp>,
}

impl Fleet {
    /// A fleet of these deployments.
    pub fn new(
        members: Vec<Member>,
        lanes: Vec<Lane>,
        results: Results,
        clock: Arc<dyn Clock>,
        events: Arc<dyn EventSink>,
    ) -> Self {
        Self { members, lanes, results, clock, events, recorder: None }
    }

    /// The same fleet, which has the windows that models see kept.
    pub(crate) fn recorded(self, recorder: Option<Recorder>) -> Self {
        Self { recorder, ..self }
    }

    /// The deployments.
    pub fn deployments(&self) -> impl Iterator<Item = &Deployment> {
        self.members.iter().map(|member| &member.deployment)
    }

    /// Where its results go.
    #[cfg(test)]
    pub(super) fn results(&self) -> &Results {
        &self.results
    }

    /// Goes on where the fleet of an earlier plan is; nothing of it may be under way. What that has
    /// and this has not gives no results any more, and says so. `unchanged`: the deployments that
    /// are as they were. Returns what ended, with the last sequence number of each.
    pub fn go_on_from(
        &mut self,
        mut before: Self,
        hub: &mut Hub,
        unchanged: &HashSet<Arc<str>>,
    ) -> Vec<(Arc<str>, u64)> {
        before.take_marks(hub);
        self.recorder.clone_from(&before.recorder);
        let mut ending: HashMap<_, _> =
            before.deployments().map(|d| &d.face.id).cloned().zip(0..).collect();
        for member in &mut self.members {
            let next = &mut member.deployment;
            let at = ending.remove(&next.face.id);
            if let Some(earlier) = at.and_then(|at: usize| before.members.get(at)) {
                let is_unchanged = unchanged.contains(&next.face.id);
                next.go_on_from(&earlier.deployment, is_unchanged);
            }
        }
        let now = self.clock.now();
        let end = |(id, at)| {
            before.withdraw(at, Status::BAD_OUT_OF_SERVICE, hub, now);
            (id, before.members.get(at).map_or(0, |member| member.deployment.sequence))
        };
        ending.into_iter().map(end).collect()
    }

    /// Takes note of what the hub observed, infers for all that are due, and publishes. Returns
    /// whether anything was done.
    pub fn turn(&mut self, hub: &mut Hub) -> bool {
        self.take_marks(hub);
        let mut any = self.take_answers(hub);
        for at in 0..self.members.len() {
            any |= self.visit(at, hub);
        }
        for lane in 0..self.lanes.len() {
            self.flush(lane, hub);
        }
        any
    }

    /// When something is due even if nothing is observed.
    pub fn next_due(&self) -> Option<Timestamp> {
        let now = self.clock.now();
        let free = |member: &&Member| member.next_lane(now).is_none_or(|lane| !self.is_busy(lane));
        let due = |member: &Member| {
            [member.deployment.due.next(), member.look_at].into_iter().flatten().min()
        };
        let stale = self.members.iter().filter_map(|member| member.deployment.stale_at);
        self.members.iter().filter(free).filter_map(due).chain(stale).min()
    }

    fn is_busy(&self, lane: usize) -> bool {
        self.lanes.get(lane).is_some_and(Lane::is_busy)
    }

    fn take_marks(&mut self, hub: &mut Hub) {
        let members = &mut self.members;
        hub.concerned(|at| {
            if let Some(member) = members.get_mut(at) {
                member.deployment.due.input_observed();
            }
        });
        hub.evented(|at| {
            if let Some(member) = members.get_mut(at) {
                member.deployment.due.event_observed();
            }
        });
        hub.alerted(|at| {
            if let Some(member) = members.get_mut(at) {
                member.deployment.due.look_again();
            }
        });
    }

    /// Publishes what models on threads of their own have answered. Returns whether there was any.
    pub fn take_answers(&mut self, hub: &mut Hub) -> bool {
        let mut any = false;
        for lane in 0..self.lanes.len() {
            while let Some(batch) = self.lanes.get_mut(lane).and_then(Lane::answered) {
                any = true;
                self.finish(lane, batch, hub);
            }
        }
        any
    }

    /// Gathers the row of one deployment if it is due.
    fn visit(&mut self, at: usize, hub: &mut Hub) -> bool {
        let now = self.clock.now();
        let Some(member) = self.members.get_mut(at) else { return false };
        if member.deployment.stale_at.take_if(|stale_at| *stale_at <= now).is_some() {
            member.deployment.slots.points().iter().for_each(|output| hub.expire(*output));
        }
        let is_asked = member.deployment.face.take_asked();
        if is_asked {
            // What its own model could not do before, it perhaps can now.
            member.own_lane_out_until = member.own_lane_out_until.map(|until| until.min(now));
        }
        if is_asked || member.look_at.is_some_and(|moment| moment <= now) {
            member.look_at = None;
            member.deployment.due.look_again();
        }
        let Some(occasion) = member.deployment.due.occasion(now) else { return false };
        let Some(lane) = member.next_lane(now) else {
            // Its model was refused and it has no other: there is nothing to do, ever.
            member.deployment.due.fired(occasion, now);
            return false;
        };
        if self.is_busy(lane) {
            // It stays due; what it would have seen meanwhile is not lost from its window.
            return false;
        }
        if !self.lanes.get(lane).is_some_and(Lane::has_room) {
            self.flush(lane, hub);
        }
        let (Some(member), Some(lane)) = (self.members.get_mut(at), self.lanes.get_mut(lane))
        else {
            return false;
        };
        let deployment = &mut member.deployment;
        deployment.face.triggers.add(u64::from(occasion != Occasion::Asked));
        let readiness = deployment.gather(hub, lane, occasion, now);
        let unused = deployment.due.fired(occasion, now);
        match readiness {
            Readiness::Row(ticket) => {
                lane.finish_row(Ticket { deployment: at, gathered: now, ..ticket });
            }
            other => self.hold(at, other, hub, now),
        }
        self.count_overruns(at, unused);
        true
    }

    /// Counts triggers that passed unused, and tells of them once an episode.
    fn count_overruns(&mut self, at: usize, unused: u64) {
        let Some(member) = self.members.get_mut(at) else { return };
        let deployment = &mut member.deployment;
        deployment.face.overruns.add(unused);
        let begins = unused > 0 && !deployment.overrun;
        deployment.overrun = unused > 0;
        if begins {
            let message = format!("{unused} triggers passed unused, and perhaps more from now on");
            self.record_event(at, Code::DeploymentOverrun, message);
        }
    }

    /// No row: says why, once.
    fn hold(&mut self, at: usize, readiness: Readiness, hub: &mut Hub, now: Timestamp) {
        match readiness {
            Readiness::Row(_) => {}
            Readiness::Standing => self.stand(at),
            Readiness::Suspended => {
                self.set_state(at, DeploymentState::Suspended, "suspended by command");
                self.withdraw(at, Status::BAD_OUT_OF_SERVICE, hub, now);
            }
            Readiness::Gated(look_at) => {
                let reason = if look_at.is_some() {
                    "the machine warms up"
                } else {
                    "the machine does not operate"
                };
                self.set_state(at, DeploymentState::Ready, reason);
                self.withdraw(at, Status::BAD_OUT_OF_SERVICE, hub, now);
                if let Some(member) = self.members.get_mut(at) {
                    member.look_at = look_at;
                }
            }
            Readiness::Waiting(reason) => self.set_state(at, DeploymentState::Ready, &reason),
            Readiness::Unfit(status, reason) => self.fall_back(at, status, &reason, hub, now),
        }
    }

    /// Nothing is in the way any more of a deployment that waits for its own trigger.
    fn stand(&self, at: usize) {
        let Some(member) = self.members.get(at) else { return };
        let answers = member.deployment.told.is_none() && member.deployment.last.is_some();
        if !answers {
            self.set_state(at, DeploymentState::Ready, "waiting for its trigger");
        }
    }

    /// Whether a model's thread has rows under way.
    pub fn is_inferring(&self) -> bool {
        self.lanes.iter().any(Lane::is_busy)
    }

    fn flush(&mut self, lane: usize, hub: &mut Hub) {
        if let Some(batch) = self.lanes.get_mut(lane).and_then(Lane::flush) {
            self.finish(lane, batch, hub);
        }
    }

    /// Publishes the answers of a batch.
    fn finish(&mut self, lane: usize, batch: Batch, hub: &mut Hub) {
        let Some(served) = self.lanes.get(lane).map(|lane| Arc::clone(&lane.served)) else {
            return;
        };
        let now = self.clock.now();
        let rows = batch.tickets.len();
        let ended = self.results.tracer().is_on().then_some(batch.finished).flatten();
        let ended = ended.map(|finished| now.minus(finished.elapsed()));
        let recorder = self.recorder.clone().filter(|_| batch.error.is_none());
        let mut recorded = Vec::with_capacity(if recorder.is_some() { rows } else { 0 });
        for (row, ticket) in batch.tickets.iter().enumerate() {
            if let Some(error) = &batch.error {
                self.inference_failed(ticket.deployment, &error.to_string(), hub, now);
                continue;
            }
            let stages = ended.map(|ended| stages(ticket, &batch, rows, ended));
            let place = (row, rows);
            let record = self.answer(lane, &served.used, ticket, &batch, place, stages, hub, now);
            if recorder.is_some() {
                recorded.push(self.served_row(ticket, record));
            }
        }
        if let Some(recorder) = recorder {
            recorder.windows(&served, &batch.inputs, &batch.outputs, recorded);
        }
        if let Some(lane) = self.lanes.get_mut(lane) {
            lane.reuse(batch);
        }
    }

    fn served_row(&self, ticket: &Ticket, record: Option<Arc<ResultRecord>>) -> ServedRow {
        let Ticket { deployment, from, to, worst, .. } = *ticket;
        let member = self.members.get(deployment);
        let deployment =
            member.map_or_else(|| Arc::from(""), |m| Arc::clone(&m.deployment.face.id));
        ServedRow { deployment, from, to, worst, record }
    }

    /// Publishes the answer of one row. `None` where its deployment was suspended meanwhile.
    #[expect(clippy::too_many_arguments, reason = "the parts of one answer, used here only")]
    fn answer(
        &mut self,
        lane: usize,
        used: &Arc<ModelUsed>,
        ticket: &Ticket,
        batch: &Batch,
        (row, rows): (usize, usize),
        stages: Option<Stages>,
        hub: &mut Hub,
        now: Timestamp,
    ) -> Option<Arc<ResultRecord>> {
        let member = self.members.get_mut(ticket.deployment)?;
        let is_fallback = member.lane != Some(lane);
        if !is_fallback {
            member.own_lane_out_until = None;
        }
        let deployment = &mut member.deployment;
        if deployment.face.is_suspended() {
            return None;
        }
        let model = if is_fallback {
            Arc::new(ModelUsed { fallback: Some(FallbackUsed::FallBackTo), ..(**used).clone() })
        } else {
            Arc::clone(used)
        };
        let outputs = deployment.slots.values(&batch.outputs, row, ticket.worst);
        let status = outputs.iter().fold(ticket.worst, |worst, output| worst.worst(output.status));
        deployment.sequence += 1;
        let facts = Facts {
            part: ticket.part.clone(),
            from: ticket.from,
            to: ticket.to,
            // No measured offset is so good that a window may end after now.
            valid_until: ticket.ended.min(now).plus(deployment.frame.valid_for),
            worst: ticket.worst,
            backfilled: ticket.backfilled,
            received: ticket.received,
            now,
            inference_us: batch.inference_us,
            sequence: deployment.sequence,
        };
        let face = Arc::clone(&deployment.face);
        face.inferences.add(1);
        face.inference.add(batch.inference_us);
        let budget_us = deployment.frame.budget_us;
        let over =
            budget_us > 0 && u64::from(batch.inference_us) > u64::from(budget_us) * rows as u64;
        face.over_budget.add(u64::from(over));
        let slow_before = deployment.slow;
        deployment.slow = if over { (deployment.slow + 1).min(SLOW_MAX) } else { 0 };
        let is_slow = deployment.slow == SLOW_MAX;
        let became_slow = is_slow && slow_before != SLOW_MAX;
        let record = Arc::new(record(
            &deployment.frame,
            &deployment.manifest,
            &model,
            outputs,
            status,
            facts,
        ));
        face.latency.add(record.latency.total_us);
        deployment.last = Some(Arc::clone(&record));
        deployment.told = None;
        let at = ticket.deployment;
        self.publish(at, Arc::clone(&record), stages, hub);
        let (state, reason) = match () {
            () if is_fallback => (DeploymentState::Degraded, "another model answers"),
            () if is_slow => (DeploymentState::Degraded, "inference takes longer than its budget"),
            () if !status.is_good() => (DeploymentState::Degraded, "an input is uncertain"),
            () => (DeploymentState::Active, ""),
        };
        if became_slow {
            let message =
                format!("{} µs for {rows} rows, budget {budget_us} µs a row", batch.inference_us);
            self.record_event(at, Code::DeploymentLatency, message);
        }
        self.set_state(at, state, reason);
        Some(record)
    }

    fn inference_failed(&mut self, at: usize, error: &str, hub: &mut Hub, now: Timestamp) {
        let Some(member) = self.members.get_mut(at) else { return };
        let first = member.deployment.told != Some(Status::BAD_INTERNAL_ERROR);
        member.deployment.face.failures.add(1);
        if let Some(other) = member.fallback_lane
            && member.next_lane(now) != Some(other)
        {
            let until = now.plus(member.deployment.frame.valid_for);
            let begins = member.own_lane_out_until.replace(until).is_none();
            member.deployment.due.look_again();
            // Its own model is tried now and then; that it still fails is no news.
            if begins {
                self.record_event(at, Code::InferenceFailed, error.to_string());
                self.record_event(at, Code::DeploymentFallback, "another model answers".into());
            }
            return;
        }
        if first {
            self.record_event(at, Code::InferenceFailed, error.to_string());
        }
        self.fall_back(at, Status::BAD_INTERNAL_ERROR, error, hub, now);
    }

    /// There is no answer: holds the last one, or says that there is none.
    fn fall_back(
        &mut self,
        at: usize,
        status: Status,
        reason: &str,
        hub: &mut Hub,
        now: Timestamp,
    ) {
        let Some(member) = self.members.get_mut(at) else { return };
        let deployment = &mut member.deployment;
        let first = deployment.told != Some(status);
        let held =
            deployment.last.clone().filter(|_| matches!(deployment.fallback, Fallback::HoldLast));
        let Some(last) = held else {
            self.withdraw(at, status, hub, now);
            self.set_state(at, DeploymentState::Faulted, reason);
            return;
        };
        let held_status = Status::UNCERTAIN_LAST_USABLE_VALUE;
        // The points as they are numbered now; the record may be from an earlier plan.
        let points = deployment.slots.points().iter();
        let held = |(output, point): (&OutputValue, &PointIndex)| OutputValue {
            point: Some(*point),
            status: output.status.worst(held_status),
            ..output.clone()
        };
        let outputs: Vec<OutputValue> = last.outputs.iter().zip(points).map(held).collect();
        let model =
            Arc::new(ModelUsed { fallback: Some(FallbackUsed::HoldLast), ..(*last.model).clone() });
        deployment.sequence += 1;
        let facts = Facts {
            part: last.part_id.clone(),
            from: last.window.from,
            to: last.window.to,
            valid_until: last.valid_until,
            worst: status,
            backfilled: last.backfilled,
            received: now,
            now,
            inference_us: 0,
            sequence: deployment.sequence,
        };
        deployment.told = Some(status);
        let status_held = last.status.worst(held_status);
        let record =
            record(&deployment.frame, &deployment.manifest, &model, outputs, status_held, facts);
        self.publish(at, Arc::new(record), None, hub);
        if first {
            self.record_event(
                at,
                Code::DeploymentFallback,
                format!("the last answer is held: {reason}"),
            );
        }
        self.set_state(at, DeploymentState::Degraded, reason);
    }

    /// Takes every answer back: there will be no others.
    pub fn withdraw_all(&mut self, hub: &mut Hub) {
        let now = self.clock.now();
        for at in 0..self.members.len() {
            self.withdraw(at, Status::BAD_INTERNAL_ERROR, hub, now);
            self.set_state(at, DeploymentState::Faulted, "the hub ended unexpectedly");
        }
    }

    /// Takes the last answer back: one record without values and with a bad status, if the
    /// deployment ever answered and has not said so already.
    fn withdraw(&mut self, at: usize, status: Status, hub: &mut Hub, now: Timestamp) {
        let Some(member) = self.members.get_mut(at) else { return };
        let deployment = &mut member.deployment;
        if deployment.told == Some(status) {
            return;
        }
        deployment.told = Some(status);
        let Some(last) = &deployment.last else {
            let present = deployment.points().next().map_or(now, |point| hub.present(point, now));
            for output in deployment.slots.points() {
                hub.observe(*output, &Value::Empty, present, now, status);
            }
            return;
        };
        deployment.sequence += 1;
        let present = deployment.points().next().map_or(now, |point| hub.present(point, now));
        let facts = Facts {
            part: None,
            from: last.window.to,
            to: present.max(last.window.to),
            valid_until: now.plus(deployment.frame.valid_for),
            worst: status,
            backfilled: false,
            received: now,
            now,
            inference_us: 0,
            sequence: deployment.sequence,
        };
        let model = Arc::clone(&last.model);
        let outputs = deployment.slots.no_values(status);
        let record =
            record(&deployment.frame, &deployment.manifest, &model, outputs, status, facts);
        self.publish(at, Arc::new(record), None, hub);
    }

    /// Passes a record on: to the hub as observations of its points, and to whoever wants results.
    fn publish(
        &mut self,
        at: usize,
        record: Arc<ResultRecord>,
        stages: Option<Stages>,
        hub: &mut Hub,
    ) {
        for output in &record.outputs {
            if let Some(point) = output.point {
                hub.observe(
                    point,
                    &output.value,
                    record.source_time,
                    record.computed_at,
                    output.status,
                );
            }
        }
        if let Some(member) = self.members.get_mut(at) {
            member.deployment.face.results.add(1);
            member.deployment.stale_at = (!record.status.is_bad()).then_some(record.valid_until);
        }
        if self.results.tracer().samples(&record.id) {
            self.results.tracer().take(traces::of_result(&record, stages));
        }
        self.results.publish(record);
    }

    fn set_state(&self, at: usize, state: DeploymentState, reason: &str) {
        let Some(member) = self.members.get(at) else { return };
        let face = &member.deployment.face;
        if let Some(before) = face.set_state(state, reason) {
            let colon = if reason.is_empty() { "" } else { ": " };
            let message = format!("{before:?} → {state:?}{colon}{reason}");
            self.record_event(at, Code::DeploymentState, message);
        }
    }

    fn record_event(&self, at: usize, code: Code, message: String) {
        if let Some(member) = self.members.get(at) {
            let subject = format!("deployment/{}", member.deployment.face.id);
            self.events.record(Event::new(self.clock.now(), code, &subject, message));
        }
    }
}

/// The moments of a row of a batch that the engine ended at `ended`.
fn stages(ticket: &Ticket, batch: &Batch, rows: usize, ended: Timestamp) -> Stages {
    let took = Duration::from_micros(batch.inference_us.into());
    let (observed, received, gathered) = (ticket.ended, ticket.received, ticket.gathered);
    Stages { observed, received, gathered, began: ended.minus(took).max(gathered), ended, rows }
}

impl Member {
    /// A deployment whose rows go to `lane`, or else to `fallback_lane`.
    pub fn new(deployment: Deployment, lane: Option<usize>, fallback_lane: Option<usize>) -> Self {
        Self { deployment, lane, fallback_lane, own_lane_out_until: None, look_at: None }
    }

    /// The lane its next row goes to: its own model's, unless that failed and there is another.
    fn next_lane(&self, now: Timestamp) -> Option<usize> {
        let is_out = self.own_lane_out_until.is_some_and(|until| now < until);
        if is_out { self.fallback_lane.or(self.lane) } else { self.lane.or(self.fallback_lane) }
    }
}
