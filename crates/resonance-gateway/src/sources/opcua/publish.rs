//! The publish loop of one session: keeps requests under way, checks sequence numbers, hands
//! values over, acknowledges what was handed over, notices silence.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::FuturesUnordered;
use opcua::types::{
    DataChangeNotification, Error, NotificationMessage, PublishResponse, StatusChangeNotification,
    StatusCode, SubscriptionAcknowledgement,
};
use resonance_plant::{PointIndex, Timestamp};
use tokio::time::Instant;

use super::failure::Failure;
use super::requests::Live;
use super::sequence::{Sequence, Step, after};
use super::session::Reader;
use super::subscriptions::Layout;
use crate::hub::ingest::{BlockSender, Gap, GapReason};

/// Blocks that must be free before the machine is asked for more.
const BLOCKS_FREE: usize = 32;

/// Publish requests under way, besides two a subscription, and at most.
const REQUESTS_BASE: usize = 3;
const REQUESTS_MAX: usize = 24;

/// Messages asked for again after a jump; a machine keeps few.
const REPUBLISH_MAX: u32 = 64;

/// Longer than any machine may hold a request without at least a keep-alive.
const HOLD_FACTOR: u32 = 3;

type Publishing = FuturesUnordered<BoxFuture<'static, Result<PublishResponse, Error>>>;

/// Receives until the session ends; says why it did.
pub(super) async fn receive(
    live: &Arc<Live>,
    layout: &mut Layout,
    reader: &mut Reader,
    out: &mut BlockSender,
) -> Failure {
    let mut publishing = Publishing::new();
    let mut acknowledged: Vec<SubscriptionAcknowledgement> = Vec::new();
    let mut wanted = (REQUESTS_BASE + 2 * layout.subscriptions.len()).min(REQUESTS_MAX);
    let mut quiet_since = Instant::now();
    let mut rounds = reader.rounds(live, layout);
    loop {
        if publishing.is_empty() {
            // While the hub is behind nothing is asked, so nothing can be expected.
            quiet_since = Instant::now();
        }
        while publishing.len() < wanted && out.available() >= BLOCKS_FREE {
            let done = std::mem::take(&mut acknowledged);
            publishing.push(live.publish(done, layout.silence * HOLD_FACTOR).boxed());
        }
        tokio::select! {
            status = live.closed() => {
                return Failure::Lost(format!("the connection ended: {status}"));
            }
            Some(response) = publishing.next() => {
                match response {
                    Ok(response) => {
                        quiet_since = Instant::now();
                        match take(live, layout, reader, out, response).await {
                            Ok(done) => acknowledged.extend(done),
                            Err(failure) => return failure,
                        }
                    }
                    Err(error) => match error.status() {
                        // One response was lost on the way; silence is judged below.
                        StatusCode::BadTimeout => {}
                        StatusCode::BadTooManyPublishRequests => {
                            wanted = publishing.len().clamp(1, wanted);
                        }
                        _ => return Failure::Lost(format!("publishing ended: {error}")),
                    },
                }
            }
            () = out.ready(BLOCKS_FREE), if publishing.len() < wanted => {}
            () = tokio::time::sleep_until(quiet_since + layout.silence),
                if !publishing.is_empty() => return silent(layout.silence),
            findings = rounds.next() => reader.found(findings, layout, out).await,
        }
    }
}

fn silent(silence: Duration) -> Failure {
    Failure::Silent(format!("neither data nor keep-alive for {} ms", silence.as_millis()))
}

