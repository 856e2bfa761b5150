//! The live view while a gateway runs.

use std::io::IsTerminal;
use std::time::Duration;

use resonance_gateway::supervisor::Gateway;
use tokio::sync::watch;

use super::reload::Reloads;
use super::run::{Deadline, Waited, wait};
use super::{CliError, output};
use crate::render::live::{self, LiveView};

/// Shows the view until the user ends it, SIGTERM comes, the time is over or the hub ended. The
/// terminal is as before when this returns, and what was logged meanwhile has been written to
/// standard error. A gateway that goes on with another plan is looked at anew.
///
/// # Errors
/// Where the terminal fails, or standard output is closed.
pub(super) async fn show(
    view: impl Fn(&Gateway) -> LiveView,
    duration: Option<Duration>,
    gateway: &mut Gateway,
    mut reloads: Option<&mut Reloads>,
) -> Result<(), CliError> {
    let end = Deadline::after(duration);
    // Log lines would be drawn across the view.
    let held = std::io::stdout().is_terminal().then(output::hold_log);
    let outcome = loop {
        let (stop, stopped) = watch::channel(false);
        let of_now = view(gateway);
        let mut shown = tokio::task::spawn_blocking(move || live::run(of_now, stopped));
        let (waited, shown) = tokio::select! {
            shown = &mut shown => (Ok(Waited::Ended), shown),
            waited = wait(end, gateway, reloads.as_deref_mut()) => {
                let _ = stop.send(true);
                (waited, shown.await)
            }
        };
        match (waited, shown) {
            (Ok(Waited::Reloaded), Ok(Ok(()))) => {}
            (waited, shown) => break (waited, shown),
        }
    };
    drop(held);
    match outcome {
        (waited, Ok(Ok(()))) => waited.map(|_| ()),
        (_, Ok(Err(error))) => Err(CliError::Output(error)),
        (_, Err(panicked)) => Err(CliError::Internal(format!("the live view: {panicked}"))),
    }
}
