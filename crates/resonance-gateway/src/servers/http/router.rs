//! The routes.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use resonance_plant::{Code, Principal};
use tokio::sync::SemaphorePermit;
use tokio::time::Instant;
use tower::Service;

use super::management::OPERATIONS;
use super::refusal::{Half, Refusal};
use super::shared::Shared;
use super::{body, gate, inference, metadata, repository};

/// When a request's body must have arrived.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(pub(super) Instant);

pub(super) fn router(shared: Arc<Shared>) -> Router {
    // Full paths: nested routers take every request's path apart and build it anew.
    let management = OPERATIONS
        .iter()
        .fold(Router::new(), |routes, operation| routes.route(operation.path, (operation.route)()));
    management
        .route("/v2", get(metadata::server))
        .route("/v2/", get(metadata::server))
        .route("/v2/health/live", get(metadata::live))
        .route("/v2/health/ready", get(metadata::ready))
        .route("/v2/repository/index", post(repository::index))
        .route("/v2/repository/models/{model}/load", post(repository::load))
        .route("/v2/repository/models/{model}/unload", post(repository::unload))
        .route("/v2/models/stats", get(repository::all_statistics))
        .route("/v2/models/{model}/stats", get(repository::statistics))
        .route("/v2/models/{model}/versions/{version}/stats", get(repository::statistics))
        .route("/v2/models/{model}", get(metadata::model))
        .route("/v2/models/{model}/ready", get(metadata::model_ready))
        .route("/v2/models/{model}/infer", post(inference::infer))
        .route("/v2/models/{model}/versions/{version}", get(metadata::model))
        .route("/v2/models/{model}/versions/{version}/ready", get(metadata::model_ready))
        .route("/v2/models/{model}/versions/{version}/infer", post(inference::infer))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .with_state(shared)
}

/// Answers one request: through the gate, then by its route.
pub(super) async fn answer(
    shared: &Shared,
    routes: &mut Router,
    peer: SocketAddr,
    mut request: Request<Body>,
) -> Response {
    shared.counters.requests.add(1);
    let path = request.uri().path().to_owned();
    let refused = |refusal: &Refusal, principal: Option<&Principal>| {
        shared.counters.refused.add(1);
        shared.complaints.tell(refusal.code, principal, &path, &refusal.detail);
        refusal.respond(Half::of(&path))
    };
    let (method, uri, headers) = (request.method(), request.uri(), request.headers());
    let (principal, _place) = match enter(shared, peer, method, uri, headers).await {
        Ok(entered) => entered,
        Err((refusal, principal)) => {
            let mut response = refused(&refusal, principal.as_ref());
            let (parts, content) = request.into_parts();
            if !body::drain(&parts.headers, content).await {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            }
            return response;
        }
    };
    let extensions = request.extensions_mut();
    extensions.insert(Deadline(Instant::now() + shared.plan.request_timeout));
    extensions.insert(principal.clone());
    let Ok(mut response) = routes.call(request).await;
    match response.extensions_mut().remove::<Refusal>() {
        Some(refusal) => {
            // What the path takes, where the method is not that (RFC 9110, 15.5.6).
            let allow = response.headers_mut().remove(header::ALLOW);
            let mut told = refused(&refusal, Some(&principal));
            told.headers_mut().extend(allow.map(|allow| (header::ALLOW, allow)));
            told
        }
        None => response,
    }
}

/// A place among the requests under way, for those that need one.
pub(in crate::servers) type Place<'a> = Option<SemaphorePermit<'a>>;

/// Who asks, and a place for the request.
pub(in crate::servers) async fn enter<'a>(
    shared: &'a Shared,
    peer: SocketAddr,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<(Principal, Place<'a>), (Refusal, Option<Principal>)> {
    let principal = gate::admit(shared, peer, method, uri, headers);
    let principal = principal.await.map_err(|refusal| (refusal, None))?;
    if !gate::is_bounded(uri.path()) {
        return Ok((principal, None));
    }
    match shared.requests.try_acquire() {
        Ok(place) => Ok((principal, Some(place))),
        Err(_) => {
            let most = shared.plan.requests_max;
            let detail = format!("{most} requests are under way, which is the bound; try again");
            Err((Refusal::overloaded(detail), Some(principal)))
        }
    }
}

/// A refusal travels as an extension; [`answer`] counts it, tells of it and writes it in the form
/// of its half.
impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// A typed path whose refusal is ours.
#[derive(Debug)]
pub(super) struct In<T>(pub(super) T);

impl<S: Send + Sync, T: serde::de::DeserializeOwned + Send> FromRequestParts<S> for In<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        Path::from_request_parts(parts, state)
            .await
            .map(|Path(path)| Self(path))
            .map_err(|error: PathRejection| Refusal::invalid(error.body_text()))
    }
}

async fn no_route(uri: Uri) -> Refusal {
    Refusal::unknown(format!("there is nothing at {}", uri.path()))
}

async fn no_method(uri: Uri) -> Refusal {
    let detail = format!("{} does not take this method", uri.path());
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, Code::RequestInvalid, detail)
}
