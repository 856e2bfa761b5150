//! The live view while a gateway runs.

use std::io::IsTerminal;
use std::time::Duration;

use resonance_gateway::supervisor::Gateway;
use tokio::sync::watch;

use super::run::wait;
use super::{CliError, output};
use crate::render::live::{self, LiveView};

/// Shows the view until the user ends it, SIGTERM comes, the time is over or the hub ended. The
/// terminal is as before when this returns, and what was logged meanwhile has been written to
/// standard error.
///
/// # Errors
/// Where the terminal fails, or standard output is closed.
pub(super) async fn show(
    view: LiveView,
    duration: Option<Duration>,
    gateway: &Gateway,
) -> Result<(), CliError> {
    // Log lines would be drawn across the view.
    let held = std::io::stdout().is_terminal().then(output::hold_log);
    let (stop, stopped) = watch::channel(false);
    let mut shown = tokio::task::spawn_blocking(move || live::run(view, stopped));
    let (ended, shown) = tokio::select! {
        shown = &mut shown => (Ok(()), shown),
        ended = wait(duration, gateway) => {
            let _ = stop.send(true);
            (ended, shown.await)
        }
    };
    drop(held);
    match shown {
        Ok(Ok(())) => ended,
        Ok(Err(error)) => Err(CliError::Output(error)),
        Err(panicked) => Err(CliError::Internal(format!("the live view: {panicked}"))),
    }
}
