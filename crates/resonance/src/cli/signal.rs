//! How a command that runs on is asked to end.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Returns once someone asks the process to end: Ctrl-C, or SIGTERM from a service manager.
///
/// # Errors
/// Where the system does not let the process listen for signals.
pub(crate) async fn asked_to_end() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}
