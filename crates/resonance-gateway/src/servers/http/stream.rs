//! Server-sent events (WHATWG HTML, 9.2): results and events as they happen.
//!
//! Each has an id; a client that comes back with `Last-Event-ID` goes on where it was. What it
//! missed for good is told as an event `lost` with the number, null where it cannot be known.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use resonance_plant::{Code, Event, ResultRecord};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::timeout;

use super::feed::{Feed, Start};
use super::refusal::Refusal;
use super::shared::Shared;

/// A comment is sent after this much silence, so that both ends see whether the other is there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Entries sent in one piece.
const PIECE_MAX: usize = 64;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ResultFilter {
    /// Only results of this deployment.
    deployment: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NoFilter {}

pub(super) async fn results(
    State(shared): State<Arc<Shared>>,
    filter: Result<Query<ResultFilter>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let Query(filter) = filter.map_err(|error| Refusal::invalid(error.body_text()))?;
    let wanted = move |record: &ResultRecord| {
        filter.deployment.as_ref().is_none_or(|name| *record.deployment == **name)
    };
    let feed = Arc::clone(&shared.results);
    open(shared, feed, "result", headers, Box::new(wanted))
}

pub(super) async fn events(
    State(shared): State<Arc<Shared>>,
    filter: Result<Query<NoFilter>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    filter.map_err(|error| Refusal::invalid(error.body_text()))?;
    let feed = Arc::clone(&shared.events);
    open(shared, feed, "event", headers, Box::new(|_: &Event| true))
}

type Wanted<T> = Box<dyn Fn(&T) -> bool + Send + Sync>;

/// One subscriber.
struct Subscriber<T> {
    shared: Arc<Shared>,
    feed: Arc<Feed<T>>,
    kind: &'static str,
    wanted: Wanted<T>,
    cursor: u64,
    newest: watch::Receiver<u64>,
    stop: watch::Receiver<bool>,
    /// What is to be sent before anything else.
    greeting: Option<Vec<u8>>,
    _place: OwnedSemaphorePermit,
}

fn open<T: Serialize + Send + Sync + 'static>(
    shared: Arc<Shared>,
    feed: Arc<Feed<T>>,
    kind: &'static str,
    headers: HeaderMap,
    wanted: Wanted<T>,
) -> Result<Response, Refusal> {
    let Ok(place) = Arc::clone(&shared.streams).try_acquire_owned() else {
        let detail = "as many streams are open as may be; close one or try again";
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, Code::Overloaded, detail));
    };
    // Clients wait this long before they come back, milliseconds.
    let mut greeting = b"retry: 2000\n\n".to_vec();
    let last_id = headers.get("last-event-id").map(|id| id.to_str().unwrap_or_default());
    let cursor = match last_id.map(|id| feed.resume(id)) {
        Some(Start::After(sequence)) => sequence,
        Some(Start::Unknown) => {
            let newest = feed.newest();
            lost(&mut greeting, &feed.id(newest), None);
            newest
        }
        None => feed.newest(),
    };
    let subscriber = Subscriber {
        newest: feed.watch(),
        stop: shared.stop.clone(),
        shared,
        feed,
        kind,
        wanted,
        cursor,
        greeting: Some(greeting),
        _place: place,
    };
    let pieces = stream::unfold(subscriber, |mut subscriber| async move {
        let piece = subscriber.next().await?;
        Some((Ok::<_, std::convert::Infallible>(piece), subscriber))
    });
    let headers =
        [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(pieces)).into_response())
}

impl<T: Serialize> Subscriber<T> {
    /// The next piece; `None` when the server stops.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(greeting) = self.greeting.take() {
            return Some(greeting.into());
        }
        loop {
            if *self.stop.borrow() {
                return None;
            }
            self.newest.mark_unchanged();
            let mut piece = Vec::new();
            if self.gather(&mut piece) && !piece.is_empty() {
                return Some(piece.into());
            }
            if self.cursor < self.feed.newest() {
                continue;
            }
            let changed = async {
                tokio::select! {
                    changed = self.newest.changed() => changed.is_ok(),
                    _ = self.stop.wait_for(|stop| *stop) => false,
                }
            };
            match timeout(KEEP_ALIVE, changed).await {
                Ok(true) => {}
                Ok(false) => return None,
                Err(_) => return Some(Bytes::from_static(b": still here\n\n")),
            }
        }
    }

    /// Writes what is next; false where there is nothing.
    fn gather(&mut self, piece: &mut Vec<u8>) -> bool {
        let batch = self.feed.after(self.cursor, PIECE_MAX);
        let Some(first) = batch.entries.first() else { return false };
        if batch.lost > 0 {
            lost(piece, &self.feed.id(first.sequence - 1), Some(batch.lost));
        }
        for entry in batch.entries {
            self.cursor = entry.sequence;
            if !(self.wanted)(&entry.item) {
                continue;
            }
            self.shared.counters.delivered.add(1);
            // Writing to a vector cannot fail.
            let id = self.feed.id(entry.sequence);
            let _ = write!(piece, "event: {}\nid: {id}\ndata: ", self.kind);
            piece.extend_from_slice(entry.json());
            piece.extend_from_slice(b"\n\n");
        }
        true
    }
}

fn lost(piece: &mut Vec<u8>, id: &str, count: Option<u64>) {
    let (count, reason) = match count {
        Some(count) => (count.to_string(), "the client was slower than the stream"),
        None => ("null".to_owned(), "the id is not of this run of the gateway"),
    };
    // Writing to a vector cannot fail.
    let _ = write!(
        piece,
        "event: lost\nid: {id}\ndata: {{\"count\":{count},\"reason\":\"{reason}\"}}\n\n"
    );
}
