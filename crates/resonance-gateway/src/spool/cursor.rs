//! A sink's place in the spool.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use resonance_plant::{Code, Event, ResultId, Timestamp, Value};
use rusqlite::{Connection, OpenFlags, params};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::error;
use super::shared::{Place, Shared};
use super::store::{self, SetAside};
use super::when::{Chooser, When};
use crate::traces;

/// Bytes of payload in one batch, about.
const BATCH_BYTES_MAX: usize = 4 << 20;
/// How long a file that cannot be read is left alone.
const RETRY: Duration = Duration::from_secs(1);

/// A result as the spool keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spooled {
    /// Its place in the spool; contiguous, so that a hole is a loss.
    pub sequence: u64,
    /// The result's own name, the same for every delivery.
    pub id: ResultId,
    /// Which deployment gave it.
    pub deployment: String,
    /// Which asset it is about.
    pub asset: String,
    /// The model's name.
    pub model: String,
    /// The model's version.
    pub model_version: String,
    /// Where the model's training data came from.
    pub trained_on: String,
    /// When it came into the spool.
    pub spooled_at: Timestamp,
    /// Whether it was refused once and is sent again because somebody asked for it.
    pub is_replay: bool,
    /// The result, as JSON.
    pub payload: Bytes,
}

/// What a thread that may block hands back: the connection, for the next time, and what it read.
type Reading = (Option<Reader>, rusqlite::Result<Batch>);

/// What was read: results for this sink, and how far was looked for them.
#[derive(Debug)]
struct Batch {
    rows: Vec<Spooled>,
    to: u64,
}

/// A sink's place in the spool: reads ahead, acknowledges behind.
#[derive(Debug)]
pub struct Cursor {
    shared: Arc<Shared>,
    place: Arc<Place>,
    announced: watch::Receiver<u64>,
    reader: Option<Reader>,
    /// A read under way; kept here so that a caller may give up waiting and come back.
    reading: Option<JoinHandle<Reading>>,
    /// The last result that was handed out; what follows it up to the place read to is not for
    /// this sink.
    own_last: u64,
    chooser: Option<Chooser>,
    failing: bool,
    /// Results under way to the sink's system that are traced, in order; as many as a sink has
    /// under way at once.
    traced: Mutex<VecDeque<Traced>>,
}

/// A result under way that is traced.
#[derive(Debug)]
struct Traced {
    sequence: u64,
    id: ResultId,
    /// When it was read first.
    taken: Timestamp,
    /// How often it was read.
    attempts: u32,
    /// Why the sink's system will never take it.
    refused: Option<String>,
}

impl Cursor {
    pub(super) fn new(shared: Arc<Shared>, place: Arc<Place>) -> Self {
        let announced = shared.last.subscribe();
        let mut cursor = Self {
            shared,
            place,
            announced,
            reader: None,
            reading: None,
            own_last: 0,
            chooser: None,
            failing: false,
            traced: Mutex::default(),
        };
        cursor.rewind();
        cursor
    }

    /// The same place, which hands out only these results.
    #[must_use]
    pub fn choosing(mut self, when: Option<&When>) -> Self {
        self.chooser = when.cloned().map(Chooser::new);
        self
    }

    /// The next results in order, at most `max` (at least one), waiting until there are some.
    /// Giving up the wait loses nothing. A file that cannot be read is reported and tried again.
    pub async fn next(&mut self, max: usize) -> Vec<Spooled> {
        loop {
            let after = self.place().taken.load(Ordering::Acquire);
            if self.reading.is_none() {
                // The sender lives in `shared`, so this ends only with something to read.
                let _ = self.announced.wait_for(|last| *last > after).await;
                let (shared, reader) = (Arc::clone(&self.shared), self.reader.take());
                let sink = Arc::clone(&self.place().id);
                let read = move || read(&shared, reader, &sink, after, max.max(1));
                self.reading = Some(tokio::task::spawn_blocking(read));
            }
            let Some(reading) = &mut self.reading else { continue };
            let read = reading.await;
            self.reading = None;
            let Ok((reader, batch)) = read else { continue };
            self.reader = reader;
            match batch {
                Ok(Batch { mut rows, to }) => {
                    self.failing = false;
                    self.choose(&mut rows);
                    // Where results were dropped meanwhile there may be none.
                    let before = self.shared.first.load(Ordering::Acquire).saturating_sub(1);
                    let place = self.place();
                    place.taken.fetch_max(to.max(before), Ordering::AcqRel);
                    if place.acknowledged.load(Ordering::Acquire) >= self.own_last {
                        // Nothing is under way: what is not for this sink holds nothing back.
                        let passed = rows.first().map_or(to, |row| row.sequence - 1);
                        place.acknowledged.fetch_max(passed, Ordering::AcqRel);
                    }
                    self.trace(&rows);
                    if let Some(last) = rows.last() {
                        self.own_last = last.sequence;
                        return rows;
                    }
                }
                Err(error) => self.unreadable(&error).await,
            }
        }
    }

