//! What is asked of a machine now and then beside the values: its time, since when it runs,
//! whether nodes vanished or came back.

use std::time::Instant;

use opcua::types::{AttributeId, Error, NodeId, StatusCode, VariableId, Variant};
use resonance_opcua::value::timestamp_from_ua;
use resonance_plant::{Clock, Timestamp};

use super::config::OpcUaConfig;
use super::requests::Live;
use super::subscriptions::{Item, monitor};
use crate::sources::SourcePoint;

/// Points looked after at each occasion, of either kind.
pub(super) const POINTS_MAX: usize = 500;

/// A machine's clock and start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ServerTimes {
    /// Since when the machine's server runs.
    pub(super) started: Option<Timestamp>,
    /// The machine's clock minus ours, microseconds.
    pub(super) offset_us: Option<i64>,
}

/// Asks for the machine's time and start (OPC 10000-5, 12.10). Half the round trip is taken to
/// be the way there.
pub(super) async fn server_times(live: &Live, clock: &dyn Clock) -> Result<ServerTimes, Error> {
    let nodes = vec![
        NodeId::from(VariableId::Server_ServerStatus_CurrentTime),
        NodeId::from(VariableId::Server_ServerStatus_StartTime),
    ];
    let (sent, before) = (clock.now(), Instant::now());
    let values = live.read(nodes, AttributeId::Value).await?;
    let middle = sent.plus(before.elapsed() / 2);
    let mut times = values.iter().map(|value| match &value.value {
        Some(Variant::DateTime(time)) => timestamp_from_ua(time),
        _ => None,
    });
    let now = times.next().flatten();
    let started = times.next().flatten();
    Ok(ServerTimes { started, offset_us: now.map(|now| now.since(middle) / 1_000) })
}

/// What a look at some points showed.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Points whose node is gone.
    pub(super) vanished: Vec<(usize, StatusCode)>,
    /// Points that are monitored now, with the machine's number, and whether it filters them.
    pub(super) monitored: Vec<(usize, u32, StatusCode)>,
    /// The machine's times.
    pub(super) times: ServerTimes,
}

/// What to look at; owns all it needs, so that values are received meanwhile.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// Points to look at, monitored or not.
    pub(super) indices: Vec<usize>,
    /// Every point's item, as known.
    pub(super) items: Vec<Item>,
    /// Ids of the subscriptions.
    pub(super) subscriptions: Vec<u32>,
    /// Operations the machine takes at once.
    pub(super) items_per_request: usize,
    /// Nodes the machine reads at once.
    pub(super) nodes_per_read: usize,
}

/// Looks at the machine's times and at the points of a round; monitors those that came back.
pub(super) async fn look(
    live: &Live,
    clock: &dyn Clock,
    config: &OpcUaConfig,
    points: &[SourcePoint],
    round: &Round,
) -> Result<Findings, Error> {
    let mut findings = Findings { times: server_times(live, clock).await?, ..Findings::default() };
    let mut back = Vec::new();
    for batch in round.indices.chunks(round.nodes_per_read.max(1)) {
        let nodes = batch.iter().filter_map(|index| round.items[*index].node.clone()).collect();
        // Every node has this attribute; reading it moves no data.
        let classes = live.read(nodes, AttributeId::NodeClass).await?;
        for (index, class) in batch.iter().zip(classes) {
            let monitored = round.items[*index].monitored.is_some();
            match class.status {
                Some(StatusCode::BadNodeIdUnknown) if monitored => {
                    findings.vanished.push((*index, StatusCode::BadNodeIdUnknown));
                }
                Some(StatusCode::BadNodeIdUnknown) => {}
                _ if !monitored => back.push(*index),
                _ => {}
            }
        }
    }
    forget_vanished(live, round, &findings.vanished).await;
    for (number, id) in round.subscriptions.iter().enumerate() {
        let of_it: Vec<usize> = back
            .iter()
            .copied()
            .filter(|index| round.items[*index].subscription == number)
            .collect();
        for batch in of_it.chunks(round.items_per_request.max(1)) {
            let made = monitor(live, config, points, &round.items, *id, batch).await?;
            let made = batch.iter().zip(made);
            let made = made.filter_map(|(index, (id, filtered))| Some((*index, id?, filtered)));
            findings.monitored.extend(made);
        }
    }
    Ok(findings)
}

/// Deletes the monitored items of vanished nodes: some machines never revive them, and those
/// that do would then deliver twice.
async fn forget_vanished(live: &Live, round: &Round, vanished: &[(usize, StatusCode)]) {
    for (number, id) in round.subscriptions.iter().enumerate() {
        let items: Vec<u32> = vanished
            .iter()
            .filter(|(index, _)| round.items[*index].subscription == number)
            .filter_map(|(index, _)| round.items[*index].monitored)
            .collect();
        if !items.is_empty()
            && let Err(error) = live.delete_items(*id, items).await
        {
            tracing::debug!(%error, "monitored items of vanished nodes were not deleted");
        }
    }
}
