//! Models bound to points: triggers, windows, states, fallbacks, results.

pub mod deployment;
pub mod fleet;
pub mod gate;
pub mod lane;
pub mod record;
pub mod shared;
pub mod trigger;
pub mod window;

#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use resonance_plant::Principal;

use crate::status::DeploymentStatus;

/// What someone may ask of a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// No results until resumed.
    Suspend,
    /// Results again.
    Resume,
}

/// The deployments as servers see them.
pub trait Deployments: Send + Sync + std::fmt::Debug {
    /// Every deployment at this moment.
    fn status(&self) -> Vec<DeploymentStatus>;

    /// Gives a command, in someone's name.
    ///
    /// # Errors
    /// Where there is no such deployment or its state does not allow the command.
    fn command(
        &self,
        deployment: &str,
        command: Command,
        principal: Principal,
    ) -> Result<(), CommandRefused>;
}

/// Why a command is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandRefused {
    /// No such deployment.
    #[error("there is no deployment {0:?}")]
    Unknown(Arc<str>),
    /// The state does not allow it.
    #[error("the deployment is {0}")]
    State(String),
}
