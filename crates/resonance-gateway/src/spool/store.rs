//! The file: tables, transactions, bounds. Synchronous, and told the time; the writer's thread
//! owns it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use resonance_plant::{Clock, Code, Event, EventSink, ResultRecord, Timestamp};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, params};

use super::error::{self, SpoolError};
use super::refused;
use crate::plan::DropPolicy;

/// `RSPL`: says whose file it is (SQLite file format, 1.3.18).
const APPLICATION_ID: i64 = 0x5253_504C;
/// The format; raised with every change that older versions cannot read.
const FORMAT: i64 = 2;
/// The page of a new file.
const PAGE_BYTES: i64 = 16_384;
/// What a row costs beside its payload, bytes: names, keys, page overhead.
pub(super) const ROW_BYTES: u64 = 192;
/// Rows deleted in one transaction.
const DELETE_MAX: u64 = 5_000;
/// How long a statement waits for a reader that is at the end of the log.
pub(super) const BUSY: Duration = Duration::from_secs(5);

/// Sequences in `result` are contiguous: rows are added at the end and deleted from the start.
/// A row that names a sink is for that sink alone: it was refused once and is sent again.
const SCHEMA: &str = "
    CREATE TABLE result (
        sequence INTEGER PRIMARY KEY, id BLOB NOT NULL, deployment TEXT NOT NULL,
        asset TEXT NOT NULL, model TEXT NOT NULL, version TEXT NOT NULL,
        trained_on TEXT NOT NULL, spooled_at INTEGER NOT NULL, payload BLOB NOT NULL, sink TEXT
    ) STRICT;
    CREATE TABLE cursor (sink TEXT PRIMARY KEY, acknowledged INTEGER NOT NULL) STRICT;
    CREATE TABLE deployment (name TEXT PRIMARY KEY, last INTEGER NOT NULL) STRICT;
    CREATE TABLE refused (
        sink TEXT NOT NULL, sequence INTEGER NOT NULL, id BLOB NOT NULL, reason TEXT NOT NULL,
        payload BLOB NOT NULL, deployment TEXT NOT NULL DEFAULT '', asset TEXT NOT NULL DEFAULT '',
        model TEXT NOT NULL DEFAULT '', version TEXT NOT NULL DEFAULT '',
        trained_on TEXT NOT NULL DEFAULT '', spooled_at INTEGER NOT NULL DEFAULT 0,
        refused_at INTEGER NOT NULL DEFAULT 0, replay INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (sink, sequence)
    ) STRICT;
    CREATE INDEX replayed ON refused (sink, sequence) WHERE replay = 1;
    CREATE TABLE kept (only INTEGER PRIMARY KEY CHECK (only = 1), bytes INTEGER NOT NULL) STRICT;
    INSERT INTO kept VALUES (1, 0);
";

/// From format 1, whose refused results say who gave them only in their JSON.
const FROM_1: &str = "
    ALTER TABLE result ADD COLUMN sink TEXT;
    ALTER TABLE refused ADD COLUMN deployment TEXT NOT NULL DEFAULT '';
    ALTER TABLE refused ADD COLUMN asset TEXT NOT NULL DEFAULT '';
    ALTER TABLE refused ADD COLUMN model TEXT NOT NULL DEFAULT '';
    ALTER TABLE refused ADD COLUMN version TEXT NOT NULL DEFAULT '';
    ALTER TABLE refused ADD COLUMN trained_on TEXT NOT NULL DEFAULT '';
    ALTER TABLE refused ADD COLUMN spooled_at INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE refused ADD COLUMN refused_at INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE refused ADD COLUMN replay INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX replayed ON refused (sink, sequence) WHERE replay = 1;
    UPDATE refused SET
        deployment = coalesce(json_extract(CAST(payload AS TEXT), '$.deployment'), ''),
        asset = coalesce(json_extract(CAST(payload AS TEXT), '$.asset'), ''),
        model = coalesce(json_extract(CAST(payload AS TEXT), '$.model.name'), ''),
        version = coalesce(json_extract(CAST(payload AS TEXT), '$.model.version'), ''),
        trained_on = coalesce(json_extract(CAST(payload AS TEXT), '$.model.trained_on'), '')
    WHERE json_valid(CAST(payload AS TEXT));
