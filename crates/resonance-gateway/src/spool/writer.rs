//! The thread that writes, and the bounded queue in front of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use resonance_plant::{Code, Event, ResultRecord, Severity, Value};
use tokio::sync::oneshot;

use super::error::{self, SpoolError};
use super::losses::{Losses, Reason};
use super::refused::REFUSED_MAX;
use super::shared::{Place, Shared};
use super::store::{self, Row, Store};
use crate::plan::{DropPolicy, SpoolPlan};
use crate::traces;

/// Results that may wait for the disk.
pub const QUEUE_MAX: usize = 16_384;
/// Results in one transaction.
const BATCH_MAX: usize = 2_048;
/// Bytes of payload in one transaction, about.
const BATCH_BYTES_MAX: usize = 4 << 20;
/// Fewer than this in a batch, and the thread waits once for more: a transaction costs as much as
/// writing a dozen results.
const BATCH_MIN: usize = 64;
/// How long it waits.
const LINGER: Duration = Duration::from_millis(1);
/// How often acknowledged results are deleted and places kept.
const HOUSEKEEPING: Duration = Duration::from_millis(250);
/// How long a disk that failed is left alone.
const RETRY: Duration = Duration::from_secs(1);
/// How long sinks wait for their places.
const ARRANGE_MAX: Duration = Duration::from_secs(10);

/// The deployments' end of the spool: never blocks.
#[derive(Clone, Debug)]
pub struct SpoolWriter {
    queue: SyncSender<Message>,
    shared: Arc<Shared>,
}

impl SpoolWriter {
    /// Hands a result to the writer's thread. Where its queue is full the result is dropped,
    /// counted and reported.
    pub fn offer(&self, record: Arc<ResultRecord>) {
        if self.queue.try_send(Message::Result(record)).is_err() {
            self.shared.unqueued.add(1);
        }
    }

    /// Has the worker keep places for exactly these sinks.
    pub(super) async fn arrange(&self, sinks: Vec<Arc<str>>) -> Result<(), SpoolError> {
        let (done, arranged) = oneshot::channel();
        let path = &self.shared.path;
        // A queue that has no more room, or a worker that ended or that the disk holds up.
        let busy = || SpoolError::Busy(path.clone());
        let arrangement = Message::Sinks(Box::new(Arrangement { sinks, done }));
        self.queue.try_send(arrangement).map_err(|_| busy())?;
        let arranged = tokio::time::timeout(ARRANGE_MAX, arranged).await;
        arranged.map_err(|_| busy())?.map_err(|_| busy())?.map_err(|source| error::of(path, source))
    }

    /// Tells the worker to write what is queued and end.
    pub(super) fn end(&self, worker: &JoinHandle<()>) {
        self.shared.closing.store(true, Ordering::Release);
        // A full queue wakes it as well.
        let _ = self.queue.try_send(Message::Wake);
        worker.thread().unpark();
    }
}

/// Sinks, and who waits for their places.
#[derive(Debug)]
struct Arrangement {
    sinks: Vec<Arc<str>>,
    done: oneshot::Sender<rusqlite::Result<()>>,
}

#[derive(Debug)]
enum Message {
    Result(Arc<ResultRecord>),
    /// From now on there are exactly these sinks.
    Sinks(Box<Arrangement>),
    Wake,
}

/// The writing thread.
#[derive(Debug)]
pub(super) struct Worker {
    store: Store,
    shared: Arc<Shared>,
    queue: Receiver<Message>,
    bytes_max: u64,
    drop: DropPolicy,
    pending: Vec<Row>,
    losses: Losses,
    /// Of `Shared::unqueued`, what was passed on to the sinks' counters.
    unqueued_seen: u64,
    /// For every sink: the acknowledged sequence that is in the file.
    kept_places: Vec<u64>,
    /// As of the last count of refused results; `None`: they have to be counted.
    counted: Option<i64>,
    /// For every [`Part`]: whether its last attempt failed, so that it is told once.
    failing: [bool; 2],
}

