//! Where a camera, or whoever triggers it, POSTs images: `POST /?part_id=P1&triggered=TIME`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use resonance_plant::Timestamp;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};

use super::config::ImageConfig;
use super::decode::{Refused, decode};

/// Bodies that are read at the same time; more are told to come again.
const BODIES_MAX: usize = 8;

/// A body that takes longer is refused.
const BODY_TIME_MAX: Duration = Duration::from_secs(10);

/// An image with what is known of it.
#[derive(Debug)]
pub(super) struct Posted {
    pub(super) pixels: Vec<u8>,
    pub(super) part_id: String,
    pub(super) triggered: Option<Timestamp>,
}

/// The longest part id that is taken, bytes.
pub(super) const PART_ID_BYTES_MAX: usize = 256;

#[derive(Debug)]
struct Door {
    config: ImageConfig,
    images: mpsc::Sender<Posted>,
    bodies: Semaphore,
    decoder: Semaphore,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    part_id: String,
    #[serde(default)]
    triggered: Option<String>,
}

/// Takes images until it is dropped; each is decoded before it is answered.
pub(super) async fn serve(
    listener: TcpListener,
    config: ImageConfig,
    images: mpsc::Sender<Posted>,
) -> std::io::Result<()> {
    let (bodies, decoder) = (Semaphore::new(BODIES_MAX), Semaphore::new(1));
    let door = Arc::new(Door { config, images, bodies, decoder });
    let routes = Router::new().route("/", post(take)).with_state(door);
    axum::serve(listener, routes).await
}

async fn take(State(door): State<Arc<Door>>, said: Query<Said>, body: Body) -> Response {
    let Ok(_place) = door.bodies.try_acquire() else {
        return problem(StatusCode::SERVICE_UNAVAILABLE, "too many images at once; try again");
    };
    let Said { part_id, triggered } = said.0;
    if part_id.is_empty() || part_id.len() > PART_ID_BYTES_MAX {
        let text = format!("part_id must have 1 to {PART_ID_BYTES_MAX} bytes");
        return problem(StatusCode::BAD_REQUEST, &text);
    }
    let triggered = match triggered.as_deref().map(Timestamp::parse_rfc3339) {
        Some(None) => {
            let text = "triggered is no time; write it like 2026-11-21T08:00:00Z";
            return problem(StatusCode::BAD_REQUEST, text);
        }
        Some(time) => time,
        None => None,
    };
    let file =
        match tokio::time::timeout(BODY_TIME_MAX, to_bytes(body, door.config.bytes_max as usize))
            .await
        {
            Ok(Ok(file)) => file,
            Ok(Err(_)) => {
                let most = door.config.bytes_max;
                let text =
                    format!("the body ended early or has more than {most} bytes (`bytes_max`)");
                return problem(StatusCode::PAYLOAD_TOO_LARGE, &text);
            }
            Err(_) => return problem(StatusCode::REQUEST_TIMEOUT, "the body took too long"),
        };
    // One after the other: an image takes a hundred times its file.
    let Ok(_turn) = door.decoder.acquire().await else {
        return problem(StatusCode::SERVICE_UNAVAILABLE, "the source ends");
    };
    let config = door.config.clone();
    let decoded = tokio::task::spawn_blocking(move || decode(&file, &config)).await;
    let pixels = match decoded {
        Ok(Ok(pixels)) => pixels,
        Ok(Err(refused @ Refused::Format)) => {
            return problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, &refused.to_string());
        }
        Ok(Err(refused)) => {
            return problem(StatusCode::UNPROCESSABLE_ENTITY, &refused.to_string());
        }
        Err(_) => {
            let text = "the decoder failed on this file";
            return problem(StatusCode::UNPROCESSABLE_ENTITY, text);
        }
    };
    let accepted = Json(serde_json::json!({ "part_id": part_id, "status": "accepted" }));
    match door.images.try_send(Posted { pixels, part_id, triggered }) {
        Ok(()) => (StatusCode::ACCEPTED, accepted).into_response(),
        Err(_) => {
            let text = "images come faster than they are taken (`interval_ms`); try again";
            problem(StatusCode::SERVICE_UNAVAILABLE, text)
        }
    }
}

/// As RFC 9457 writes problems.
fn problem(status: StatusCode, detail: &str) -> Response {
    let body = serde_json::json!({
        "type": "about:blank",
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "detail": detail,
    });
    let kind = [("content-type", "application/problem+json")];
    (status, kind, body.to_string()).into_response()
}
