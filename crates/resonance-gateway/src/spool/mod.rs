//! Where results wait for sinks: one SQLite file, a cursor a sink, bounded in bytes and age.
//!
//! A result is written once, as JSON, by one thread behind a bounded queue; nothing on the way of
//! a result waits for the disk. Every sink reads in order at its own pace and acknowledges; what
//! every sink has acknowledged is deleted.
//!
//! What holds when things break:
//! - *The process is killed.* Everything counted as written is still there. Results in the queue,
//!   a few milliseconds' worth, are lost; a sink gets again what it acknowledged in the last
//!   quarter of a second, under the same ids.
//! - *The power fails.* The file stays consistent (write-ahead log, synced at checkpoints), and
//!   what was written since the last checkpoint, at most about four megabytes of log, may be gone.
//! - *The disk is full or fails.* The results at hand are kept and tried again every second; once
//!   the queue is full too, further ones are dropped, counted and reported.
//! - *The file is damaged.* It is moved aside under another name, with an event, and a new one
//!   is begun.

mod copy;
mod cursor;
mod error;
mod losses;
mod refused;
mod shared;
mod store;
#[cfg(test)]
pub(crate) mod tests;
mod when;
mod writer;

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::Mutex;
use resonance_plant::{Clock, EventSink};

use crate::plan::SpoolPlan;
use crate::status::{SinkCounters, SpoolStatus};
use crate::traces::Tracer;

pub use copy::copy;
pub use cursor::{Cursor, Spooled};
pub use error::SpoolError;
pub use refused::{DeadLetter, DeadLetters, REFUSED_MAX, Selection};
use shared::Shared;
use store::Store;
pub use when::{On, When};
pub use writer::SpoolWriter;
use writer::Worker;

/// The open spool. Closing it, or dropping it, writes what is queued and waits for that.
#[derive(Debug)]
pub struct Spool {
    shared: Arc<Shared>,
    writer: SpoolWriter,
    worker: Option<JoinHandle<()>>,
    last_sequences: Mutex<HashMap<String, u64>>,
    /// Held so that no second process opens the spool.
    _lock: File,
}

impl Spool {
    /// Opens the spool, or begins one, for exactly these sinks. A sink that was here before goes
    /// on where it acknowledged last; a new one starts at the present; one that is no more is
    /// forgotten and holds nothing back.
    ///
    /// # Errors
    /// Where the folder or file cannot be used, belongs to something else, or another process has
    /// it. A damaged file is no error: it is moved aside.
    pub fn open(
        plan: &SpoolPlan,
        sinks: &[Arc<str>],
        clock: Arc<dyn Clock>,
        events: Arc<dyn EventSink>,
    ) -> Result<Self, SpoolError> {
        let lock = lock(plan)?;
        let opened = Store::open_or_replace(&plan.path, sinks, &*clock, &*events)?;
        let last_sequences = opened.store.last_sequences().map_err(|e| error::of(&plan.path, e))?;
        let shared = Arc::new(Shared::new(plan, sinks, &opened, Arc::clone(&clock), events));
        let (writer, worker) = Worker::start(opened.store, plan, Arc::clone(&shared))?;
        let last_sequences = Mutex::new(last_sequences.into_iter().collect());
        Ok(Self { shared, writer, worker: Some(worker), last_sequences, _lock: lock })
    }

    /// The end that takes results.
    pub fn writer(&self) -> SpoolWriter {
        self.writer.clone()
    }

    /// The place of a sink, which from now on keeps the sink's `waiting` and `dropped` up to date.
    ///
    /// # Errors
    /// [`SpoolError::UnknownSink`] where the spool was not opened for it.
    pub fn cursor(&self, sink: &str, counters: Arc<SinkCounters>) -> Result<Cursor, SpoolError> {
        let sinks = self.shared.sinks();
        let place = sinks
            .iter()
            .find(|known| &*known.id == sink)
            .ok_or_else(|| SpoolError::UnknownSink(sink.into()))?;
        // A sink that is started anew goes on with what was counted.
        let _ = place.counters.set(counters);
        Ok(Cursor::new(Arc::clone(&self.shared), Arc::clone(place)))
    }

    /// From now on, tells of results that are written and delivered. Only the first tracer counts.
    pub fn trace(&self, tracer: Tracer) {
        let _ = self.shared.tracer.set(tracer);
    }

    /// From now on the spool is for exactly these sinks, as if opened for them.
    ///
    /// # Errors
    /// Where the file does not take it, or not in time; the sinks are then those before.
    pub async fn arrange(&self, sinks: Vec<Arc<str>>) -> Result<(), SpoolError> {
        self.writer.arrange(sinks).await
    }

    /// The highest sequence number of a deployment that gave results before: before this start, or
    /// until it ended. Zero: none.
    pub fn last_sequence(&self, deployment: &str) -> u64 {
        self.last_sequences.lock().get(deployment).copied().unwrap_or(0)
    }

    /// A deployment ended; should it ever come back, it goes on after this number.
    pub fn ended(&self, deployment: &str, sequence: u64) {
        self.last_sequences.lock().insert(deployment.to_owned(), sequence);
    }

    /// The spool at this moment.
    pub fn status(&self) -> SpoolStatus {
        self.shared.status()
    }

    /// Writes what is queued and what was acknowledged, and ends. Blocks for as long as one
    /// attempt to write takes.
    pub fn close(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(worker) = self.worker.take() {
            self.writer.end(&worker);
            // A panic of the worker was already reported by the thread itself.
            let _ = worker.join();
        }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.end();
    }
}

/// Makes the folder and takes the lock file beside the spool.
fn lock(plan: &SpoolPlan) -> Result<File, SpoolError> {
    let folder = |source| SpoolError::Folder { path: plan.path.clone(), source };
    if let Some(parent) = plan.path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent).map_err(folder)?;
    }
    let mut path = plan.path.clone().into_os_string();
    path.push(".lock");
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(PathBuf::from(path))
        .map_err(folder)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(SpoolError::InUse(plan.path.clone())),
        Err(TryLockError::Error(source)) => Err(folder(source)),
    }
}