/// What the worker does to the file.
#[derive(Clone, Copy, Debug)]
enum Part {
    Results,
    Housekeeping,
}

impl Worker {
    pub(super) fn start(
        store: Store,
        plan: &SpoolPlan,
        shared: Arc<Shared>,
    ) -> Result<(SpoolWriter, JoinHandle<()>), SpoolError> {
        let (sender, queue) = sync_channel(QUEUE_MAX);
        let sinks = shared.sinks();
        let places = sinks.iter().map(|sink| sink.acknowledged.load(Ordering::Acquire));
        let worker = Self {
            store,
            queue,
            bytes_max: plan.bytes_max,
            drop: plan.drop,
            pending: Vec::new(),
            losses: Losses::new(sinks.iter().map(|sink| Arc::clone(&sink.id))),
            unqueued_seen: 0,
            kept_places: places.collect(),
            counted: None,
            failing: [false; 2],
            shared: Arc::clone(&shared),
        };
        let handle = std::thread::Builder::new()
            .name("spool".into())
            .spawn(move || worker.run())
            .map_err(SpoolError::Thread)?;
        Ok((SpoolWriter { queue: sender, shared }, handle))
    }

    fn run(mut self) {
        let mut housekeeping = Instant::now() + HOUSEKEEPING;
        loop {
            let ended = self.take(housekeeping.saturating_duration_since(Instant::now()));
            self.write();
            let closing = self.shared.closing() || ended;
            if closing || Instant::now() >= housekeeping {
                self.try_to_keep_house();
                housekeeping = Instant::now() + HOUSEKEEPING;
            }
            self.publish(closing);
            if closing && self.drained() {
                return;
            }
        }
    }

    /// Takes a batch from the queue. True where nobody can offer any more.
    fn take(&mut self, wait: Duration) -> bool {
        let first = match self.queue.recv_timeout(wait) {
            Ok(first) => first,
            Err(RecvTimeoutError::Timeout) => return false,
            Err(RecvTimeoutError::Disconnected) => return true,
        };
        let mut bytes = self.take_message(first);
        self.take_queued(&mut bytes);
        if self.pending.len() < BATCH_MIN && !self.shared.closing() {
            // The end of the spool unparks this.
            std::thread::park_timeout(LINGER);
            self.take_queued(&mut bytes);
        }
        false
    }

    /// Takes what is in the queue, as far as the batch has room.
    fn take_queued(&mut self, bytes: &mut usize) {
        while self.pending.len() < BATCH_MAX
            && *bytes < BATCH_BYTES_MAX
            && let Ok(message) = self.queue.try_recv()
        {
            *bytes += self.take_message(message);
        }
    }

    /// Returns the bytes of payload it brought.
    fn take_message(&mut self, message: Message) -> usize {
        match message {
            Message::Result(record) => self.encode(record),
            Message::Sinks(arrangement) => {
                self.arrange_for(*arrangement);
                0
            }
            Message::Wake => 0,
        }
    }

    /// Keeps places for exactly these sinks, if whoever asked still waits when it is done.
    fn arrange_for(&mut self, arrangement: Arrangement) {
        let Arrangement { sinks: ids, done } = arrangement;
        if done.is_closed() {
            return;
        }
        let sinks = self.shared.sinks();
        let before: Vec<_> = sinks.iter().map(|sink| Arc::clone(&sink.id)).collect();
        let arranged = self.arrange(&ids);
        if done.send(arranged).is_err()
            && let Err(error) = self.arrange(&before)
        {
            self.failed(Part::Housekeeping, &error);
        }
    }

    /// Keeps places for exactly these sinks: a new one starts at the present, one that is no more
    /// is forgotten and holds nothing back.
    fn arrange(&mut self, ids: &[Arc<str>]) -> rusqlite::Result<()> {
        if !self.pending.is_empty() {
            self.append()?;
        }
        self.keep_house()?;
        let acknowledged = self.store.place(ids)?;
        let before = self.shared.sinks();
        let place = |(id, acknowledged): (&Arc<str>, &u64)| {
            let known = before.iter().find(|place| place.id == *id).map(Arc::clone);
            known.unwrap_or_else(|| Place::new(id, *acknowledged, self.store.first))
        };
        *self.shared.sinks.write() = ids.iter().zip(&acknowledged).map(place).collect();
        self.losses = Losses::new(ids.iter().cloned());
        (self.kept_places, self.counted) = (acknowledged, None);
        Ok(())
    }

