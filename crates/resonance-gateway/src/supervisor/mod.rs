//! Starts everything in order, changes it while it runs, stops it in reverse.

mod assembly;
mod changes;
mod reload;
mod remotes;
mod running;

pub use assembly::{Options, StartError, start};
pub use changes::{Change, Changes, Step};
pub use reload::ReloadError;
pub use running::Gateway;
