//! How a request is refused: `{"error": ...}` under `/v2`, problem details under `/api/v1`.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use resonance_plant::Code;
use resonance_wire::oip;
use schemars::JsonSchema;
use serde::Serialize;

/// Why a request gets no answer of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::servers) struct Refusal {
    pub(in crate::servers) status: StatusCode,
    pub(in crate::servers) code: Code,
    /// For people, with the particulars.
    pub(in crate::servers) detail: String,
}

/// The two halves of the server differ in how they write errors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::servers) enum Half {
    Inference,
    Management,
}

impl Half {
    pub(in crate::servers) fn of(path: &str) -> Self {
        if path == "/v2" || path.starts_with("/v2/") { Self::Inference } else { Self::Management }
    }
}

impl Refusal {
    pub(in crate::servers) fn new(
        status: StatusCode,
        code: Code,
        detail: impl Into<String>,
    ) -> Self {
        Self { status, code, detail: detail.into() }
    }

    pub(in crate::servers) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::RequestInvalid, detail)
    }

    pub(in crate::servers) fn unknown(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, Code::RequestUnknown, detail)
    }

    pub(in crate::servers) fn overloaded(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, Code::Overloaded, detail)
    }

    pub(in crate::servers) fn respond(&self, half: Half) -> Response {
        let (media, body) = match half {
            Half::Inference => ("application/json", oip::encode_error(&self.detail)),
            Half::Management => ("application/problem+json", self.problem()),
        };
        let mut response = (self.status, [(header::CONTENT_TYPE, media)], body).into_response();
        let headers = response.headers_mut();
        match self.status {
            StatusCode::UNAUTHORIZED => {
                let basic =
                    HeaderValue::from_static("Basic realm=\"resonance\", charset=\"UTF-8\"");
                headers.insert(header::WWW_AUTHENTICATE, basic);
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            // What is left of the body is not worth reading.
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }

    fn problem(&self) -> Vec<u8> {
        let problem = Problem {
            kind: format!("urn:resonance:code:{}", self.code),
            title: self.code.meaning(),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
            remedy: Some(self.code.remedy()).filter(|remedy| !remedy.is_empty()),
        };
        // Texts and numbers only: it cannot fail to serialise.
        serde_json::to_vec(&problem).unwrap_or_default()
    }
}

/// Problem details (RFC 9457), with the code and its remedy as extension members.
#[derive(Serialize, JsonSchema)]
pub(super) struct Problem<'a> {
    /// `urn:resonance:code:` and the code: stable, one for each condition.
    #[serde(rename = "type")]
    kind: String,
    /// What the code means; the same for every occurrence.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// The particulars of this occurrence.
    detail: &'a str,
    /// The code by itself, as events carry it.
    code: Code,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'a str>,
}
