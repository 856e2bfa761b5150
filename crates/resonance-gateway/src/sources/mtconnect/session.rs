//! The run loop: probe, current, sample, and again, for ever.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use resonance_plant::{Code, PointIndex, Status, Timestamp, Value};
use resonance_wire::mtconnect::{
    Conditions, Devices, Header, Limits, Multipart, Reading, Refusal as AgentRefusal, Sequences,
    Streams, WireError,
};
use tokio::time::Instant;

use super::config::MtconnectConfig;
use super::documents::{broken, limits, refusal, target};
use super::http::Agent;
use super::layout::{Layout, Refusal};
use super::sequence::{Counting, Sequence};
use super::values;
use crate::hub::ingest::{BlockSender, Gap, GapReason};
use crate::sources::backoff::{Backoff, STEADY, random};
use crate::sources::contact::{Contact, shifted};
use crate::sources::failure::Failure;
use crate::sources::opcua::config::TimeFrom;
use crate::sources::outlet::{Outlet, Row};
use crate::sources::{Link, Source, SourceError, Stop, told};
use crate::status::Connection;

/// Blocks that must be free before more of the stream is read.
const BLOCKS_FREE: usize = 16;

/// Times in a row that an agent may say, soon after it told its state, that it no longer has what
/// comes next. Then it means something else.
const OVERRUNS_MAX: u32 = 3;

/// A clock that is this much off what was measured before was set, microseconds.
const CLOCK_STEP_US: u64 = 2_000_000;

/// An MTConnect client.
#[derive(Debug)]
pub struct MtconnectSource {
    config: MtconnectConfig,
}

impl MtconnectSource {
    /// A source with this configuration.
    pub fn new(config: MtconnectConfig) -> Self {
        Self { config }
    }
}

impl Source for MtconnectSource {
    fn run(
        self: Box<Self>,
        link: Link,
        mut out: BlockSender,
        mut stop: Stop,
    ) -> Pin<Box<dyn Future<Output = Result<(), SourceError>>>> {
        Box::pin(async move {
            let agent = Agent::new(&self.config).map_err(|(key, problem)| {
                SourceError::Configuration { key: key.into(), problem }
            })?;
            let mut reader = Reader::new(self.config, agent, &link);
            tokio::select! {
                () = told(&mut stop) => {}
                () = reader.run(&mut out) => {}
            }
            link.counters.connection.set(Connection::Stopped);
            Ok(())
        })
    }
}

/// What outlives a connection.
struct Reader {
    config: MtconnectConfig,
    agent: Agent,
    contact: Contact,
    outlet: Outlet,
    sequence: Sequence,
    layout: Layout,
    /// Sets of active conditions, by the place of their point.
    conditions: HashMap<usize, Conditions>,
    backoff: Backoff,
    limits: Limits,
    /// When the last document came that left nothing out, by our clock.
    complete: Option<Timestamp>,
    /// The stream was resumed then, by the agent's clock: what it observed before, nobody heard.
    resumed_at: Option<Timestamp>,
    /// Observations that are missing until the state is read anew, and why.
    missed: Option<(Timestamp, GapReason)>,
}

/// How a stream ended, short of a failure.
enum Ended {
    /// The agent no longer has what comes next, in these words: read its state anew.
    OutOfRange(Failure),
    /// Observations are missing, and with them perhaps what still holds: read its state anew.
    Incomplete,
    /// The agent is another instance: read model and state anew.
    Restarted,
}

impl Reader {
    fn new(config: MtconnectConfig, agent: Agent, link: &Link) -> Self {
        Self {
            contact: Contact::new(link, &config.url),
            outlet: Outlet::new(link, config.time),
            sequence: Sequence::default(),
            layout: Layout::default(),
            conditions: HashMap::new(),
            backoff: Backoff::new(Duration::from_millis(config.backoff_ms_max.max(1).into())),
            limits: limits(&config),
            complete: None,
            resumed_at: None,
            missed: None,
            config,
            agent,
        }
    }

    async fn run(&mut self, out: &mut BlockSender) {
        loop {
            let began = Instant::now();
            let failure = loop {
                if let Err(failure) = self.serve(out).await {
                    break failure;
                }
            };
            if let Some(complete) = self.complete {
                self.contact.incomplete_since(complete);
            }
            let delivered = self.contact.failed(&failure, out).await;
            if delivered && began.elapsed() >= STEADY {
                self.backoff.reset();
            }
            tokio::time::sleep(self.backoff.wait(random())).await;
        }
    }