";

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// Nothing yet.
    Empty,
    /// A spool of this format.
    Current,
    /// A spool of this older format.
    Format(i64),
}

/// A result on its way into the file.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) record: Arc<ResultRecord>,
    pub(super) payload: Vec<u8>,
}

impl Row {
    /// What it counts against the bound.
    pub(super) fn bytes(&self) -> u64 {
        self.payload.len() as u64 + ROW_BYTES
    }
}

/// A result a sink's system refused for good.
#[derive(Debug)]
pub(super) struct SetAside {
    pub(super) sink: Arc<str>,
    pub(super) sequence: u64,
    pub(super) reason: String,
}

/// The file, open for writing.
#[derive(Debug)]
pub(super) struct Store {
    connection: Connection,
    /// The first sequence kept; one past the last where there is none.
    pub(super) first: u64,
    /// The sequence the next result gets.
    pub(super) next: u64,
    /// What is kept counts as this many bytes.
    pub(super) bytes: u64,
}

/// A store with the places of its sinks.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) store: Store,
    /// For every sink, in the order asked for: what it acknowledged last.
    pub(super) acknowledged: Vec<u64>,
}

/// What was appended of a batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Appended {
    /// Rows written.
    pub(super) written: u64,
    /// Rows refused because there was no room, under [`DropPolicy::Newest`].
    pub(super) refused: u64,
    /// The last sequence deleted to make room, under [`DropPolicy::Oldest`].
    pub(super) deleted_to: Option<u64>,
}

impl Store {
    /// Opens or begins a spool; a damaged one is moved aside with an event.
    ///
    /// # Errors
    /// See [`SpoolError`].
    pub(super) fn open_or_replace(
        path: &Path,
        sinks: &[Arc<str>],
        clock: &dyn Clock,
        events: &dyn EventSink,
    ) -> Result<Opened, SpoolError> {
        match Self::open(path, sinks, 1) {
            Err(SpoolError::Sqlite { source, .. }) if error::is_damage(&source) => {
                let aside = move_aside(path, clock.now())
                    .map_err(|source| SpoolError::Folder { path: path.into(), source })?;
                events.record(damaged(path, &aside, &source, clock.now()));
                Self::open(path, sinks, 1)
            }
            opened => opened,
        }
    }

    /// Opens or begins a spool whose next result gets at least the sequence `next_min`.
    ///
    /// # Errors
    /// See [`SpoolError`].
    pub(super) fn open(
        path: &Path,
        sinks: &[Arc<str>],
        next_min: u64,
    ) -> Result<Opened, SpoolError> {
        let failed = |source| error::of(path, source);
        let connection = Connection::open(path).map_err(failed)?;
        let found = identify(&connection, path)?;
        connection.busy_timeout(BUSY).map_err(failed)?;
        if found == Found::Empty {
            // Results take some kilobytes each; with SQLite's 4,096 every other one is cut in two.
            connection.pragma_update(None, "page_size", PAGE_BYTES).map_err(failed)?;
        }
        for (name, value) in [("journal_mode", "WAL"), ("synchronous", "NORMAL")] {
            connection.pragma_update(None, name, value).map_err(failed)?;
        }
        connection.pragma_update(None, "journal_size_limit", 16 << 20).map_err(failed)?;
        connection.pragma_update(None, "cache_size", -4_096).map_err(failed)?;
        prepare(connection, found, sinks, next_min).map_err(failed)
    }

