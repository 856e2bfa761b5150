//! One call: through the gate, its message read within its bounds, then by its name, for as long as
//! the caller waits.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use resonance_plant::{Code, Principal};
use tokio::time::{Instant, timeout_at};
use tonic::codegen::Service;

use super::calls::Calls;
use super::{deadline, status};
use crate::servers::http::refusal::Refusal;
use crate::servers::http::shared::Shared;
use crate::servers::http::{body, router};

/// A message's prefix: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// Answers one call. Dropped when the caller cancels or its connection ends: an inference that has
/// not begun then never does.
pub(in crate::servers) async fn answer(
    shared: &Arc<Shared>,
    calls: &mut Calls,
    peer: SocketAddr,
    request: Request<Body>,
) -> Response<Body> {
    shared.counters.requests.add(1);
    let path = request.uri().path().to_owned();
    let refused = |refusal: &Refusal, principal: Option<&Principal>| {
        shared.counters.refused.add(1);
        shared.complaints.tell(refusal.code, principal, &path, &refusal.detail);
        status::of(refusal).into_http::<tonic::body::Body>().map(Body::new)
    };
    let (method, uri, headers) = (request.method(), request.uri(), request.headers());
    let arrival = Instant::now();
    let waits = deadline::timeout(headers);
    let (principal, _place) = match router::enter(shared, peer, method, uri, headers).await {
        Ok(entered) => entered,
        Err((refusal, principal)) => return refused(&refusal, principal.as_ref()),
    };
    let called = call(shared, calls, principal.clone(), request);
    let response = match waits {
        None => called.await,
        Some(waits) => timeout_at(arrival + waits, called).await.unwrap_or_else(|_| {
            let detail = format!("the caller waits {waits:?} only, and the answer takes longer");
            Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, Code::RequestTimeout, detail))
        }),
    };
    match response {
        Ok(response) => told(shared, &principal, &path, response),
        Err(refusal) => refused(&refusal, Some(&principal)),
    }
}

async fn call(
    shared: &Shared,
    calls: &mut Calls,
    principal: Principal,
    request: Request<Body>,
) -> Result<Response<Body>, Refusal> {
    let (mut parts, content) = request.into_parts();
    let limit = shared.plan.body_bytes_max + PREFIX_BYTES;
    let deadline = Instant::now() + shared.plan.request_timeout;
    let content = body::read(&parts.headers, content, limit, deadline).await?;
    parts.extensions.insert(principal);
    let Ok(response) = calls.service().call(Request::from_parts(parts, Full::new(content))).await;
    Ok(response.map(Body::new))
}

/// Counts and tells of a call that was refused behind the gate. What the gRPC layer itself refuses,
/// a message that is none, gets the status and code of any other malformed request.
fn told(
    shared: &Shared,
    principal: &Principal,
    path: &str,
    mut response: Response<Body>,
) -> Response<Body> {
    let headers = response.headers_mut();
    let Some(said) = headers.get("grpc-status").filter(|said| *said != "0") else {
        return response;
    };
    let internal = said == "13";
    let code = headers.get(status::CODE).and_then(|code| status::code(code.as_bytes()));
    let code = code.unwrap_or_else(|| {
        if internal {
            headers.insert("grpc-status", HeaderValue::from_static("3"));
        }
        let name = Code::RequestInvalid.name();
        headers.insert(status::CODE, HeaderValue::from_static(name));
        Code::RequestInvalid
    });
    let message = headers.get("grpc-message").and_then(|message| message.to_str().ok());
    shared.counters.refused.add(1);
    shared.complaints.tell(code, Some(principal), path, message.unwrap_or("refused"));
    response
}
