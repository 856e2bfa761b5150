//! What happened while the machine was away, from its history (HistoryRead, ReadRawModified; OPC
//! 10000-11, 6.5.3).
//!
//! It is read before the new session's first message is asked for: what the machine says meanwhile
//! waits in its queues, and to the hub the machine is not there yet. So the past is complete before
//! anything is computed from it, and nothing is computed about the past.

use std::collections::VecDeque;
use std::time::Duration;

use opcua::types::{
    AttributeId, ByteString, DateTime, Error, HistoryData, HistoryReadValueId, NodeId,
    ReadRawModifiedDetails, Variant,
};
use resonance_opcua::value::{timestamp_from_ua, timestamp_to_ua};
use resonance_plant::Timestamp;
use tokio::time::Instant;

use super::config::OpcUaConfig;
use super::requests::Live;
use super::subscriptions::Layout;
use super::unpack::Unpacker;
use crate::hub::ingest::BlockSender;
use crate::sources::outage::Recovery;

/// Points asked for with one request, and values of each in one answer.
const POINTS_PER_REQUEST: usize = 16;
const VALUES_PER_PAGE: u32 = 1_000;

/// What a machine sampled this long before its last message may not have been in it.
const MARGIN: Duration = Duration::from_secs(1);

/// The bit of an access level that lets history be read (OPC 10000-3, 8.57).
const HISTORY_READ: u8 = 1 << 2;

/// A point whose history is read.
struct Reading {
    index: usize,
    node: NodeId,
    /// Values from then on are wanted.
    start: Timestamp,
    /// The newest that was had.
    newest: Timestamp,
    continuation: ByteString,
}

/// What one request brought for a point.
enum Page {
    Last,
    More,
    None,
}

/// Reads what the points said since `from` until now, all on the machine's clock, within bounds.
pub(super) async fn recover(
    live: &Live,
    config: &OpcUaConfig,
    layout: &Layout,
    unpacker: &mut Unpacker,
    (from, now): (Timestamp, Timestamp),
    out: &mut BlockSender,
) -> Recovery {
    let oldest = now.minus(Duration::from_secs(config.backfill_s_max.into()));
    let too_old = (oldest > from).then_some(oldest);
    let mut recovery = Recovery { oldest: too_old, ..Recovery::default() };
    // The machine keeps a subscription that nobody asks for longer than that.
    let deadline = Instant::now() + layout.silence;
    let with_history = match tokio::time::timeout_at(deadline, historized(live, layout)).await {
        Ok(Ok(with_history)) => with_history,
        _ => vec![false; layout.items.len()],
    };
    // What was sampled before the last message and was not in it is dropped where it was.
    let margin = Duration::from_millis(u64::from(config.publishing_ms)) + MARGIN;
    let start = from.max(oldest).minus(margin);
    let mut waiting = VecDeque::new();
    for (index, has_history) in with_history.into_iter().enumerate() {
        let Some(point) = unpacker.outlet.link.points.get(index) else { continue };
        match (has_history, &layout.items[index].node, unpacker.was_observed(index)) {
            (true, Some(node), true) => waiting.push_back(Reading {
                index,
                node: node.clone(),
                start,
                newest: start,
                continuation: ByteString::null(),
            }),
            _ => recovery.without.push(point.point),
        }
    }
    let until = now.plus(layout.silence);
    while !waiting.is_empty() {
        let asked = next(&mut waiting);
        let left = u64::from(config.backfill_values_max).saturating_sub(recovery.values);
        if left == 0 {
            partial(&mut recovery, unpacker, asked.iter().chain(&waiting));
            release(live, asked.into_iter().chain(waiting)).await;
            break;
        }
        let answer = tokio::select! {
            _ = live.closed() => None,
            answer = tokio::time::timeout_at(deadline, ask(live, &asked, until)) => answer.ok(),
        };
        let Some(Ok(answers)) = answer else {
            partial(&mut recovery, unpacker, asked.iter().chain(&waiting));
            break;
        };
        for (mut reading, (data, continuation)) in asked.into_iter().zip(answers) {
            let page = take(unpacker, &mut reading, data, continuation, &mut recovery, out).await;
            match page {
                Page::Last => recovery.whole += 1,
                Page::None => {
                    recovery.without.push(unpacker.outlet.link.points[reading.index].point);
                }
                Page::More => waiting.push_back(reading),
            }
        }
    }
    recovery
}

/// Points that are asked for together: their pages begin at the same time.
fn next(waiting: &mut VecDeque<Reading>) -> Vec<Reading> {
    let start = waiting.front().map(|reading| reading.start);
    let alike = waiting.iter().take_while(|reading| Some(reading.start) == start);
    let count = alike.count().min(POINTS_PER_REQUEST);
    waiting.drain(..count).collect()
}

