//! Why a source has no machine, or no longer one; each says what to do.

use resonance_plant::Code;

use crate::hub::ingest::GapReason;

/// Why contact could not be made, or ended.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The machine does not answer, or not in its protocol.
    #[error("{0}")]
    Unreachable(String),
    /// The machine, or the configuration, forbids it.
    #[error("{0}")]
    Refused(String),
    /// We do not trust the machine.
    #[error("{0}")]
    Untrusted(String),
    /// There was contact and it ended.
    #[error("{0}")]
    Lost(String),
    /// The machine ended what it sends: nothing is left to go on with.
    #[error("{0}")]
    Ended(String),
    /// There was contact, and neither data nor signs of life.
    #[error("{0}")]
    Silent(String),
}

impl Failure {
    /// The event's code.
    pub(super) fn code(&self) -> Code {
        match self {
            Self::Unreachable(_) | Self::Lost(_) | Self::Ended(_) => Code::SourceDisconnected,
            Self::Refused(_) => Code::SourceRefused,
            Self::Untrusted(_) => Code::SourceUntrusted,
            Self::Silent(_) => Code::SourceSilent,
        }
    }

    /// The reason of the gap that begins.
    pub(super) fn gap_reason(&self) -> GapReason {
        match self {
            Self::Silent(_) => GapReason::Silence,
            _ => GapReason::ConnectionLost,
        }
    }
}