/// Handles one response; returns what may now be acknowledged.
async fn take(
    live: &Live,
    layout: &mut Layout,
    reader: &mut Reader,
    out: &mut BlockSender,
    response: PublishResponse,
) -> Result<Option<SubscriptionAcknowledgement>, Failure> {
    let received = reader.heard(out).await;
    let Some(number) = layout.subscriptions.iter().position(|s| s.id == response.subscription_id)
    else {
        // Of a subscription that an earlier session left behind.
        tracing::debug!(id = response.subscription_id, "a message of a foreign subscription");
        return Ok(None);
    };
    let message = response.notification_message;
    let sequence_number = message.sequence_number;
    let keep_alive = message.notification_data.as_ref().is_none_or(Vec::is_empty);
    let step = note(&mut layout.subscriptions[number].sequence, sequence_number, keep_alive);
    match step {
        Step::Duplicate if !keep_alive => return Ok(Some(done(layout, number, sequence_number))),
        Step::Duplicate | Step::InOrder => {}
        Step::Missing { first, count } => {
            let available = response.available_sequence_numbers.unwrap_or_default();
            repair(live, layout, reader, out, number, (first, count), &available, received).await?;
        }
    }
    if !keep_alive {
        unpack(reader, out, message, received).await?;
    }
    layout.subscriptions[number].complete = received;
    Ok((!keep_alive).then(|| done(layout, number, sequence_number)))
}

fn note(sequence: &mut Sequence, number: u32, keep_alive: bool) -> Step {
    if keep_alive { sequence.keep_alive(number) } else { sequence.data(number) }
}

fn done(layout: &Layout, number: usize, sequence_number: u32) -> SubscriptionAcknowledgement {
    let subscription_id = layout.subscriptions[number].id;
    SubscriptionAcknowledgement { subscription_id, sequence_number }
}

/// Asks for missing messages again, in their order. What stays missing is a gap.
#[expect(clippy::too_many_arguments, reason = "one call; a struct would only rename them")]
async fn repair(
    live: &Live,
    layout: &Layout,
    reader: &mut Reader,
    out: &mut BlockSender,
    number: usize,
    (first, count): (u32, u32),
    available: &[u32],
    received: Timestamp,
) -> Result<(), Failure> {
    let subscription = &layout.subscriptions[number];
    let mut lost = count.saturating_sub(REPUBLISH_MAX);
    let mut missing = (0..lost).fold(first, |number, _| after(number));
    for _ in 0..count.min(REPUBLISH_MAX) {
        // Machines list what they still have; some list nothing though they have it.
        let hopeless = !available.is_empty() && !available.contains(&missing);
        let repeated =
            if hopeless { None } else { live.republish(subscription.id, missing).await.ok() };
        match repeated {
            Some(message) if message.sequence_number == missing => {
                unpack(reader, out, message, received).await?;
            }
            _ => lost += 1,
        }
        missing = after(missing);
    }
    if lost > 0 {
        reader.link.counters.sequence_gaps.add(u64::from(lost));
        let points: Arc<[PointIndex]> = if layout.subscriptions.len() == 1 {
            Arc::from([])
        } else {
            let of_it = layout.items.iter().zip(reader.link.points.iter());
            of_it.filter(|(item, _)| item.subscription == number).map(|(_, p)| p.point).collect()
        };
        let from = subscription.complete.min(received);
        let from = if from == Timestamp::EPOCH { received } else { from };
        let gap = Gap { points, from, to: received, reason: GapReason::SequenceGap };
        reader.unpacker.gap(gap, out);
    }
    Ok(())
}

/// Hands the values of a message over.
async fn unpack(
    reader: &mut Reader,
    out: &mut BlockSender,
    message: NotificationMessage,
    received: Timestamp,
) -> Result<(), Failure> {
    for data in message.notification_data.unwrap_or_default() {
        if let Some(change) = data.inner_as::<StatusChangeNotification>() {
            return Err(Failure::Lost(format!(
                "the machine ended the subscription: {}",
                change.status
            )));
        }
        if let Some(changes) = data.into_inner_as::<DataChangeNotification>() {
            let items = changes.monitored_items.unwrap_or_default();
            reader.unpacker.values(&items, received, out).await;
        }
    }
    Ok(())
}
