//! The hub itself: takes what sources say, keeps last values and rings, marks who is concerned.

mod succession;

use std::sync::Arc;

use resonance_plant::{
    Block, Interpolation, LastValues, Plant, PointIndex, Status, Timestamp, Value, ValueKind,
};

use super::ingest::{BlockReceiver, Gap, Message, SessionState};
use super::ring::Ring;
use crate::deployments::window::Input;
use crate::recording::Recorder;
use crate::status::{Counter, HubStatus, SourceCounters};

pub use succession::{Entry, Renumbering};

/// Messages of one source taken in one turn, so that a busy one does not starve the others.
const MESSAGES_PER_TURN: usize = 64;

/// What the hub counts.
#[derive(Debug, Default)]
pub struct HubCounters {
    /// Times the hub looked around; it does at least a few times a second.
    pub turns: Counter,
    /// Observations taken.
    pub observations: Counter,
    /// Blocks taken.
    pub blocks: Counter,
    /// Gaps taken.
    pub gaps: Counter,
    /// Points whose source time went back by more than a late observation explains, so that their
    /// past begins anew.
    pub rewinds: Counter,
}

impl HubCounters {
    /// The numbers at this moment.
    pub fn status(&self) -> HubStatus {
        HubStatus {
            observations: self.observations.value(),
            blocks: self.blocks.value(),
            gaps: self.gaps.value(),
            rewinds: self.rewinds.value(),
        }
    }
}

/// One source's way into the hub.
#[derive(Debug)]
pub struct Inlet {
    receiver: BlockReceiver,
    points: Arc<[PointIndex]>,
    /// Where the source numbers its points as an earlier plan did: by its number, the point.
    renumbered: Option<Arc<[PointIndex]>>,
    session: SessionState,
    /// What was marked when the machine was lost: point, status before, version of the slot.
    marked: Vec<(PointIndex, Status, u32)>,
    /// Where the measured offset of the machine's clock is; `None` where observations carry the
    /// time of receipt.
    offset: Option<Arc<SourceCounters>>,
    /// Its source is about to stop, and its machine is lost once it has.
    is_leaving: bool,
    /// The newest source time that was read from a history after an outage.
    backfilled_until: Timestamp,
}

impl Inlet {
    /// The way in of a source with these points. It counts as lost until it says otherwise.
    pub fn new(
        receiver: BlockReceiver,
        points: Arc<[PointIndex]>,
        offset: Option<Arc<SourceCounters>>,
    ) -> Self {
        let marked = Vec::with_capacity(points.len());
        let session = SessionState::Lost;
        Self {
            receiver,
            points,
            renumbered: None,
            session,
            marked,
            offset,
            is_leaving: false,
            backfilled_until: Timestamp::from_nanos(i64::MIN),
        }
    }

    /// Whether the source stopped, all that it sent was taken, and its machine still counts as there.
    fn has_left(&self) -> bool {
        self.is_leaving && self.session != SessionState::Lost && self.receiver.is_over()
    }

    /// The point that the source means.
    #[inline]
    fn point(&self, number: PointIndex) -> PointIndex {
        match &self.renumbered {
            None => number,
            // A number that no plan gave is no point.
            Some(points) => points.get(number.0 as usize).copied().unwrap_or(PointIndex(NONE)),
        }
    }
}

/// Who needs what: for every point its ring's size and the deployments that listen to it.
#[derive(Clone, Debug, Default)]
pub struct Interest {
    /// (point, deployment): an observation of the point concerns the deployment.
    pub inputs: Vec<(PointIndex, usize)>,
    /// (point, deployment): a change of the point's value is an event to the deployment.
    pub events: Vec<(PointIndex, usize)>,
    /// (point, deployment): a change of the point's value may open or shut the deployment's gate.
    pub gates: Vec<(PointIndex, usize)>,
    /// (result, input): the result's source times are on the clock of the input's machine.
    pub clocks: Vec<(PointIndex, PointIndex)>,
    /// (point, samples): the point's past is kept, at least this many samples.
    pub rings: Vec<(PointIndex, usize)>,
}

