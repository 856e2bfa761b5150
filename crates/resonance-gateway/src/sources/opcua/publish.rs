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
use super::sequence::{Sequence, Step, ahead};
use super::session::Reader;
use super::subscriptions::Layout;
use crate::hub::ingest::{BlockSender, Gap, GapReason};
use crate::sources::contact::shifted;

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
                        let taken = take(live, layout, reader, out, response, &mut acknowledged);
                        if let Err(failure) = taken.await {
                            return failure;
                        }
                    }
                    Err(error) => match error.status() {
                        // One response was lost on the way; silence is judged below.
                        StatusCode::BadTimeout => {}
                        StatusCode::BadTooManyPublishRequests => {
                            wanted = publishing.len().clamp(1, wanted);
                        }
                        StatusCode::BadNoSubscription | StatusCode::BadSubscriptionIdInvalid => {
                            return Failure::Ended(format!("there is no subscription: {error}"));
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

fn ended(change: &StatusChangeNotification) -> Failure {
    Failure::Ended(format!("the machine ended the subscription: {}", change.status))
}

fn silent(silence: Duration) -> Failure {
    Failure::Silent(format!("neither data nor keep-alive for {} ms", silence.as_millis()))
}

/// Handles one response; adds what may now be acknowledged. Where it fails, the sequence stands
/// before what was not handed over, so that a session that goes on asks for it again.
async fn take(
    live: &Live,
    layout: &mut Layout,
    reader: &mut Reader,
    out: &mut BlockSender,
    response: PublishResponse,
    acknowledged: &mut Vec<SubscriptionAcknowledgement>,
) -> Result<(), Failure> {
    // Before it counts as heard: an outage must not end with the news that it lasted too long.
    let data = response.notification_message.notification_data.iter().flatten();
    if let Some(change) = data.filter_map(|d| d.inner_as::<StatusChangeNotification>()).next() {
        return Err(ended(change));
    }
    let received = reader.heard(out).await;
    let subscription_id = response.subscription_id;
    let Some(number) = layout.subscriptions.iter().position(|s| s.id == subscription_id) else {
        // Of a subscription that an earlier session left behind.
        tracing::debug!(id = subscription_id, "a message of a foreign subscription");
        return Ok(());
    };
    let message = response.notification_message;
    let sequence_number = message.sequence_number;
    let keep_alive = message.notification_data.as_ref().is_none_or(Vec::is_empty);
    let mut sequence = layout.subscriptions[number].sequence;
    let step = note(&mut sequence, sequence_number, keep_alive);
    if step == Step::Duplicate && !keep_alive {
        acknowledged.push(SubscriptionAcknowledgement { subscription_id, sequence_number });
        return Ok(());
    }
    if let Step::Missing { first, count } = step {
        layout.subscriptions[number].is_whole = false;
        let available = response.available_sequence_numbers.unwrap_or_default();
        let missing = Missed { number, first, count, available, received };
        repair(live, layout, reader, out, missing, acknowledged).await?;
    }
    if !keep_alive {
        unpack(reader, out, message, received).await?;
        acknowledged.push(SubscriptionAcknowledgement { subscription_id, sequence_number });
    }
    let subscription = &mut layout.subscriptions[number];
    (subscription.sequence, subscription.complete) = (sequence, received);
    subscription.is_whole = true;
    reader.progressed = true;
    Ok(())
}

fn note(sequence: &mut Sequence, number: u32, keep_alive: bool) -> Step {
    if keep_alive { sequence.keep_alive(number) } else { sequence.data(number) }
}

/// Messages that did not arrive.
struct Missed {
    /// Of which subscription, in the layout.
    number: usize,
    first: u32,
    count: u32,
    /// Those that the machine says it still has; some say nothing though they have them.
    available: Vec<u32>,
    received: Timestamp,
}

/// Asks for missing messages again, in their order. What the machine does not have any more is a
/// gap; what is not yet asked for when the connection ends stays missing.
async fn repair(
    live: &Live,
    layout: &mut Layout,
    reader: &mut Reader,
    out: &mut BlockSender,
    missed: Missed,
    acknowledged: &mut Vec<SubscriptionAcknowledgement>,
) -> Result<(), Failure> {
    let Missed { number, first, count, available, received } = missed;
    let subscription_id = layout.subscriptions[number].id;
    let too_old = count.saturating_sub(REPUBLISH_MAX);
    if too_old > 0 {
        layout.subscriptions[number].sequence.data(ahead(first, too_old - 1));
    }
    let mut lost = too_old;
    let mut repaired = Ok(());
    for step in too_old..count {
        let sequence_number = ahead(first, step);
        let hopeless = !available.is_empty() && !available.contains(&sequence_number);
        let repeated = match hopeless {
            true => Ok(None),
            false => live.republish(subscription_id, sequence_number).await,
        };
        match repeated {
            Ok(Some(message)) => {
                unpack(reader, out, message, received).await?;
                reader.progressed = true;
                acknowledged.push(SubscriptionAcknowledgement { subscription_id, sequence_number });
            }
            Ok(None) => lost += 1,
            Err(error) => {
                repaired = Err(Failure::Lost(format!("asking for a lost message: {error}")));
                break;
            }
        }
        layout.subscriptions[number].sequence.data(sequence_number);
    }
    if lost > 0 {
        tell_lost(layout, reader, out, number, lost, received);
    }
    repaired
}

/// Tells the gap that lost messages of a subscription leave.
fn tell_lost(
    layout: &Layout,
    reader: &mut Reader,
    out: &mut BlockSender,
    number: usize,
    lost: u32,
    received: Timestamp,
) {
    reader.link.counters.sequence_gaps.add(u64::from(lost));
    let points: Arc<[PointIndex]> = if layout.subscriptions.len() == 1 {
        Arc::from([])
    } else {
        let of_it = layout.items.iter().zip(reader.link.points.iter());
        of_it.filter(|(item, _)| item.subscription == number).map(|(_, p)| p.point).collect()
    };
    let from = layout.subscriptions[number].complete.min(received);
    let offset_us = reader.unpacker.outlet.clock_offset_us();
    let (from, to) = (shifted(from, offset_us), shifted(received, offset_us));
    let gap = Gap { points, from, to, reason: GapReason::SequenceGap };
    reader.unpacker.outlet.gap(gap, out);
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
            return Err(ended(change));
        }
        if let Some(changes) = data.into_inner_as::<DataChangeNotification>() {
            let items = changes.monitored_items.unwrap_or_default();
            reader.unpacker.values(&items, received, out).await;
        }
    }
    Ok(())
}
