//! Results that a sink's system refused for good: kept with the reason, a bounded list a sink.
//!
//! They are looked at and dropped from outside, beside a gateway that may be running. To replay
//! one only marks it: the gateway that owns the spool, or the next one that opens it, puts it back
//! at the end of the queue, under the same id, for the sink that refused it and for no other.

use std::path::{Path, PathBuf};

use resonance_plant::{ResultId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::error::{self, SpoolError};
use super::store::{self, ROW_BYTES, SetAside, signed, unsigned};

/// Refused results kept for each sink.
pub const REFUSED_MAX: u64 = 10_000;
/// Results put back in one transaction.
const REPLAY_MAX: i64 = 500;

/// A result that was refused for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Who refused it.
    pub sink: String,
    /// The result's own name.
    pub id: ResultId,
    /// Which deployment gave it.
    pub deployment: String,
    /// Which asset it is about.
    pub asset: String,
    /// The model's name.
    pub model: String,
    /// What the system said.
    pub reason: String,
    /// When it was set aside; absent in spools that older versions wrote.
    pub refused_at: Option<Timestamp>,
    /// Whether it was marked to be sent again and still waits for the gateway to do it.
    pub replaying: bool,
    /// The result, as JSON.
    pub payload: Vec<u8>,
}

/// Which dead letters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only those of this sink.
    pub sink: Option<String>,
    /// Only this result.
    pub id: Option<ResultId>,
}

/// The dead letters of a spool, beside the gateway that owns it.
#[derive(Debug)]
pub struct DeadLetters {
    path: PathBuf,
    connection: Connection,
}

impl DeadLetters {
    /// Opens the spool's file, which must be there.
    ///
    /// # Errors
    /// Where it is absent, unreadable, something else, or of another version.
    pub fn open(path: &Path) -> Result<Self, SpoolError> {
        Ok(Self { path: path.into(), connection: store::open_beside(path)? })
    }

    /// The letters, the oldest first.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn list(&self, which: &Selection) -> Result<Vec<DeadLetter>, SpoolError> {
        let read = || {
            let mut statement = self.connection.prepare(
                "SELECT sink, id, deployment, asset, model, reason, refused_at, replay, payload
                 FROM refused WHERE (?1 IS NULL OR sink = ?1) AND (?2 IS NULL OR id = ?2)
                 ORDER BY sink, sequence",
            )?;
            let found = statement.query_map(of(which), letter)?;
            found.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(|source| error::of(&self.path, source))
    }

    /// Marks letters to be sent again, in their order. Returns how many there are.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn replay(&mut self, which: &Selection) -> Result<u64, SpoolError> {
        self.change("UPDATE refused SET replay = 1", which)
    }

    /// Deletes letters for good. Returns how many there were.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn discard(&mut self, which: &Selection) -> Result<u64, SpoolError> {
        self.change("DELETE FROM refused", which)
    }

    fn change(&mut self, what: &str, which: &Selection) -> Result<u64, SpoolError> {
        let sql = format!("{what} WHERE (?1 IS NULL OR sink = ?1) AND (?2 IS NULL OR id = ?2)");
        let changed = self.connection.execute(&sql, of(which));
        changed.map(|rows| rows as u64).map_err(|source| error::of(&self.path, source))
    }
}

fn of(which: &Selection) -> (Option<&str>, Option<[u8; 16]>) {
    (which.sink.as_deref(), which.id.map(|id| id.0))
}

fn letter(row: &Row<'_>) -> rusqlite::Result<DeadLetter> {
    let refused_at: i64 = row.get(6)?;
    Ok(DeadLetter {
        sink: row.get(0)?,
        id: ResultId(row.get(1)?),
        deployment: row.get(2)?,
        asset: row.get(3)?,
        model: row.get(4)?,
        reason: row.get(5)?,
        refused_at: (refused_at != 0).then(|| Timestamp::from_nanos(refused_at)),
        replaying: row.get(7)?,
        payload: row.get(8)?,
    })
}

/// Moves results into the list of refused ones. Returns how many the list lost for it: the oldest,
/// or those that were deleted before they came here.
pub(super) fn keep(
    transaction: &Transaction<'_>,
    set_aside: &[SetAside],
    now: Timestamp,
) -> rusqlite::Result<u64> {
    let mut lost = 0;
    for refused in set_aside {
        let kept = transaction
            .prepare_cached(
                "INSERT OR REPLACE INTO refused (sink, sequence, id, reason, payload, deployment,
                     asset, model, version, trained_on, spooled_at, refused_at)
                 SELECT ?1, sequence, id, ?3, payload, deployment, asset, model, version,
                     trained_on, spooled_at, ?4 FROM result WHERE sequence = ?2",
            )?
            .execute(params![
                refused.sink,
                signed(refused.sequence),
                refused.reason,
                now.nanos()
            ])?;
        lost += u64::from(kept == 0);
    }
    let mut sinks: Vec<&str> = set_aside.iter().map(|refused| &*refused.sink).collect();
    sinks.dedup();
    for sink in sinks {
        let deleted = transaction
            .prepare_cached(
                "DELETE FROM refused WHERE sink = ?1 AND sequence <=
                 (SELECT sequence FROM refused WHERE sink = ?1
                  ORDER BY sequence DESC LIMIT 1 OFFSET ?2)",
            )?
            .execute(params![sink, signed(REFUSED_MAX)])?;
        lost += deleted as u64;
    }
    Ok(lost)
}

/// Puts marked results of a sink back at the end, from the sequence `next` on, as far as `room`
/// bytes allow. Returns the sequence after the last one and the bytes taken.
pub(super) fn put_back(
    transaction: &Transaction<'_>,
    sink: &str,
    mut next: u64,
    room: u64,
    now: Timestamp,
) -> rusqlite::Result<(u64, u64)> {
    let marked: Vec<(i64, u64)> = transaction
        .prepare_cached(
            "SELECT sequence, length(payload) FROM refused WHERE sink = ?1 AND replay = 1
             ORDER BY sequence LIMIT ?2",
        )?
        .query_map(params![sink, REPLAY_MAX], |row| Ok((row.get(0)?, unsigned(row.get(1)?))))?
        .collect::<rusqlite::Result<_>>()?;
    let mut taken = 0;
    for (sequence, length) in marked {
        if taken + length + ROW_BYTES > room {
            break;
        }
        transaction
            .prepare_cached(
                "INSERT INTO result SELECT ?3, id, deployment, asset, model, version, trained_on,
                 ?4, payload, sink FROM refused WHERE sink = ?1 AND sequence = ?2",
            )?
            .execute(params![sink, sequence, signed(next), now.nanos()])?;
        transaction
            .prepare_cached("DELETE FROM refused WHERE sink = ?1 AND sequence = ?2")?
            .execute(params![sink, sequence])?;
        (next, taken) = (next + 1, taken + length + ROW_BYTES);
    }
    Ok((next, taken))
}

/// How many results a sink's system refused and that are kept.
pub(super) fn count(connection: &Connection, sink: &str) -> rusqlite::Result<u64> {
    let sql = "SELECT count(*) FROM refused WHERE sink = ?1";
    let count = connection.prepare_cached(sql)?.query_row([sink], |row| row.get(0)).optional()?;
    Ok(count.map_or(0, unsigned))
}