/// Last values, rings and marks. Owned by one thread.
#[derive(Debug)]
pub struct Hub {
    plant: Arc<Plant>,
    values: Arc<LastValues>,
    counters: Arc<HubCounters>,
    inlets: Vec<Inlet>,
    /// For every point: its inlet, or [`NONE`].
    inlet_of: Vec<u32>,
    /// For every point: the inlet whose machine's clock its source times are on, or [`NONE`].
    clock_of: Vec<u32>,
    rings: Vec<Ring>,
    /// For every point: its ring, or [`NONE`].
    ring_of: Vec<u32>,
    listeners: Listeners,
    watchers: Listeners,
    gated: Listeners,
    /// For every point: the turn in which its listeners were last marked.
    marked: Vec<u32>,
    turn: u32,
    concerned: Marks,
    evented: Marks,
    alerted: Marks,
    recorder: Option<Recorder>,
}

const NONE: u32 = u32::MAX;

/// Deployments of each point, compressed: those of point p are `of[start[p]..start[p + 1]]`.
#[derive(Debug)]
struct Listeners {
    start: Vec<u32>,
    of: Vec<u32>,
}

/// A set of deployments that is cheap to add to and to drain.
#[derive(Debug, Default)]
struct Marks {
    is_in: Vec<bool>,
    list: Vec<usize>,
}

impl Hub {
    /// A hub for a plant, writing into `values`.
    pub fn new(
        plant: Arc<Plant>,
        values: Arc<LastValues>,
        inlets: Vec<Inlet>,
        interest: &Interest,
        deployments: usize,
        counters: Arc<HubCounters>,
    ) -> Self {
        let count = plant.points.len();
        let mut inlet_of = vec![NONE; count];
        for (at, inlet) in inlets.iter().enumerate() {
            for point in inlet.points.iter() {
                if let Some(slot) = inlet_of.get_mut(point.0 as usize) {
                    *slot = at as u32;
                }
            }
        }
        let clock_of = clocks(inlet_of.clone(), &interest.clocks);
        let mut samples = vec![0_usize; count];
        for (point, wanted) in &interest.rings {
            if let Some(most) = samples.get_mut(point.0 as usize) {
                *most = (*most).max(*wanted);
            }
        }
        let mut rings = Vec::new();
        let ring_of = samples
            .into_iter()
            .map(|wanted| {
                if wanted == 0 {
                    return NONE;
                }
                rings.push(Ring::new(wanted));
                rings.len() as u32 - 1
            })
            .collect();
        Self {
            plant,
            values,
            counters,
            inlets,
            inlet_of,
            clock_of,
            rings,
            ring_of,
            listeners: Listeners::new(count, &interest.inputs),
            watchers: Listeners::new(count, &interest.events),
            gated: Listeners::new(count, &interest.gates),
            marked: vec![0; count],
            turn: 1,
            concerned: Marks::new(deployments),
            evented: Marks::new(deployments),
            alerted: Marks::new(deployments),
            recorder: None,
        }
    }

    /// The same hub, which has what machines say kept.
    pub(crate) fn recorded(self, recorder: Option<Recorder>) -> Self {
        Self { recorder, ..self }
    }

    /// Takes what sources sent, within bounds. Returns whether there was anything.
    pub fn take(&mut self) -> bool {
        self.next_turn();
        self.counters.turns.add(1);
        let mut any = false;
        for at in 0..self.inlets.len() {
            for _ in 0..MESSAGES_PER_TURN {
                let Some(message) = self.inlets.get_mut(at).and_then(|i| i.receiver.receive())
                else {
                    break;
                };
                any = true;
                self.take_message(at, message);
            }
            if self.inlets.get(at).is_some_and(Inlet::has_left) {
                self.take_session(at, SessionState::Lost);
            }
        }
        any
    }

    /// Whether nothing waits.
    pub fn is_idle(&self) -> bool {
        self.inlets.iter().all(|inlet| inlet.receiver.is_empty())
    }