    /// The sink's system has everything up to and including this sequence. What was never read
    /// cannot be acknowledged.
    pub fn acknowledge(&self, sequence: u64) {
        let place = self.place();
        let taken = place.taken.load(Ordering::Acquire);
        // After the last of its own, what was read is not for this sink.
        let done = if sequence >= self.own_last { taken } else { sequence.min(taken) };
        place.acknowledged.fetch_max(done, Ordering::AcqRel);
        self.tell_delivered(sequence);
    }

    /// The sink's system will never take this result: it becomes a dead letter, of which the
    /// file keeps the last [`REFUSED_MAX`](super::REFUSED_MAX), once this and everything before
    /// was acknowledged.
    pub fn set_aside(&self, sequence: u64, reason: &str) {
        let sink = Arc::clone(&self.place().id);
        let reason = reason.to_owned();
        if let Some(traced) = self.traced.lock().iter_mut().find(|one| one.sequence == sequence) {
            traced.refused = Some(reason.clone());
        }
        self.shared.set_aside.lock().push(SetAside { sink, sequence, reason });
    }

    /// Goes back to what was acknowledged last: what follows is read again. Results that were
    /// dropped meanwhile are lost to this sink, and counted.
    pub fn rewind(&mut self) {
        self.reading = None;
        self.own_last = 0;
        let place = self.place();
        let acknowledged = place.acknowledged.load(Ordering::Acquire);
        let taken = place.taken.swap(acknowledged, Ordering::AcqRel);
        let before = self.shared.first.load(Ordering::Acquire).saturating_sub(1);
        // What was read and not acknowledged, and is not in the file any more.
        let lost = taken.min(before).saturating_sub(acknowledged);
        if acknowledged < before {
            place.taken.fetch_max(before, Ordering::AcqRel);
        }
        if lost > 0 {
            self.traced.lock().retain(|one| one.sequence > before);
            if let Some(counters) = place.counters.get() {
                counters.dropped.add(lost);
            }
            let subject = format!("sink/{}", place.id);
            let message = format!("{lost} results were dropped while they were under way");
            let event = Event::new(self.shared.clock.now(), Code::ResultDropped, &subject, message);
            self.shared.events.record(event.with("count", Value::Uint(lost)));
        }
    }

    /// What goes with a result that is traced, for its system to go on with the trace.
    pub fn trace_context(&self, result: &ResultId) -> Option<String> {
        let is_traced = self.shared.tracer.get().is_some_and(|tracer| tracer.samples(result));
        is_traced.then(|| traces::context_of_delivery(result, &self.place().id))
    }

    /// The longest a result is kept.
    pub fn age_max(&self) -> Duration {
        self.shared.age_max
    }

    /// Takes note of results that are traced. One that was read before is under way since then.
    fn trace(&mut self, rows: &[Spooled]) {
        let Some(tracer) = self.shared.tracer.get() else { return };
        let taken = self.shared.clock.now();
        let traced = self.traced.get_mut();
        for row in rows.iter().filter(|row| tracer.samples(&row.id)) {
            match traced.iter_mut().find(|one| one.sequence == row.sequence) {
                Some(again) => again.attempts = again.attempts.saturating_add(1),
                None => traced.push_back(Traced {
                    sequence: row.sequence,
                    id: row.id,
                    taken,
                    attempts: 1,
                    refused: None,
                }),
            }
        }
    }

