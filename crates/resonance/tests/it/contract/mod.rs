//! What every source and every sink must do when its peer fails: one table of peers and faults,
//! the same law for each.
//!
//! - A source: what the machine said is what was observed and what lies within gaps that were told,
//!   each value once and in order; it comes back by itself; its counters agree with what it said.
//! - A sink: what was offered is what was delivered and what was counted as dropped; the system got
//!   it at least once, under the same ids, in order of first coming.
//! - Another source, and another sink of the same spool, goes on meanwhile and misses nothing.
//!
//! A kind that is added to the plan has no row here yet, and this does not compile:
//! [`sources::machine_of`] and [`sinks::system_of`].

mod images;
mod ledger;
mod machines;
pub mod recordings;
mod sinks;
mod sources;
mod systems;

use std::time::Duration;

/// What happens to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection ends in the middle of a message.
    Cut,
    /// Everything takes its time.
    Slow,
    /// The connection stays and nothing passes any more, for a while.
    Stall,
    /// More comes than can be taken.
    Flood,
    /// Bytes come that are none of the protocol's.
    Garbage,
    /// The peer ends and comes back, while there is more to say.
    Restart,
}

/// What a network does to every piece of data that is slow.
const SLOW: Duration = Duration::from_millis(60);

/// Rows of the table: a module a peer, a test a fault.
macro_rules! rows {
    ($holds:path: $($(#[$more:meta])* $name:ident = $peer:expr;)*) => {$(
        $(#[$more])*
        mod $name {
            use super::*;
            use crate::contract::Fault;

            rows!(@tests $holds, $peer, stringify!($name);
                cut Cut, slow Slow, stall Stall, flood Flood, garbage Garbage, restart Restart);
        }
    )*};
    (@tests $holds:path, $peer:expr, $row:expr; $($test:ident $fault:ident),*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
        async fn $test() {
            $holds(concat!("contract of ", $row, ": ", stringify!($test)), $peer, Fault::$fault)
                .await;
        }
    )*};
}
use rows;
