//! Where results wait for sinks: one SQLite file, a cursor a sink, bounded in bytes and age.

use std::sync::Arc;

use resonance_plant::ResultRecord;

/// The deployments' end of the spool: never blocks.
#[derive(Clone, Debug)]
pub struct SpoolWriter {}

impl SpoolWriter {
    /// Hands a result to the writer's thread. Where its queue is full the result is dropped,
    /// counted and reported.
    pub fn offer(&self, _record: Arc<ResultRecord>) {}
}

/// A sink's place in the spool.
#[derive(Debug)]
pub struct Cursor {}
