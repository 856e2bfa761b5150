//! Why there is no session, or no longer one; each says what to do.

use opcua::types::{Error, StatusCode};
use resonance_plant::Code;

use crate::hub::ingest::GapReason;

/// Why a session could not be made, or ended.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The machine does not answer, or not as an OPC UA server does.
    #[error("{0}")]
    Unreachable(String),
    /// The machine, or the configuration, forbids the session.
    #[error("{0}")]
    Refused(String),
    /// We do not trust the machine.
    #[error("{0}")]
    Untrusted(String),
    /// There was a session and it ended.
    #[error("{0}")]
    Lost(String),
    /// The machine ended the subscriptions: nothing is left to go on with.
    #[error("{0}")]
    Ended(String),
    /// There was a session, and neither data nor keep-alives.
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

    /// Whether the machine may still have the session with all its subscriptions.
    pub(super) fn leaves_session(&self) -> bool {
        matches!(self, Self::Lost(_) | Self::Silent(_))
    }

    /// The reason of the gap that begins.
    pub(super) fn gap_reason(&self) -> GapReason {
        match self {
            Self::Silent(_) => GapReason::Silence,
            _ => GapReason::ConnectionLost,
        }
    }

    /// From an error of the OPC UA stack while the session is made; `step` is what was tried.
    pub(super) fn while_connecting(url: &str, step: &str, error: &Error) -> Self {
        let status = error.status();
        let text = format!("{url}: {step}: {error}");
        match remedy(status) {
            Some(remedy) => Self::Refused(format!("{text}; {remedy}")),
            None => Self::Unreachable(text),
        }
    }
}

/// What to do about a status that means no; `None`: the machine did not say no.
fn remedy(status: StatusCode) -> Option<&'static str> {
    Some(match status {
        StatusCode::BadIdentityTokenRejected
        | StatusCode::BadIdentityTokenInvalid
        | StatusCode::BadUserAccessDenied
        | StatusCode::BadUserSignatureInvalid => "check user and password",
        StatusCode::BadCertificateUntrusted
        | StatusCode::BadSecurityChecksFailed
        | StatusCode::BadCertificateInvalid
        | StatusCode::BadCertificateTimeInvalid
        | StatusCode::BadCertificateUriInvalid
        | StatusCode::BadCertificateUseNotAllowed
        | StatusCode::BadCertificateIssuerTimeInvalid
        | StatusCode::BadCertificateChainIncomplete
        | StatusCode::BadCertificateHostNameInvalid => {
            "trust this gateway's certificate (own/cert.der in its pki folder) on the machine"
        }
        StatusCode::BadSecurityPolicyRejected
        | StatusCode::BadSecurityModeRejected
        | StatusCode::BadSecurityModeInsufficient => {
            "choose a security_policy and security_mode that the machine offers"
        }
        StatusCode::BadTooManySessions | StatusCode::BadTcpNotEnoughResources => {
            "close other clients' sessions, or raise the machine's session limit"
        }
        StatusCode::BadTcpEndpointUrlInvalid => "check the path of the url",
        _ => return None,
    })
}