    /// The highest sequence written for every deployment.
    pub(super) fn last_sequences(&self) -> rusqlite::Result<Vec<(String, u64)>> {
        let mut statement = self.connection.prepare("SELECT name, last FROM deployment")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, unsigned(row.get(1)?))))?;
        rows.collect()
    }

    /// Writes results in one transaction, and makes room for them or refuses them as `drop` says.
    /// Nothing is changed where it fails.
    pub(super) fn append(
        &mut self,
        rows: &[Row],
        now: Timestamp,
        bytes_max: u64,
        drop: DropPolicy,
    ) -> rusqlite::Result<Appended> {
        let (mut first, mut next, mut bytes) = (self.first, self.next, self.bytes);
        let mut appended = Appended::default();
        let transaction = self.connection.transaction()?;
        for row in rows {
            note_sequence(&transaction, &row.record)?;
            if bytes + row.bytes() > bytes_max && drop == DropPolicy::Oldest && first < next {
                // Somewhat more than needed goes at once, so that not every result pays for it.
                let room = row.bytes().max(bytes_max / 256);
                let (to, freed) = oldest(&transaction, room)?;
                delete(&transaction, to)?;
                (first, bytes) = (to + 1, bytes.saturating_sub(freed));
                appended.deleted_to = Some(to);
            }
            if bytes + row.bytes() > bytes_max {
                appended.refused += 1;
                continue;
            }
            insert(&transaction, next, row, now)?;
            (next, bytes) = (next + 1, bytes + row.bytes());
            appended.written += 1;
        }
        set_bytes(&transaction, bytes)?;
        transaction.commit()?;
        (self.first, self.next, self.bytes) = (first, next, bytes);
        Ok(appended)
    }

    /// Only notes the sequence numbers: nobody waits for results.
    pub(super) fn note(&mut self, rows: &[Row]) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        for row in rows {
            note_sequence(&transaction, &row.record)?;
        }
        transaction.commit()
    }

    /// Keeps what sinks acknowledged, and what was refused for good. Returns how many refused
    /// results were lost, because there are too many.
    pub(super) fn keep_places<'a>(
        &mut self,
        places: impl Iterator<Item = (&'a str, u64)>,
        set_aside: &[SetAside],
        now: Timestamp,
    ) -> rusqlite::Result<u64> {
        let transaction = self.connection.transaction()?;
        let lost = refused::keep(&transaction, set_aside, now)?;
        for (sink, acknowledged) in places {
            transaction
                .prepare_cached("UPDATE cursor SET acknowledged = ?2 WHERE sink = ?1")?
                .execute(params![sink, signed(acknowledged)])?;
        }
        transaction.commit()?;
        Ok(lost)
    }

    /// Keeps a place for exactly these sinks. Returns what each acknowledged last.
    pub(super) fn place(&mut self, sinks: &[Arc<str>]) -> rusqlite::Result<Vec<u64>> {
        let transaction = self.connection.transaction()?;
        let acknowledged = place(&transaction, sinks, self.next)?;
        transaction.commit()?;
        Ok(acknowledged)
    }

    /// Puts results that are to be sent to a sink again back at the end, while there is room.
    /// Returns how many.
    pub(super) fn put_back(
        &mut self,
        sink: &str,
        now: Timestamp,
        bytes_max: u64,
    ) -> rusqlite::Result<u64> {
        let transaction = self.connection.transaction()?;
        let room = bytes_max.saturating_sub(self.bytes);
        let (next, taken) = refused::put_back(&transaction, sink, self.next, room, now)?;
        set_bytes(&transaction, self.bytes + taken)?;
        transaction.commit()?;
        let count = next - self.next;
        (self.next, self.bytes) = (next, self.bytes + taken);
        Ok(count)
    }

    /// Whether results wait to be put back.
    pub(super) fn is_marked(&self) -> rusqlite::Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM refused WHERE replay = 1)";
        self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))
    }

    /// How many results a sink's system refused and that are kept.
    pub(super) fn refused(&self, sink: &str) -> rusqlite::Result<u64> {
        refused::count(&self.connection, sink)
    }

    /// A number that changes when another process wrote to the file.
    pub(super) fn foreign_changes(&self) -> rusqlite::Result<i64> {
        self.connection.pragma_query_value(None, "data_version", |row| row.get(0))
    }

    /// Deletes results up to and including `to`.
    pub(super) fn delete_to(&mut self, to: u64) -> rusqlite::Result<()> {
        while self.first <= to && self.first < self.next {
            let until = to.min(self.first + DELETE_MAX - 1).min(self.next - 1);
            let transaction = self.connection.transaction()?;
            let freed = size(&transaction, until)?;
            delete(&transaction, until)?;
            let bytes = self.bytes.saturating_sub(freed);
            set_bytes(&transaction, bytes)?;
            transaction.commit()?;
            (self.first, self.bytes) = (until + 1, bytes);
        }
        if self.first == self.next {
            // Whatever rounding a damaged count may have brought along ends here.
            self.bytes = 0;
        }
        Ok(())
    }

    /// The last sequence of those that were spooled before `limit`, of the oldest few thousand.
    pub(super) fn older_than(&self, limit: Timestamp) -> rusqlite::Result<Option<u64>> {
        let found: Option<i64> = self
            .connection
            .prepare_cached(
                "SELECT max(sequence) FROM
             (SELECT sequence, spooled_at FROM result ORDER BY sequence LIMIT ?1)
             WHERE spooled_at < ?2",
            )?
            .query_row(params![signed(DELETE_MAX), limit.nanos()], |row| row.get(0))?;
        Ok(found.map(unsigned))
    }

    /// Lets the file have at most this many pages, so that a full disk can be had anywhere.
    #[cfg(test)]
    pub(super) fn limit_pages(&self, pages: i64) {
        self.connection.pragma_update(None, "max_page_count", pages).unwrap();
    }
}