    /// Nothing is left to write: closing may end.
    fn drained(&mut self) -> bool {
        match self.queue.try_recv() {
            Ok(message) => {
                self.take_message(message);
                false
            }
            Err(_) => self.pending.is_empty(),
        }
    }

    /// Makes a row; returns the size of its payload.
    fn encode(&mut self, record: Arc<ResultRecord>) -> usize {
        let payload = serde_json::to_vec(&*record).unwrap_or_else(|error| {
            // Cannot happen: a record has no map with keys other than strings. If it ever does,
            // the sinks deliver the reason in its place, and nothing is lost silently.
            serde_json::json!({"id": record.id, "error": error.to_string()}).to_string().into()
        });
        let bytes = payload.len();
        self.pending.push(Row { record, payload });
        bytes
    }

    /// Writes the batch; stays here, trying again, while the disk does not take it.
    fn write(&mut self) {
        while !self.pending.is_empty() {
            match self.append() {
                Ok(()) => self.recovered(Part::Results),
                Err(error) => {
                    self.failed(Part::Results, &error);
                    if self.shared.closing() {
                        let lost = std::mem::take(&mut self.pending).len() as u64;
                        self.lose_new(Reason::Queue, lost);
                        return;
                    }
                    // What sinks acknowledged meanwhile makes room within the file.
                    self.try_to_keep_house();
                    self.publish(false);
                    std::thread::park_timeout(RETRY);
                }
            }
        }
    }

    fn append(&mut self) -> rusqlite::Result<()> {
        if self.shared.sinks().is_empty() {
            self.store.note(&self.pending)?;
            self.pending.clear();
            return Ok(());
        }
        let incoming: u64 = self.pending.iter().map(Row::bytes).sum();
        if self.store.bytes + incoming > self.bytes_max {
            // What everybody has acknowledged must not push anything out.
            self.keep_house()?;
        }
        let first = self.store.first;
        let now = self.shared.clock.now();
        let done = self.store.append(&self.pending, now, self.bytes_max, self.drop)?;
        if done.refused == 0 {
            self.trace();
        }
        self.pending.clear();
        if let Some(to) = done.deleted_to {
            self.lose_to(Reason::Bytes, first, to);
        }
        self.lose_new(Reason::Bytes, done.refused);
        self.publish(false);
        // Last: who sees the count sees the results.
        self.shared.written.add(done.written);
        Ok(())
    }

    /// Tells of what was written, which is all that waited.
    fn trace(&self) {
        let Some(tracer) = self.shared.tracer.get() else { return };
        let rows = self.pending.iter();
        let mut traced = rows.filter(|row| tracer.samples(&row.record.id)).peekable();
        if traced.peek().is_some() {
            let now = self.shared.clock.now();
            tracer.take(traced.map(|row| traces::of_spool(&row.record, now)));
        }
    }

    fn try_to_keep_house(&mut self) {
        match self.keep_house() {
            Ok(()) => self.recovered(Part::Housekeeping),
            Err(error) => self.failed(Part::Housekeeping, &error),
        }
    }