/// For every point, whether its history may be read.
async fn historized(live: &Live, layout: &Layout) -> Result<Vec<bool>, Error> {
    let mut may = vec![false; layout.items.len()];
    let monitored: Vec<usize> =
        (0..may.len()).filter(|index| layout.items[*index].monitored.is_some()).collect();
    for batch in monitored.chunks(layout.nodes_per_read.max(1)) {
        let nodes = batch.iter().filter_map(|index| layout.items[*index].node.clone()).collect();
        let levels = live.read(nodes, AttributeId::UserAccessLevel).await?;
        for (index, level) in batch.iter().zip(levels) {
            may[*index] = matches!(level.value, Some(Variant::Byte(it)) if it & HISTORY_READ != 0);
        }
    }
    Ok(may)
}

/// One page of each; `None`: the machine gives no history of that point.
async fn ask(
    live: &Live,
    readings: &[Reading],
    until: Timestamp,
) -> Result<Vec<(Option<HistoryData>, ByteString)>, Error> {
    let start = readings.first().map_or(until, |reading| reading.start);
    let details = ReadRawModifiedDetails {
        is_read_modified: false,
        start_time: timestamp_to_ua(start),
        end_time: timestamp_to_ua(until),
        num_values_per_node: VALUES_PER_PAGE,
        return_bounds: false,
    };
    let nodes = readings.iter().map(|it| asked_for(&it.node, &it.continuation)).collect();
    let answers = live.history(details, nodes, false).await?;
    Ok(answers
        .into_iter()
        .map(|answer| {
            let data = Some(answer.history_data).filter(|_| !answer.status_code.is_bad());
            // Nothing at all is an empty page.
            let data = data.map(|data| data.into_inner_as::<HistoryData>());
            let data = data.map(|data| data.map_or_else(HistoryData::default, |data| *data));
            (data, answer.continuation_point)
        })
        .collect())
}

fn asked_for(node: &NodeId, continuation: &ByteString) -> HistoryReadValueId {
    HistoryReadValueId {
        node_id: node.clone(),
        continuation_point: continuation.clone(),
        ..HistoryReadValueId::default()
    }
}

async fn take(
    unpacker: &mut Unpacker,
    reading: &mut Reading,
    data: Option<HistoryData>,
    continuation: ByteString,
    recovery: &mut Recovery,
    out: &mut BlockSender,
) -> Page {
    let Some(data) = data else { return Page::None };
    let mut values = data.data_values.unwrap_or_default();
    let is_full = values.len() >= VALUES_PER_PAGE as usize;
    values.sort_by_key(|value| value.source_timestamp.map_or(0, |time| time.ticks()));
    let newest = values.iter().rev().find_map(|value| value.source_timestamp);
    recovery.values += unpacker.recovered(reading.index, &values, out).await;
    let newest = newest.as_ref().and_then(timestamp_from_ua);
    let went_on = newest.is_some_and(|newest| newest > reading.newest);
    reading.newest = newest.map_or(reading.newest, |newest| newest.max(reading.newest));
    reading.continuation = continuation;
    match (reading.continuation.is_null_or_empty(), is_full && went_on) {
        (false, _) => Page::More,
        // Some machines cut a page at its length and do not say that there is more.
        (true, true) => {
            reading.start = reading.newest;
            Page::More
        }
        (true, false) => Page::Last,
    }
}

fn partial<'a>(
    recovery: &mut Recovery,
    unpacker: &Unpacker,
    left: impl Iterator<Item = &'a Reading>,
) {
    for reading in left {
        recovery.partial.extend(unpacker.outlet.link.points.get(reading.index).map(|it| it.point));
        let since = recovery.partial_since.map_or(reading.newest, |it| it.min(reading.newest));
        recovery.partial_since = Some(since);
    }
}

/// Frees what the machine keeps for pages that nobody asks for any more.
async fn release(live: &Live, left: impl Iterator<Item = Reading>) {
    let nodes: Vec<_> = left
        .filter(|it| !it.continuation.is_null_or_empty())
        .map(|it| asked_for(&it.node, &it.continuation))
        .collect();
    if nodes.is_empty() {
        return;
    }
    let details = ReadRawModifiedDetails {
        end_time: DateTime::now(),
        num_values_per_node: 1,
        ..ReadRawModifiedDetails::default()
    };
    if let Err(error) = live.history(details, nodes, true).await {
        tracing::debug!(%error, "pages of history were not released");
    }
}