/// A connection to the file beside the gateway that may own it.
pub(super) fn open_beside(path: &Path) -> Result<Connection, SpoolError> {
    if !path.exists() {
        return Err(SpoolError::Absent(path.into()));
    }
    let failed = |source| error::of(path, source);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(BUSY).map_err(failed)?;
    match identify(&connection, path)? {
        Found::Current => Ok(connection),
        Found::Empty | Found::Format(_) => Err(SpoolError::Older(path.into())),
    }
}

/// Whose file it is.
fn identify(connection: &Connection, path: &Path) -> Result<Found, SpoolError> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let read = || Ok((number("application_id")?, number("user_version")?, number("page_count")?));
    match read().map_err(|source| error::of(path, source))? {
        (_, _, 0) => Ok(Found::Empty),
        (APPLICATION_ID, FORMAT, _) => Ok(Found::Current),
        (APPLICATION_ID, older @ 1..FORMAT, _) => Ok(Found::Format(older)),
        (APPLICATION_ID, found, _) => {
            Err(SpoolError::Newer { path: path.into(), found, known: FORMAT })
        }
        _ => Err(SpoolError::Foreign(path.into())),
    }
}

/// Makes the tables where the file is new or older, and a place for every sink.
fn prepare(
    mut connection: Connection,
    found: Found,
    sinks: &[Arc<str>],
    next_min: u64,
) -> rusqlite::Result<Opened> {
    let transaction = connection.transaction()?;
    match found {
        Found::Empty => transaction.execute_batch(SCHEMA)?,
        Found::Format(_) => transaction.execute_batch(FROM_1)?,
        Found::Current => {}
    }
    if found != Found::Current {
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", FORMAT)?;
    }
    let number = |sql: &str| -> rusqlite::Result<Option<i64>> {
        transaction.query_row(sql, [], |row| row.get(0))
    };
    let first = number("SELECT min(sequence) FROM result")?.map(unsigned);
    let last = number("SELECT max(sequence) FROM result")?.map_or(0, unsigned);
    let placed = number("SELECT max(acknowledged) FROM cursor")?.map_or(0, unsigned);
    let bytes = number("SELECT bytes FROM kept")?.map_or(0, unsigned);
    let next = (last.max(placed) + 1).max(next_min);
    let acknowledged = place(&transaction, sinks, next)?;
    transaction.commit()?;
    let first = first.unwrap_or(next);
    Ok(Opened { store: Store { connection, first, next, bytes }, acknowledged })
}

