//! Why a remote server gave no answer.

use resonance_inference::EngineError;
use resonance_plant::Code;
use resonance_wire::oip::AnswerError;

/// Why a remote server gave no answer. Says whose fault it is.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RemoteError {
    /// The configuration is wrong.
    #[error("remote.{key}: {problem}")]
    Configuration {
        /// Which key.
        key: &'static str,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// It was not asked yet.
    #[error("{0} was not asked yet")]
    Unasked(String),
    /// Nobody answers there.
    #[error("{server} is not reached: {reason}")]
    Unreachable {
        /// The server's URL.
        server: String,
        /// What the system says.
        reason: String,
    },
    /// No answer in time.
    #[error("{server} did not answer within {limit_ms} ms")]
    TimedOut {
        /// The server's URL.
        server: String,
        /// How long was waited.
        limit_ms: u128,
    },
    /// It answers, but does not serve the model now.
    #[error("{server} says that model {model:?} is not ready")]
    NotReady {
        /// The server's URL.
        server: String,
        /// The model's name there.
        model: String,
    },
    /// The server refused, or failed.
    #[error("{server} answered {status}: {message}")]
    Refused {
        /// The server's URL.
        server: String,
        /// The HTTP or gRPC status.
        status: String,
        /// What it says, shortened.
        message: String,
    },
    /// The server does not serve what the package says.
    #[error("{server} contradicts the package: {problem}")]
    Contradiction {
        /// The server's URL.
        server: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// The server answers the golden vectors otherwise.
    #[error("{server} does not reproduce the package's golden vectors: {problem}")]
    Golden {
        /// The server's URL.
        server: String,
        /// Which vector, and how.
        problem: String,
    },
    /// The request cannot be encoded.
    #[error("{0}")]
    Request(String),
}

impl RemoteError {
    pub(super) fn answer(server: &str, error: &AnswerError) -> Self {
        Self::Contradiction { server: server.into(), problem: error.to_string() }
    }

    /// The code of the event that tells of it.
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Golden { .. } => Code::ModelGoldenMismatch,
            Self::Contradiction { .. } | Self::Configuration { .. } => Code::RemoteRefused,
            _ => Code::RemoteLost,
        }
    }

    /// Whether it is told again: how an outage shows differs from one look to the next.
    pub(super) fn is_news_after(&self, before: &Self) -> bool {
        self.code() != before.code() || (self.code() != Code::RemoteLost && self != before)
    }
}

impl From<RemoteError> for EngineError {
    fn from(error: RemoteError) -> Self {
        Self::Failed(error.to_string())
    }
}