    /// Reads the model, then the state where the stream cannot just go on, then the stream.
    /// Returns where all must be read anew.
    async fn serve(&mut self, out: &mut BlockSender) -> Result<(), Failure> {
        let began = Instant::now();
        let header = self.probe(out).await?;
        if self.sequence.is_restart(header.instance_id, None) {
            self.restarted();
        }
        let resumed = self.sequence.resume(header.instance_id);
        self.contact.goes_on(resumed.is_some());
        let now = self.outlet.link.clock.now();
        self.resumed_at = resumed.map(|_| shifted(now, self.outlet.clock_offset_us()));
        let mut from = match resumed {
            Some(next) => next,
            None => self.current(out).await?,
        };
        let mut overruns = 0;
        // Between the two requests, another agent may have taken the place of the one that was
        // asked for its model.
        while self.sequence.resume(header.instance_id).is_some() {
            let began = Instant::now();
            let ended = self.sample(from, header.buffer_size, out).await?;
            match ended {
                Ended::Restarted => break,
                Ended::OutOfRange(said) => {
                    overruns = if began.elapsed() < STEADY { overruns + 1 } else { 1 };
                    if overruns > OVERRUNS_MAX {
                        return Err(said);
                    }
                    self.missed(GapReason::Overflow);
                }
                Ended::Incomplete => self.missed(GapReason::SequenceGap),
            }
            self.pause_unless_steady(began).await;
            from = self.current(out).await?;
        }
        self.restarted();
        self.pause_unless_steady(began).await;
        Ok(())
    }

    /// Waits after what lasted for less than a moment, so that nothing is asked for again and again
    /// as fast as the network allows.
    async fn pause_unless_steady(&mut self, began: Instant) {
        if began.elapsed() < STEADY {
            tokio::time::sleep(self.backoff.wait(random())).await;
        } else {
            self.backoff.reset();
        }
    }

    async fn probe(&mut self, out: &mut BlockSender) -> Result<Header, Failure> {
        let target = target(&self.config, "probe");
        let document = self.agent.document(&self.config, &target).await?;
        let model = Devices::parse(&document, self.limits);
        let model = model.map_err(|error| refusal(&self.config, &target, &document, &error))?;
        drop(document);
        let layout = Layout::new(&model, &self.outlet.link.points);
        let now = self.outlet.link.clock.now();
        for (index, refusal) in &layout.refused {
            let (code, status, text) = match refusal {
                Refusal::Unknown(text) => (Code::PointUnknown, Status::BAD_NODE_ID_UNKNOWN, text),
                Refusal::Unfit(text) => {
                    (Code::PointTypeUnsupported, Status::BAD_NOT_SUPPORTED, text)
                }
            };
            self.outlet.tell(code, *index, now, || (text.clone(), Value::Empty));
            self.outlet.without_value(*index, status, now, out).await;
        }
        self.layout = layout;
        Ok(model.header)
    }

    /// Reads the complete state; returns where the stream goes on.
    async fn current(&mut self, out: &mut BlockSender) -> Result<u64, Failure> {
        let target = target(&self.config, "current");
        let document = self.agent.document(&self.config, &target).await?;
        let (header, sequences) = match self.check(&document, |_| {}) {
            Ok(checked) => checked,
            Err(error) => return Err(refusal(&self.config, &target, &document, &error)),
        };
        if let Some(offset_us) = self.clock_offset_us(&header) {
            self.contact.clock_offset(offset_us);
        }
        let now = self.contact.heard(&mut self.outlet, out).await;
        if let Some((from, reason)) = self.missed.take() {
            self.gap(from, now, reason, out);
        }
        self.conditions.values_mut().for_each(Conditions::reset);
        self.rows(&document, &header, None, out)
            .await
            .map_err(|error| broken(&self.config, &target, &error))?;
        self.sequence.begin(header.instance_id, sequences.next);
        self.complete = Some(now);
        Ok(sequences.next)
    }