    /// Writes one observation that did not come from a source: an output of a deployment.
    pub fn observe(
        &mut self,
        point: PointIndex,
        value: &Value,
        source_time: Timestamp,
        receive_time: Timestamp,
        status: Status,
    ) {
        let (kind, compact) = value.compact();
        self.before_write(point, kind, compact, status);
        self.values.write_value(point, value, source_time, receive_time, status);
        self.after_write(point, kind, compact, source_time, status);
    }

    /// The deployments whose inputs were observed since the last call.
    pub fn concerned(&mut self, mark: impl FnMut(usize)) {
        self.concerned.drain(mark);
    }

    /// The deployments whose event happened since the last call.
    pub fn evented(&mut self, mark: impl FnMut(usize)) {
        self.evented.drain(mark);
    }

    /// The deployments whose gate may have moved, or whose machine was lost or came back, since
    /// the last call.
    pub fn alerted(&mut self, mark: impl FnMut(usize)) {
        self.alerted.drain(mark);
    }

    /// The past of a point that a deployment asked to be kept.
    pub fn input(&self, point: PointIndex) -> Option<Input<'_>> {
        let ring = self.rings.get(*self.ring_of.get(point.0 as usize)? as usize)?;
        let interpolation =
            self.plant.point(point).map_or(Interpolation::Step, |p| p.interpolation);
        Some(Input { ring, interpolation })
    }

    /// Makes more room for a point's past. Returns false at the bound.
    pub fn grow(&mut self, point: PointIndex) -> bool {
        let at = self.ring_of.get(point.0 as usize).copied().unwrap_or(NONE);
        self.rings.get_mut(at as usize).is_some_and(Ring::grow)
    }

    /// Whether the source of a point has its machine. Outputs of deployments always do.
    pub fn is_alive(&self, point: PointIndex) -> bool {
        self.inlet(point).is_none_or(|inlet| inlet.session != SessionState::Lost)
    }

    /// The machine's present, for a point's source: `now` on the machine's clock.
    pub fn present(&self, point: PointIndex, now: Timestamp) -> Timestamp {
        Timestamp::from_nanos(now.nanos().saturating_add(self.offset_ns(point)))
    }

    /// A source time of a point on our clock: the inverse of [`Hub::present`].
    pub fn ours(&self, point: PointIndex, source_time: Timestamp) -> Timestamp {
        Timestamp::from_nanos(source_time.nanos().saturating_sub(self.offset_ns(point)))
    }

    /// Whether what a point's machine observed until then was read from a history, after an outage.
    pub fn is_backfilled(&self, point: PointIndex, until: Timestamp) -> bool {
        let clock = self.clock_of.get(point.0 as usize).copied().unwrap_or(NONE);
        self.inlets.get(clock as usize).is_some_and(|inlet| until <= inlet.backfilled_until)
    }

    /// Marks a result that has turned stale, unless it is bad anyway.
    pub fn expire(&mut self, point: PointIndex) {
        if self.values.slot(point).is_some_and(|slot| !slot.status.is_bad()) {
            self.values.write_status(point, Status::UNCERTAIN_LAST_USABLE_VALUE);
        }
    }

    /// The last values.
    pub fn values(&self) -> &Arc<LastValues> {
        &self.values
    }

    /// The plant.
    pub fn plant(&self) -> &Arc<Plant> {
        &self.plant
    }

    /// The status of a result that has turned stale; its past does not have it.
    pub fn expired(&self, point: PointIndex) -> Option<Status> {
        let status = self.values.slot(point)?.status;
        (status == Status::UNCERTAIN_LAST_USABLE_VALUE).then_some(status)
    }

    fn offset_ns(&self, point: PointIndex) -> i64 {
        let clock = self.clock_of.get(point.0 as usize).copied().unwrap_or(NONE);
        let offset = self.inlets.get(clock as usize).and_then(|inlet| inlet.offset.as_ref());
        offset.map_or(0, |counters| counters.clock_offset_us.value().saturating_mul(1_000))
    }

    fn inlet(&self, point: PointIndex) -> Option<&Inlet> {
        self.inlets.get(*self.inlet_of.get(point.0 as usize)? as usize)
    }

    fn next_turn(&mut self) {
        self.turn = self.turn.wrapping_add(1);
        if self.turn == 0 {
            self.marked.fill(0);
            self.turn = 1;
        }
    }

    fn take_message(&mut self, at: usize, message: Message) {
        match message {
            Message::Block(block) => {
                self.take_block(at, &block);
                let Some(inlet) = self.inlets.get_mut(at) else { return };
                inlet.receiver.give_back(block);
            }
            Message::Gap(gap) => self.take_gap(at, &gap),
            Message::Session(state) => self.take_session(at, state),
        }
    }

    fn take_block(&mut self, at: usize, block: &Block) {
        if block.backfilled
            && let Some(inlet) = self.inlets.get_mut(at)
        {
            let newest = block.source_time.iter().copied().max().map(Timestamp::from_nanos);
            inlet.backfilled_until = inlet.backfilled_until.max(newest.unwrap_or(Timestamp::EPOCH));
        }
        let renumbered = self.inlets.get(at).and_then(|inlet| inlet.renumbered.clone());
        if let Some(recorder) = &self.recorder {
            recorder.observations(block, renumbered.as_deref());
        }
        let rows = block
            .point
            .iter()
            .zip(&block.kind)
            .zip(&block.value)
            .zip(&block.source_time)
            .zip(&block.status);
        for (row, ((((point, kind), value), source_time), status)) in rows.enumerate() {
            let point = match &renumbered {
                None => PointIndex(*point),
                Some(points) => points.get(*point as usize).copied().unwrap_or(PointIndex(NONE)),
            };
            let (kind, source_time) =
                (ValueKind::from_u8(*kind), Timestamp::from_nanos(*source_time));
            let status = Status(*status);
            self.before_write(point, kind, *value, status);
            if kind == ValueKind::Side {
                let exact = block.exact(row);
                self.values.write_value(point, &exact, source_time, block.receive_time, status);
            } else {
                self.values.write(point, kind, *value, source_time, block.receive_time, status);
            }
            self.after_write(point, kind, *value, source_time, status);
        }
        self.counters.observations.add(block.len() as u64);
        self.counters.blocks.add(1);
    }

    /// Marks whom the change of a point's value concerns, before it is written. A gate also shuts
    /// and opens with the status.
    #[inline]
    fn before_write(&mut self, point: PointIndex, kind: ValueKind, value: f64, status: Status) {
        let (watchers, gated) = (self.watchers.of(point), self.gated.of(point));
        if watchers.is_empty() && gated.is_empty() {
            return;
        }
        // A value of the side table counts as changed with every observation.
        let slot = self.values.slot(point).filter(|slot| slot.version > 0);
        let changed = slot.is_none_or(|slot| {
            slot.kind != kind || slot.value.to_bits() != value.to_bits() || kind == ValueKind::Side
        });
        if changed || slot.is_some_and(|slot| slot.status.is_bad() != status.is_bad()) {
            gated.iter().for_each(|deployment| self.alerted.add(*deployment as usize));
        }
        if !changed {
            return;
        }
        // The first value is no change: nothing happened.
        if slot.is_some() {
            watchers.iter().for_each(|deployment| self.evented.add(*deployment as usize));
        }
    }

    /// Keeps the past of a point and marks its listeners, once a turn.
    #[inline]
    fn after_write(
        &mut self,
        point: PointIndex,
        kind: ValueKind,
        value: f64,
        source_time: Timestamp,
        status: Status,
    ) {
        let at = point.0 as usize;
        let Some(ring) = self.ring_of.get(at) else { return };
        if let Some(ring) = self.rings.get_mut(*ring as usize) {
            let numeric = !matches!(kind, ValueKind::Empty | ValueKind::Side);
            let status = if numeric { status } else { status.worst(Status::BAD_NO_DATA) };
            let went_on = ring.push(source_time, value, status);
            self.counters.rewinds.add(u64::from(!went_on));
        }
        if let Some(marked) = self.marked.get_mut(at)
            && *marked != self.turn
        {
            *marked = self.turn;
            for deployment in self.listeners.of(point) {
                self.concerned.add(*deployment as usize);
            }
        }
    }

    fn take_gap(&mut self, at: usize, gap: &Gap) {
        self.counters.gaps.add(1);
        let Some(inlet) = self.inlets.get(at) else { return };
        let points = if gap.points.is_empty() { &inlet.points } else { &gap.points };
        let is_numbered_now = gap.points.is_empty();
        for point in points.iter() {
            let point = if is_numbered_now { *point } else { inlet.point(*point) };
            let ring = self.ring_of.get(point.0 as usize).copied().unwrap_or(NONE);
            if let Some(ring) = self.rings.get_mut(ring as usize) {
                ring.mark_gap(gap.from, gap.to);
            }
        }
    }

    /// A lost machine's values stay, marked as what they are until it goes on or sends others; its
    /// deployments look again.
    fn take_session(&mut self, at: usize, state: SessionState) {
        let Some(inlet) = self.inlets.get_mut(at) else { return };
        inlet.session = state;
        if state == SessionState::Resumed {
            for (point, status, version) in &inlet.marked {
                if self.values.version(*point) == *version {
                    self.values.write_status(*point, *status);
                }
            }
        }
        inlet.marked.clear();
        let points = Arc::clone(&inlet.points);
        for point in points.iter() {
            if state == SessionState::Lost
                && let Some(slot) = self.values.slot(*point)
                && slot.version > 0
                && !slot.status.is_bad()
            {
                let lost = Status::UNCERTAIN_NO_COMMUNICATION_LAST_USABLE_VALUE;
                self.values.write_status(*point, lost);
                inlet.marked.push((*point, slot.status, self.values.version(*point)));
            }
            for deployment in self.listeners.of(*point).iter().chain(self.gated.of(*point)) {
                self.alerted.add(*deployment as usize);
            }
        }
    }
}