    /// Tells of the traced results up to this one that the sink is done with.
    fn tell_delivered(&self, sequence: u64) {
        let Some(tracer) = self.shared.tracer.get() else { return };
        let mut traced = self.traced.lock();
        let done = traced.iter().take_while(|one| one.sequence <= sequence).count();
        if done > 0 {
            let (now, sink) = (self.shared.clock.now(), &self.place().id);
            tracer.take(traced.drain(..done).map(|one| {
                let (moments, refused) = ((one.taken, now), one.refused.as_deref());
                traces::of_delivery(&one.id, sink, one.attempts, moments, refused)
            }));
        }
    }

    fn place(&self) -> &Place {
        &self.place
    }

    /// Leaves the results that are to be sent.
    fn choose(&mut self, rows: &mut Vec<Spooled>) {
        let place = &self.place;
        let Some(chooser) = &mut self.chooser else { return };
        let left_out = chooser.choose(rows, place.acknowledged.load(Ordering::Acquire));
        if let Some(counters) = place.counters.get() {
            counters.left_out.add(left_out);
        }
    }

    async fn unreadable(&mut self, error: &rusqlite::Error) {
        if error::is_damage(error) {
            self.shared.damaged.store(true, Ordering::Release);
        }
        if !std::mem::replace(&mut self.failing, true) {
            let subject = format!("sink/{}", self.place().id);
            let message = format!(
                "{}: results cannot be read for this sink: {error}",
                self.shared.path.display()
            );
            let now = self.shared.clock.now();
            self.shared.events.record(Event::new(now, Code::SpoolFailed, &subject, message));
        }
        self.reader = None;
        tokio::time::sleep(RETRY).await;
    }
}

/// A connection of the cursor's own: readers and the writer do not wait for each other.
#[derive(Debug)]
struct Reader {
    connection: Connection,
    generation: u64,
}

/// Reads on a thread that may block; returns the connection for the next time.
fn read(shared: &Shared, reader: Option<Reader>, sink: &str, after: u64, max: usize) -> Reading {
    let generation = shared.generation.load(Ordering::Acquire);
    let reader = match reader.filter(|reader| reader.generation == generation) {
        Some(reader) => reader,
        None => match open(shared, generation) {
            Ok(reader) => reader,
            Err(error) => return (None, Err(error)),
        },
    };
    let batch = batch(&reader.connection, sink, after, max);
    (Some(reader), batch)
}

fn open(shared: &Shared, generation: u64) -> rusqlite::Result<Reader> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&shared.path, flags)?;
    connection.busy_timeout(store::BUSY)?;
    connection.pragma_update(None, "cache_size", -1_024)?;
    Ok(Reader { connection, generation })
}

fn batch(connection: &Connection, sink: &str, after: u64, max: usize) -> rusqlite::Result<Batch> {
    let mut statement = connection.prepare_cached(
        "SELECT sequence, id, deployment, asset, model, version, trained_on, spooled_at, payload,
         sink FROM result WHERE sequence > ?1 ORDER BY sequence",
    )?;
    let mut found = statement.query(params![store::signed(after)])?;
    let (mut rows, mut bytes, mut to) = (Vec::new(), 0, 0);
    while bytes < BATCH_BYTES_MAX
        && rows.len() < max
        && let Some(row) = found.next()?
    {
        to = store::unsigned(row.get(0)?);
        let only: Option<String> = row.get(9)?;
        if only.as_ref().is_some_and(|only| only != sink) {
            continue;
        }
        let payload: Vec<u8> = row.get(8)?;
        bytes += payload.len();
        rows.push(Spooled {
            sequence: to,
            id: ResultId(row.get(1)?),
            deployment: row.get(2)?,
            asset: row.get(3)?,
            model: row.get(4)?,
            model_version: row.get(5)?,
            trained_on: row.get(6)?,
            spooled_at: Timestamp::from_nanos(row.get(7)?),
            is_replay: only.is_some(),
            payload: payload.into(),
        });
    }
    Ok(Batch { rows, to })
}
