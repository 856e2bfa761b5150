//! Starts everything in order, stops it in reverse.

mod assembly;
mod remotes;
mod running;

pub use assembly::{Options, StartError, start};
pub use running::Gateway;
