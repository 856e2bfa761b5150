//! Plays a recording as if its machine were there: rows of a file, in the time in which they were
//! recorded.
//!
//! Rows come from [`rows`]; another form of recording is another module beside it.

pub mod config;
mod pace;
mod rows;
mod session;
#[cfg(test)]
mod tests;

pub use config::ReplayConfig;
pub use session::ReplaySource;
pub(super) use session::visit;