/// Keeps a place for exactly these sinks. Returns what each acknowledged last; a new one starts at
/// the present.
fn place(
    transaction: &Transaction<'_>,
    sinks: &[Arc<str>],
    next: u64,
) -> rusqlite::Result<Vec<u64>> {
    let mut acknowledged = Vec::with_capacity(sinks.len());
    for sink in sinks {
        let place: Option<i64> = transaction
            .query_row("SELECT acknowledged FROM cursor WHERE sink = ?1", [sink], |row| row.get(0))
            .optional()?;
        acknowledged.push(place.map_or(next - 1, unsigned));
    }
    transaction.execute("DELETE FROM cursor", [])?;
    for (sink, place) in sinks.iter().zip(&acknowledged) {
        let sql = "INSERT OR IGNORE INTO cursor VALUES (?1, ?2)";
        transaction.execute(sql, params![sink, signed(*place)])?;
    }
    Ok(acknowledged)
}

fn note_sequence(transaction: &Transaction<'_>, record: &ResultRecord) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO deployment VALUES (?1, ?2)
         ON CONFLICT (name) DO UPDATE SET last = max(last, excluded.last)",
        )?
        .execute(params![record.deployment, signed(record.sequence)])?;
    Ok(())
}

fn insert(
    transaction: &Transaction<'_>,
    sequence: u64,
    row: &Row,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let record = &row.record;
    transaction
        .prepare_cached("INSERT INTO result VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, NULL)")?
        .execute(params![
            signed(sequence),
            record.id.0,
            record.deployment,
            record.asset,
            record.model.name,
            record.model.version,
            record.model.trained_on,
            now.nanos(),
            row.payload,
        ])?;
    Ok(())
}

/// The end of the oldest results that together count at least `room` bytes, and their bytes.
fn oldest(transaction: &Transaction<'_>, room: u64) -> rusqlite::Result<(u64, u64)> {
    let mut statement = transaction
        .prepare_cached("SELECT sequence, length(payload) FROM result ORDER BY sequence")?;
    let mut rows = statement.query([])?;
    let (mut to, mut freed) = (0, 0);
    while freed < room
        && let Some(row) = rows.next()?
    {
        to = unsigned(row.get(0)?);
        freed += unsigned(row.get(1)?) + ROW_BYTES;
    }
    Ok((to, freed))
}

fn size(transaction: &Transaction<'_>, to: u64) -> rusqlite::Result<u64> {
    let sql = "SELECT coalesce(sum(length(payload) + ?2), 0) FROM result WHERE sequence <= ?1";
    let mut statement = transaction.prepare_cached(sql)?;
    statement.query_row(params![signed(to), signed(ROW_BYTES)], |row| row.get(0)).map(unsigned)
}

fn delete(transaction: &Transaction<'_>, to: u64) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare_cached("DELETE FROM result WHERE sequence <= ?1")?;
    statement.execute([signed(to)]).map(|_| ())
}

fn set_bytes(transaction: &Transaction<'_>, bytes: u64) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare_cached("UPDATE kept SET bytes = ?1")?;
    statement.execute([signed(bytes)]).map(|_| ())
}

/// Renames a damaged spool and its log; returns the new name.
///
/// # Errors
/// Where the system refuses to rename.
pub(super) fn move_aside(path: &Path, now: Timestamp) -> std::io::Result<PathBuf> {
    let with = |suffix: &str| {
        let mut name = path.as_os_str().to_os_string();
        name.push(suffix);
        PathBuf::from(name)
    };
    let aside = with(&format!(".damaged-{}", now.millis()));
    std::fs::rename(path, &aside)?;
    let mut log = aside.clone().into_os_string();
    log.push("-wal");
    for moved in [
        std::fs::rename(with("-wal"), log),
        // The index of the log is made anew from the log.
        std::fs::remove_file(with("-shm")),
    ] {
        match moved {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(aside)
}

/// The event for a file that was moved aside.
pub(super) fn damaged(
    path: &Path,
    aside: &Path,
    reason: &rusqlite::Error,
    now: Timestamp,
) -> Event {
    let message = format!(
        "the result spool {} is damaged ({reason}); it was moved to {} and a new one begun; \
         results that waited in it were not delivered",
        path.display(),
        aside.display()
    );
    Event::new(now, Code::SpoolFailed, "spool", message)
}

/// SQLite's integers are signed; sequences and sizes stay far below the limit.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The inverse; what a damaged file may say below zero counts as zero.
pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
