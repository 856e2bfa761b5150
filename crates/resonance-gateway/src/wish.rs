//! Wishes for another plan, from servers to whoever reads plant files.

use resonance_plant::Principal;
use tokio::sync::{mpsc, oneshot};

use crate::supervisor::Changes;

/// Wishes that may wait.
const WAITING_MAX: usize = 8;

/// What is wished for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Wanted {
    /// To know what the plant file as it is now would change.
    Preview,
    /// To go on with the plant file as it is now.
    #[default]
    Reload,
    /// To go back to the plan before the last change.
    Rollback,
}

/// A wish, in someone's name.
#[derive(Debug)]
pub struct Wish {
    /// What is wished for.
    pub wanted: Wanted,
    /// Who wishes.
    pub principal: Principal,
    /// What came of it, or why nothing did, in words for people.
    pub answer: oneshot::Sender<Result<Changes, String>>,
}

/// Where wishes go.
#[derive(Clone, Debug)]
pub struct Wishes(mpsc::Sender<Wish>);

/// Why a wish found nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another change of the plant is under way, or the gateway ends; ask again later")]
pub struct Unheard;

impl Wishes {
    /// Where wishes go, and where they arrive.
    pub fn channel() -> (Self, mpsc::Receiver<Wish>) {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        (Self(sender), receiver)
    }

    /// Passes a wish on and waits for what comes of it.
    ///
    /// # Errors
    /// Where nobody takes it.
    pub async fn wish(
        &self,
        wanted: Wanted,
        principal: Principal,
    ) -> Result<Result<Changes, String>, Unheard> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send(Wish { wanted, principal, answer }).map_err(|_| Unheard)?;
        answered.await.map_err(|_| Unheard)
    }
}
