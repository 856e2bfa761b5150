//! Plays a recording as if its machine were there: rows of a file, in the time in which they were
//! recorded.
//!
//! Rows come from [`rows`], whichever the form of the recording.

pub mod config;
mod pace;
mod rows;
mod session;
#[cfg(test)]
mod tests;

pub use config::ReplayConfig;
pub use session::ReplaySource;
pub(super) use session::visit;