/// Gives results the clock of what they were computed from, however many models lie between.
fn clocks(mut clock_of: Vec<u32>, results: &[(PointIndex, PointIndex)]) -> Vec<u32> {
    let mut settled = false;
    while !settled {
        settled = true;
        for (result, input) in results {
            let clock = clock_of.get(input.0 as usize).copied().unwrap_or(NONE);
            if let Some(own) = clock_of.get_mut(result.0 as usize)
                && *own == NONE
                && clock != NONE
            {
                *own = clock;
                settled = false;
            }
        }
    }
    clock_of
}

impl Listeners {
    fn new(points: usize, pairs: &[(PointIndex, usize)]) -> Self {
        let mut sorted: Vec<(u32, u32)> =
            pairs.iter().map(|(point, deployment)| (point.0, *deployment as u32)).collect();
        sorted.sort_unstable();
        sorted.dedup();
        let mut start = vec![0; points + 1];
        for (point, _) in &sorted {
            if let Some(next) = start.get_mut(*point as usize + 1) {
                *next += 1;
            }
        }
        for at in 1..start.len() {
            start[at] += start[at - 1];
        }
        Self { start, of: sorted.into_iter().map(|(_, deployment)| deployment).collect() }
    }

    #[inline]
    fn of(&self, point: PointIndex) -> &[u32] {
        let at = point.0 as usize;
        match (self.start.get(at), self.start.get(at + 1)) {
            (Some(from), Some(to)) => self.of.get(*from as usize..*to as usize).unwrap_or(&[]),
            _ => &[],
        }
    }
}

impl Marks {
    fn new(size: usize) -> Self {
        Self { is_in: vec![false; size], list: Vec::with_capacity(size) }
    }

    #[inline]
    fn add(&mut self, at: usize) {
        if let Some(is_in) = self.is_in.get_mut(at)
            && !*is_in
        {
            *is_in = true;
            self.list.push(at);
        }
    }

    fn drain(&mut self, mut mark: impl FnMut(usize)) {
        for at in self.list.drain(..) {
            if let Some(is_in) = self.is_in.get_mut(at) {
                *is_in = false;
            }
            mark(at);
        }
    }
}