    /// Keeps the sinks' places and deletes what nobody needs any more, or what is too old.
    fn keep_house(&mut self) -> rusqlite::Result<()> {
        if self.shared.damaged.swap(false, Ordering::AcqRel) {
            return Err(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
                Some("a reader met damage".into()),
            ));
        }
        let sinks = self.shared.sinks();
        let places: Vec<u64> =
            sinks.iter().map(|sink| sink.acknowledged.load(Ordering::Acquire)).collect();
        // After the places were read: what was set aside before they moved is seen here.
        let set_aside = std::mem::take(&mut *self.shared.set_aside.lock());
        if places != self.kept_places || !set_aside.is_empty() {
            let moved = sinks.iter().map(|sink| &*sink.id).zip(places.iter().copied());
            match self.store.keep_places(moved, &set_aside, self.shared.clock.now()) {
                Ok(lost) => self.tell_forgotten(lost),
                Err(error) => {
                    self.shared.set_aside.lock().splice(0..0, set_aside);
                    return Err(error);
                }
            }
            self.kept_places.clone_from(&places);
            self.counted = self.counted.filter(|_| set_aside.is_empty());
        }
        self.keep_dead_letters()?;
        if let Some(everybody) = places.iter().min() {
            self.store.delete_to(*everybody)?;
        }
        self.drop_aged()
    }

    /// Sends again what somebody marked to be sent again, and counts what is refused.
    fn keep_dead_letters(&mut self) -> rusqlite::Result<()> {
        let changes = self.store.foreign_changes()?;
        if self.counted == Some(changes) {
            return Ok(());
        }
        let now = self.shared.clock.now();
        for sink in &*self.shared.sinks() {
            // What found no room stays marked for the next time.
            self.store.put_back(&sink.id, now, self.bytes_max)?;
            let refused = self.store.refused(&sink.id)?;
            if let Some(counters) = sink.counters.get() {
                counters.refused.set(store::signed(refused));
            }
        }
        // A sink that does not run yet has nothing to count with.
        let all_run = self.shared.sinks().iter().all(|sink| sink.counters.get().is_some());
        let marked = self.store.is_marked()?;
        self.counted = (all_run && !marked).then_some(changes);
        Ok(())
    }

    fn tell_forgotten(&self, lost: u64) {
        if lost == 0 {
            return;
        }
        self.shared.dropped.add(lost);
        let message = format!(
            "{lost} refused results were dropped: at most {REFUSED_MAX} are kept for a sink; \
             `resonance dead-letters` shows, replays and drops them"
        );
        let now = self.shared.clock.now();
        let event = Event::new(now, Code::ResultDropped, "spool", message);
        self.shared.events.record(event.with("count", Value::Uint(lost)));
    }

    fn drop_aged(&mut self) -> rusqlite::Result<()> {
        let limit = self.shared.clock.now().minus(self.shared.age_max);
        while self.store.first < self.store.next
            && let Some(to) = self.store.older_than(limit)?
        {
            let first = self.store.first;
            self.store.delete_to(to)?;
            self.lose_to(Reason::Age, first, to);
        }
        Ok(())
    }

    /// Results from `first` to `to` are gone from the file: counts them for every sink that had
    /// not read them. What a sink has read is in its hands; if it has to read it again,
    /// the cursor counts it.
    fn lose_to(&mut self, reason: Reason, first: u64, to: u64) {
        let had = |sink: &Place| {
            let taken = sink.taken.load(Ordering::Acquire);
            taken.max(sink.acknowledged.load(Ordering::Acquire)).max(first - 1)
        };
        let lost: Vec<u64> =
            self.shared.sinks().iter().map(|sink| to.saturating_sub(had(sink))).collect();
        let results = lost.iter().copied().max().unwrap_or(0);
        self.shared.dropped.add(results);
        self.lose(reason, results, &lost);
    }

    /// New results never came into the file: no sink has had them.
    fn lose_new(&mut self, reason: Reason, results: u64) {
        self.shared.dropped.add(results);
        let lost = vec![results; self.shared.sinks().len()];
        self.lose(reason, results, &lost);
    }

    fn lose(&mut self, reason: Reason, results: u64, per_sink: &[u64]) {
        if results == 0 {
            return;
        }
        for (sink, lost) in self.shared.sinks().iter().zip(per_sink) {
            if let Some(counters) = sink.counters.get() {
                counters.dropped.add(*lost);
            }
        }
        let now = self.shared.clock.now();
        if self.losses.add(now, reason, results, per_sink.iter().copied()) {
            let policy = match (reason, self.drop) {
                (Reason::Age, _) => "results past their age are dropped",
                (_, DropPolicy::Oldest) => "the oldest results give way",
                (_, DropPolicy::Newest) => "new results are refused",
            };
            let message = format!(
                "the result spool is full ({} of {} bytes, at most {} s old): {policy}",
                self.store.bytes,
                self.bytes_max,
                self.shared.age_max.as_secs()
            );
            let mut event = Event::new(now, Code::SpoolFull, "spool", message)
                .with("bytes", Value::Uint(self.store.bytes))
                .with("dropped", Value::Uint(results));
            for sink in &*self.shared.sinks() {
                let waiting = Value::Uint(self.shared.waiting(sink));
                event = event.with(format!("waiting/{}", sink.id), waiting);
            }
            self.shared.events.record(event);
        }
    }

    /// Makes what was written known: to the sinks that wait for it, to status, to events.
    fn publish(&mut self, at_the_end: bool) {
        let shared = Arc::clone(&self.shared);
        shared.first.store(self.store.first, Ordering::Release);
        shared.bytes.store(self.store.bytes, Ordering::Release);
        shared.last.send_if_modified(|last| {
            std::mem::replace(last, self.store.next - 1) != self.store.next - 1
        });
        let unqueued = shared.unqueued.value();
        let more = unqueued - std::mem::replace(&mut self.unqueued_seen, unqueued);
        self.lose(Reason::Queue, more, &vec![more; shared.sinks().len()]);
        for sink in &*shared.sinks() {
            if let Some(counters) = sink.counters.get() {
                counters.waiting.set(store::signed(shared.waiting(sink)));
            }
        }
        if let Some(event) = self.losses.due(shared.clock.now(), at_the_end) {
            shared.events.record(event);
        }
    }

    /// Reports a disk that begins to fail, and replaces a file that is damaged.
    fn failed(&mut self, part: Part, error: &rusqlite::Error) {
        let shared = Arc::clone(&self.shared);
        let now = shared.clock.now();
        let told = std::mem::replace(&mut self.failing[part as usize], true);
        if error::is_damage(error) {
            match self.replace(error) {
                Ok(event) => shared.events.record(event),
                Err(error) if told => tracing::debug!(%error, "spool"),
                Err(error) => {
                    let event = Event::new(now, Code::SpoolFailed, "spool", error.to_string());
                    shared.events.record(event);
                }
            }
        } else if !told {
            let message = format!(
                "{}: results cannot be written: {error}; they wait in memory, at most {QUEUE_MAX}, \
                 until the disk takes them",
                shared.path.display()
            );
            shared.events.record(Event::new(now, Code::SpoolFailed, "spool", message));
        }
    }

    fn recovered(&mut self, part: Part) {
        if std::mem::take(&mut self.failing[part as usize]) {
            let now = self.shared.clock.now();
            let message = format!("{}: results are written again", self.shared.path.display());
            let mut event = Event::new(now, Code::SpoolFailed, "spool", message);
            event.severity = Severity::Info;
            self.shared.events.record(event);
        }
    }

    /// Moves the damaged file aside and begins a new one where the old one's sequences ended.
    fn replace(&mut self, reason: &rusqlite::Error) -> Result<Event, SpoolError> {
        let path = self.shared.path.clone();
        let sinks: Vec<Arc<str>> =
            self.shared.sinks().iter().map(|sink| Arc::clone(&sink.id)).collect();
        let now = self.shared.clock.now();
        let aside = store::move_aside(&path, now)
            .map_err(|source| SpoolError::Folder { path: path.clone(), source })?;
        let (first, next) = (self.store.first, self.store.next);
        self.store = Store::open(&path, &sinks, next)?.store;
        self.kept_places = vec![self.store.next - 1; sinks.len()];
        self.shared.generation.fetch_add(1, Ordering::AcqRel);
        self.lose_to(Reason::Damage, first, next - 1);
        self.publish(false);
        Ok(store::damaged(&path, &aside, reason, now))
    }
}
