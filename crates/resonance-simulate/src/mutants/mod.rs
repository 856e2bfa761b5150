//! Peers and networks that misbehave on purpose: what a source must survive.
//!
//! [`FaultyProxy`] stands between a client and a real server and cuts, stalls, delays, garbles or
//! swallows;
//! [`HangingServer`] is a server that never gets far.

mod frames;
mod hanging;
mod proxy;

pub use hanging::{HangingServer, Manner};
pub use proxy::{FaultyProxy, Traffic};
