//! A sink's place in the spool.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use resonance_plant::{Code, Event, ResultId, Timestamp, Value};
use rusqlite::{Connection, OpenFlags, params};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::error;
use super::store::{self, SetAside};
use super::writer::{Place, Shared};

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
    /// The result, as JSON.
    pub payload: Bytes,
}

/// What a thread that may block hands back: the connection, for the next time, and what it read.
type Reading = (Option<Reader>, rusqlite::Result<Vec<Spooled>>);

/// A sink's place in the spool: reads ahead, acknowledges behind.
#[derive(Debug)]
pub struct Cursor {
    shared: Arc<Shared>,
    index: usize,
    announced: watch::Receiver<u64>,
    reader: Option<Reader>,
    /// A read under way; kept here so that a caller may give up waiting and come back.
    reading: Option<JoinHandle<Reading>>,
    failing: bool,
}

impl Cursor {
    pub(super) fn new(shared: Arc<Shared>, index: usize) -> Self {
        let announced = shared.last.subscribe();
        let mut cursor =
            Self { shared, index, announced, reader: None, reading: None, failing: false };
        cursor.rewind();
        cursor
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
                let read = move || read(&shared, reader, after, max.max(1));
                self.reading = Some(tokio::task::spawn_blocking(read));
            }
            let Some(reading) = &mut self.reading else { continue };
            let read = reading.await;
            self.reading = None;
            let Ok((reader, rows)) = read else { continue };
            self.reader = reader;
            match rows {
                Ok(rows) => {
                    self.failing = false;
                    // Where results were dropped meanwhile there may be none.
                    let before = self.shared.first.load(Ordering::Acquire).saturating_sub(1);
                    let last = rows.last().map_or(before, |row| row.sequence);
                    self.place().taken.fetch_max(last, Ordering::AcqRel);
                    if !rows.is_empty() {
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
        let read = sequence.min(place.taken.load(Ordering::Acquire));
        place.acknowledged.fetch_max(read, Ordering::AcqRel);
    }

    /// The sink's system will never take this result: it is kept in the file's table `refused`,
    /// the last thousand of them, once this and everything before was acknowledged.
    pub fn set_aside(&self, sequence: u64, reason: &str) {
        let sink = Arc::clone(&self.place().id);
        let reason = reason.to_owned();
        self.shared.set_aside.lock().push(SetAside { sink, sequence, reason });
    }

    /// Goes back to what was acknowledged last: what follows is read again. Results that were
    /// dropped meanwhile are lost to this sink, and counted.
    pub fn rewind(&mut self) {
        self.reading = None;
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
            if let Some(counters) = place.counters.get() {
                counters.dropped.add(lost);
            }
            let subject = format!("sink/{}", place.id);
            let message = format!("{lost} results were dropped while they were under way");
            let event = Event::new(self.shared.clock.now(), Code::ResultDropped, &subject, message);
            self.shared.events.record(event.with("count", Value::Uint(lost)));
        }
    }

    /// The longest a result is kept.
    pub fn age_max(&self) -> Duration {
        self.shared.age_max
    }

    fn place(&self) -> &Place {
        &self.shared.sinks[self.index]
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
fn read(shared: &Shared, reader: Option<Reader>, after: u64, max: usize) -> Reading {
    let generation = shared.generation.load(Ordering::Acquire);
    let reader = match reader.filter(|reader| reader.generation == generation) {
        Some(reader) => reader,
        None => match open(shared, generation) {
            Ok(reader) => reader,
            Err(error) => return (None, Err(error)),
        },
    };
    let rows = rows(&reader.connection, after, max);
    (Some(reader), rows)
}

fn open(shared: &Shared, generation: u64) -> rusqlite::Result<Reader> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&shared.path, flags)?;
    connection.busy_timeout(store::BUSY)?;
    connection.pragma_update(None, "cache_size", -1_024)?;
    Ok(Reader { connection, generation })
}

fn rows(connection: &Connection, after: u64, max: usize) -> rusqlite::Result<Vec<Spooled>> {
    let mut statement = connection.prepare_cached(
        "SELECT sequence, id, deployment, asset, model, version, trained_on, spooled_at, payload
         FROM result WHERE sequence > ?1 ORDER BY sequence LIMIT ?2",
    )?;
    let limit = i64::try_from(max).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![store::signed(after), limit])?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    while bytes < BATCH_BYTES_MAX
        && let Some(row) = rows.next()?
    {
        let payload: Vec<u8> = row.get(8)?;
        bytes += payload.len();
        found.push(Spooled {
            sequence: store::unsigned(row.get(0)?),
            id: ResultId(row.get(1)?),
            deployment: row.get(2)?,
            asset: row.get(3)?,
            model: row.get(4)?,
            model_version: row.get(5)?,
            trained_on: row.get(6)?,
            spooled_at: Timestamp::from_nanos(row.get(7)?),
            payload: payload.into(),
        });
    }
    Ok(found)
}