    /// Reads the stream from there on.
    async fn sample(
        &mut self,
        from: u64,
        buffer_size: u64,
        out: &mut BlockSender,
    ) -> Result<Ended, Failure> {
        // Agents refuse to be asked for as many as they keep.
        let count = u64::from(self.config.count_max).min(buffer_size.saturating_sub(1)).max(1);
        let target = format!(
            "{}?from={from}&count={count}&interval={}&heartbeat={}",
            target(&self.config, "sample"),
            self.config.interval_ms,
            self.config.heartbeat_ms
        );
        let mut answer = self.agent.ask(&self.config, &target).await?;
        let limit = self.limits.document_bytes_max;
        let mut parts = match Multipart::new(answer.content_type(), limit) {
            Ok(parts) => parts,
            Err(error) => {
                // Most often a refusal.
                let document = answer.whole(&self.agent, &target).await?;
                return self.ended(&target, &document, &error);
            }
        };
        let silence = Duration::from_millis(self.config.silence_ms_max.into());
        let mut quiet_since = Instant::now();
        loop {
            if out.available() < BLOCKS_FREE {
                // While the hub is behind nothing is read, so nothing can be expected.
                out.ready(BLOCKS_FREE).await;
                quiet_since = Instant::now();
            }
            let bytes = tokio::time::timeout_at(quiet_since + silence, answer.bytes()).await;
            let bytes = match bytes {
                Err(_) => {
                    let text =
                        format!("{}: no document for {} ms", self.config.url, silence.as_millis());
                    return Err(Failure::Silent(text));
                }
                Ok(Ok(Some(bytes))) => bytes,
                Ok(Ok(None)) => return Err(self.lost("the agent ended the stream")),
                Ok(Err(error)) => return Err(self.lost(&format!("the stream ended: {error}"))),
            };
            parts.push(&bytes).map_err(|error| broken(&self.config, &target, &error))?;
            loop {
                let part =
                    parts.next_part().map_err(|error| broken(&self.config, &target, &error))?;
                let Some(part) = part else { break };
                if let Some(ended) = self.part(&target, part.body, out).await? {
                    return Ok(ended);
                }
                quiet_since = Instant::now();
            }
            if parts.is_ended() {
                return Err(self.lost("the agent ended the stream"));
            }
        }
    }

    /// Takes one document of the stream, whole or not at all.
    async fn part(
        &mut self,
        target: &str,
        document: &[u8],
        out: &mut BlockSender,
    ) -> Result<Option<Ended>, Failure> {
        let mut counting = self.sequence.counting();
        let (header, sequences) = match self.check(document, |number| counting.count(number)) {
            Ok(checked) => checked,
            Err(error) => return self.ended(target, document, &error).map(Some),
        };
        if self.sequence.is_restart(header.instance_id, Some(sequences.next)) {
            return Ok(Some(Ended::Restarted));
        }
        let known_us = self.outlet.clock_offset_us();
        if let Some(offset_us) = self.clock_offset_us(&header)
            && offset_us.abs_diff(known_us) > CLOCK_STEP_US
        {
            self.contact.clock_offset(offset_us);
        }
        let now = self.contact.heard(&mut self.outlet, out).await;
        self.rows(document, &header, Some(counting), out)
            .await
            .map_err(|error| broken(&self.config, target, &error))?;
        self.sequence.begin(header.instance_id, sequences.next);
        let missing = counting.missing(sequences, self.config.device.is_none());
        if missing > 0 {
            self.outlet.link.counters.sequence_gaps.add(missing);
            return Ok(Some(Ended::Incomplete));
        }
        self.complete = Some(now);
        Ok(None)
    }

    /// Reads a document to its end without taking anything from it.
    fn check(
        &self,
        document: &[u8],
        mut seen: impl FnMut(u64),
    ) -> Result<(Header, Sequences), WireError> {
        let mut streams = Streams::open(document, self.limits)?;
        let header = streams.header().clone();
        while let Some(observation) = streams.next_observation()? {
            seen(observation.sequence);
        }
        // The reader of headers refuses documents of observations without them.
        let sequences = header.sequences.unwrap_or(Sequences { first: 1, last: 1, next: 1 });
        Ok((header, sequences))
    }

