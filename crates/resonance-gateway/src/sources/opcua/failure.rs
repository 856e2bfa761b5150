//! What an error of the OPC UA stack means for a session.

use opcua::types::{Error, StatusCode};

pub(super) use crate::sources::failure::Failure;

impl Failure {
    /// Whether the machine may still have the session with all its subscriptions.
    pub(super) fn leaves_session(&self) -> bool {
        matches!(self, Self::Lost(_) | Self::Silent(_))
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
        | StatusCode::BadUserSignatureInvalid => {
            "check user and password, or user_certificate and user_key"
        }
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
