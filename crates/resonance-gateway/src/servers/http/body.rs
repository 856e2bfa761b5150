//! Reads a request's body within bounds of size and time.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use resonance_plant::Code;
use tokio::time::{Instant, timeout_at};

use super::refusal::Refusal;

/// Memory taken ahead of the data for a body whose length is announced, bytes: an announcement
/// alone takes no more.
const RESERVED_MAX: usize = 1 << 20;

/// Reads a body of at most `limit` bytes that must be whole before `deadline`. One that came in
/// one piece is not copied.
pub(in crate::servers) async fn read(
    headers: &HeaderMap,
    mut body: Body,
    limit: usize,
    deadline: Instant,
) -> Result<Bytes, Refusal> {
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING)
        && encoding != "identity"
    {
        let detail = "compressed bodies are not supported; send it without Content-Encoding";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(Refusal::new(status, Code::RequestInvalid, detail));
    }
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let announced = announced.and_then(|value| value.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(too_large(limit));
    }
    let mut first = Bytes::new();
    let mut rest: Vec<u8> = Vec::new();
    loop {
        let frame = timeout_at(deadline, body.frame()).await.map_err(|_| {
            let detail = "the body did not arrive in time";
            Refusal::new(StatusCode::REQUEST_TIMEOUT, Code::RequestTimeout, detail)
        })?;
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|_| Refusal::invalid("the body ended before its length"))?;
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + rest.len() + data.len() > limit {
            return Err(too_large(limit));
        }
        if rest.is_empty() && first.is_empty() {
            first = data;
            continue;
        }
        if rest.is_empty() {
            let length = announced.and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
            rest.reserve(length.min(RESERVED_MAX).max(first.len() + data.len()));
            rest.extend_from_slice(&std::mem::take(&mut first));
        }
        rest.extend_from_slice(&data);
    }
    Ok(if rest.is_empty() { first } else { rest.into() })
}

/// The largest body that is read only to keep the connection of a refused request usable, bytes.
const DRAINED_MAX: usize = 64 << 10;

/// How long such a body may take.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// Reads over the body of a request that is refused without looking at it. False where it is too
/// large or too slow for that: the connection must then be closed.
pub(in crate::servers) async fn drain(headers: &HeaderMap, body: Body) -> bool {
    if body.is_end_stream() {
        return true;
    }
    read(headers, body, DRAINED_MAX, Instant::now() + DRAIN_TIMEOUT).await.is_ok()
}

fn too_large(limit: usize) -> Refusal {
    let detail = format!("the body is larger than the {limit} bytes allowed");
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, Code::RequestTooLarge, detail)
}