    /// Hands the observations of a document over: those that are new; without a count, all of what
    /// is then the complete state.
    async fn rows(
        &mut self,
        document: &[u8],
        header: &Header,
        counting: Option<Counting>,
        out: &mut BlockSender,
    ) -> Result<(), WireError> {
        // A state has the activations of a condition in any order; they are one observation.
        let mut conditions_at: BTreeMap<usize, (PointIndex, Row, Timestamp)> = BTreeMap::new();
        let mut streams = Streams::open(document, self.limits)?;
        let received = self.outlet.link.clock.now();
        self.outlet.begin(received);
        while let Some(observation) = streams.next_observation()? {
            if counting.is_some_and(|counting| !counting.is_new(observation.sequence)) {
                continue;
            }
            let before = |moment: Timestamp| observation.time.is_some_and(|time| time < moment);
            let is_past = counting.is_some() && self.resumed_at.is_some_and(before);
            if is_past != self.outlet.is_of_history() {
                self.outlet.of_history(is_past, out);
            }
            let is_complete = counting.is_none() || !observation.reset.is_empty();
            let is_set = counting.is_none() && matches!(observation.reading, Reading::Condition(_));
            for target in self.layout.targets(&observation.data_item_id) {
                let index = target.index;
                let at = match self.config.time {
                    TimeFrom::Receive => received,
                    TimeFrom::Source => self.outlet.plausible(index, observation.time, || None),
                    TimeFrom::Server => self.outlet.plausible(index, header.creation_time, || None),
                };
                let conditions = self.conditions.entry(index).or_default();
                let outlet = &mut self.outlet;
                let row = values::row(target, &observation, is_complete, conditions, outlet);
                let point = self.outlet.link.points.get(index).map(|point| point.point);
                let (Some(row), Some(point)) = (row, point) else { continue };
                if is_set {
                    let latest = conditions_at.get(&index).map_or(at, |(.., other)| at.max(*other));
                    conditions_at.insert(index, (point, row, latest));
                } else {
                    self.outlet.link.counters.backfilled.add(u64::from(is_past));
                    self.outlet.push(point, row, at, out).await;
                }
            }
        }
        for (point, row, at) in conditions_at.into_values() {
            self.outlet.push(point, row, at, out).await;
        }
        self.outlet.of_history(false, out);
        Ok(())
    }

    /// The agent is another instance of itself: what it observed meanwhile is missing.
    fn restarted(&mut self) {
        self.contact.restarted("the agent is another instance; its buffer begins anew");
        self.missed(GapReason::ServerRestart);
    }

    /// What comes next cannot be had: the state must be read anew, and until then observations
    /// are missing.
    fn missed(&mut self, reason: GapReason) {
        self.sequence.forget();
        self.contact.goes_on(false);
        // While there is no contact, an outage is open and will be told.
        if !self.contact.outage_is(reason)
            && let Some(complete) = self.complete
        {
            self.missed = Some((complete, reason));
        }
    }

    /// Tells of missing observations between two moments of our clock.
    fn gap(&mut self, from: Timestamp, to: Timestamp, reason: GapReason, out: &mut BlockSender) {
        let offset_us = self.outlet.clock_offset_us();
        let (from, to) = (shifted(from.min(to), offset_us), shifted(to, offset_us));
        self.outlet.gap(Gap { points: Arc::from([]), from, to, reason }, out);
    }

    /// What a document that holds no observations means for the stream.
    fn ended(&self, target: &str, document: &[u8], error: &WireError) -> Result<Ended, Failure> {
        match AgentRefusal::parse(document, self.limits) {
            Ok(said) if said.has("OUT_OF_RANGE") => {
                Ok(Ended::OutOfRange(refusal(&self.config, target, document, error)))
            }
            _ => Err(refusal(&self.config, target, document, error)),
        }
    }

    fn lost(&self, how: &str) -> Failure {
        Failure::Lost(format!("{}: {how}", self.config.url))
    }

    /// How far the agent's clock is ahead of ours, by a document that just came, microseconds.
    fn clock_offset_us(&self, header: &Header) -> Option<i64> {
        let agent = header.creation_time?;
        let offset_us = agent.since(self.outlet.link.clock.now()) / 1_000;
        // Agents that give whole seconds are half of one behind on average.
        let is_whole = agent.nanos() % 1_000_000_000 == 0;
        Some(if is_whole { offset_us.saturating_add(500_000) } else { offset_us })
    }
}
