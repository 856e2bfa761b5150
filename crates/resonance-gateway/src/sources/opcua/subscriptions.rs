//! Subscriptions and their monitored items, made in batches; points whose node does not exist
//! are left out and tried again later.

use std::collections::HashMap;
use std::str::FromStr;
use std::time::Duration;

use opcua::types::{
    AttributeId, CreateSubscriptionRequest, DataChangeFilter, DataChangeTrigger, DeadbandType,
    Error, ExtensionObject, MonitoredItemCreateRequest, MonitoringMode, MonitoringParameters,
    NodeId, ReadValueId, StatusCode, TimestampsToReturn, VariableId, Variant,
};
use resonance_plant::Timestamp;

use super::config::{OpcUaConfig, TimeFrom};
use super::requests::Live;
use super::sequence::Sequence;
use crate::sources::{Deadband, SourcePoint};

/// Notifications in one message: sixteen blocks.
const NOTIFICATIONS_MAX: u32 = 16 * 1024;

/// Publishing intervals that a subscription outlives without a Publish request, in multiples of
/// the keep-alive count; the standard asks for three at least.
const LIFETIME_FACTOR: u32 = 10;

/// Keep-alives within the time after which a machine counts as silent.
const KEEP_ALIVES_PER_SILENCE: u32 = 3;

/// What we know of a machine for as long as a session lasts.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) subscriptions: Vec<Subscription>,
    /// One a point.
    pub(super) items: Vec<Item>,
    /// Operations the machine takes in one request.
    pub(super) items_per_request: usize,
    pub(super) nodes_per_read: usize,
    /// Without any message for this long, the machine is silent.
    pub(super) silence: Duration,
}

/// One subscription.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) id: u32,
    pub(super) sequence: Sequence,
    /// Until when nothing of it is missing: when its last message was handled, or it was made.
    pub(super) complete: Timestamp,
    /// Whether that was over this connection.
    pub(super) is_whole: bool,
}

/// A point's monitored item.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// Which node; `None`: the address is none on this machine.
    pub(super) node: Option<NodeId>,
    /// Position in [`Layout::subscriptions`].
    pub(super) subscription: usize,
    /// The machine's number for it; `None`: not monitored.
    pub(super) monitored: Option<u32>,
    /// Why it is not monitored; where it is: why the machine does not filter it.
    pub(super) refused: StatusCode,
}

/// Makes the subscriptions and as many monitored items as the machine accepts.
pub(super) async fn subscribe(
    live: &Live,
    config: &OpcUaConfig,
    points: &[SourcePoint],
    now: Timestamp,
) -> Result<Layout, Error> {
    let limits = limits(live, config).await?;
    let namespaces = namespaces(live, points).await?;
    let per_subscription = config.items_per_subscription.max(1) as usize;
    let mut items: Vec<Item> = points
        .iter()
        .enumerate()
        .map(|(index, point)| Item {
            node: node_id(&point.address, &namespaces),
            subscription: index / per_subscription,
            monitored: None,
            refused: StatusCode::BadNodeIdInvalid,
        })
        .collect();
    let mut subscriptions = Vec::new();
    let configured = Duration::from_millis(u64::from(config.silence_ms_max));
    let mut silence = configured;
    for _ in 0..points.len().div_ceil(per_subscription).max(1) {
        let made = live.create_subscription(subscription(config)).await?;
        let keep_alive_ms =
            made.revised_publishing_interval * f64::from(made.revised_max_keep_alive_count);
        silence = silence.max(patience(configured, keep_alive_ms));
        subscriptions.push(Subscription {
            id: made.subscription_id,
            sequence: Sequence::default(),
            complete: now,
            is_whole: false,
        });
    }
    let ids: Vec<u32> = subscriptions.iter().map(|s| s.id).collect();
    for (number, id) in ids.iter().enumerate() {
        let wanted: Vec<usize> = (0..items.len())
            .filter(|index| items[*index].subscription == number && items[*index].node.is_some())
            .collect();
        for batch in wanted.chunks(limits.0) {
            let made = monitor(live, config, points, &items, *id, batch).await?;
            for (index, result) in batch.iter().zip(made) {
                (items[*index].monitored, items[*index].refused) = result;
            }
        }
    }
    let (items_per_request, nodes_per_read) = limits;
    Ok(Layout { subscriptions, items, items_per_request, nodes_per_read, silence })
}

/// How long to wait for a machine that insists on fewer keep-alives than it was asked for: half
/// as long again as between two of them, up to ten times what is configured.
fn patience(configured: Duration, keep_alive_ms: f64) -> Duration {
    let needed = Duration::try_from_secs_f64(keep_alive_ms * 1.5 / 1e3).unwrap_or(configured);
    needed.clamp(configured, configured * 10)
}

/// Creates the monitored items of some points in one subscription; says for each the machine's
/// number, or why not; and of those it does not filter as asked, the number and why not.
pub(super) async fn monitor(
    live: &Live,
    config: &OpcUaConfig,
    points: &[SourcePoint],
    items: &[Item],
    subscription: u32,
    indices: &[usize],
) -> Result<Vec<(Option<u32>, StatusCode)>, Error> {
    let mut made = create(live, config, points, items, subscription, indices, true).await?;
    // One entry an index: every index has a node, and an answer of another length is an error.
    // A machine that does not filter for us still serves the point, only with more values.
    let unfiltered: Vec<usize> = (0..indices.len())
        .filter(|at| made[*at].0.is_none() && is_filter_problem(made[*at].1))
        .collect();
    if !unfiltered.is_empty() {
        let again: Vec<usize> = unfiltered.iter().map(|at| indices[*at]).collect();
        let results = create(live, config, points, items, subscription, &again, false).await?;
        for (at, (id, status)) in unfiltered.into_iter().zip(results) {
            made[at] = (id, if id.is_some() { made[at].1 } else { status });
        }
    }
    Ok(made)
}

async fn create(
    live: &Live,
    config: &OpcUaConfig,
    points: &[SourcePoint],
    items: &[Item],
    subscription: u32,
    indices: &[usize],
    filtered: bool,
) -> Result<Vec<(Option<u32>, StatusCode)>, Error> {
    let requests = indices
        .iter()
        .filter_map(|index| {
            let (point, item) = (points.get(*index)?, items.get(*index)?);
            Some(request(config, point, item.node.clone()?, *index as u32, filtered))
        })
        .collect::<Vec<_>>();
    if requests.is_empty() {
        return Ok(vec![(None, StatusCode::BadNodeIdInvalid); indices.len()]);
    }
    let times = match config.time {
        TimeFrom::Source => TimestampsToReturn::Source,
        TimeFrom::Server => TimestampsToReturn::Server,
        TimeFrom::Receive => TimestampsToReturn::Neither,
    };
    let results = live.create_items(subscription, times, requests).await?;
    Ok(results
        .into_iter()
        .map(|result| match result.status_code {
            bad if bad.is_bad() => (None, bad),
            good => (Some(result.monitored_item_id), good),
        })
        .collect())
}

fn request(
    config: &OpcUaConfig,
    point: &SourcePoint,
    node: NodeId,
    handle: u32,
    filtered: bool,
) -> MonitoredItemCreateRequest {
    let filter = match point.deadband {
        Some(deadband) if filtered => ExtensionObject::from_message(only_changes_of(deadband)),
        _ => ExtensionObject::null(),
    };
    MonitoredItemCreateRequest {
        item_to_monitor: ReadValueId {
            node_id: node,
            attribute_id: AttributeId::Value as u32,
            ..ReadValueId::default()
        },
        monitoring_mode: MonitoringMode::Reporting,
        requested_parameters: MonitoringParameters {
            client_handle: handle,
            sampling_interval: f64::from(point.sampling_ms.unwrap_or(config.sampling_ms)),
            filter,
            queue_size: config.queue_size.max(1),
            discard_oldest: true,
        },
    }
}

fn only_changes_of(deadband: Deadband) -> DataChangeFilter {
    let (deadband_type, deadband_value) = match deadband {
        Deadband::Absolute(width) => (DeadbandType::Absolute, width),
        Deadband::Percent(share) => (DeadbandType::Percent, share),
    };
    DataChangeFilter {
        trigger: DataChangeTrigger::StatusValue,
        deadband_type: deadband_type as u32,
        deadband_value,
    }
}

pub(super) fn is_filter_problem(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BadFilterNotAllowed
            | StatusCode::BadMonitoredItemFilterUnsupported
            | StatusCode::BadMonitoredItemFilterInvalid
            | StatusCode::BadDeadbandFilterInvalid
    )
}

fn subscription(config: &OpcUaConfig) -> CreateSubscriptionRequest {
    let publishing_ms = config.publishing_ms.max(1);
    let keep_alive = (config.silence_ms_max / KEEP_ALIVES_PER_SILENCE / publishing_ms).max(1);
    CreateSubscriptionRequest {
        requested_publishing_interval: f64::from(publishing_ms),
        requested_max_keep_alive_count: keep_alive,
        requested_lifetime_count: keep_alive.saturating_mul(LIFETIME_FACTOR),
        max_notifications_per_publish: NOTIFICATIONS_MAX,
        publishing_enabled: true,
        priority: 0,
        ..CreateSubscriptionRequest::default()
    }
}

/// Monitored items a request and nodes a read: what is configured, or less where the machine
/// says so (OPC 10000-5, 6.3.11). Zero and absent mean no limit.
async fn limits(live: &Live, config: &OpcUaConfig) -> Result<(usize, usize), Error> {
    let nodes = [
        VariableId::Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall,
        VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerRead,
    ];
    let nodes = nodes.into_iter().map(NodeId::from).collect();
    let configured = config.items_per_request.max(1);
    let mut limits = [configured, configured];
    for (limit, value) in limits.iter_mut().zip(live.read(nodes, AttributeId::Value).await?) {
        if let Some(Variant::UInt32(most)) = value.value
            && most > 0
        {
            *limit = most.min(configured);
        }
    }
    Ok((limits[0] as usize, limits[1] as usize))
}

/// The machine's namespaces by URI, where a point names one.
async fn namespaces(live: &Live, points: &[SourcePoint]) -> Result<HashMap<String, u16>, Error> {
    if !points.iter().any(|point| point.address.starts_with("nsu=")) {
        return Ok(HashMap::new());
    }
    let node = NodeId::from(VariableId::Server_NamespaceArray);
    let values = live.read(vec![node], AttributeId::Value).await?;
    let Some(Variant::Array(array)) = values.into_iter().next().and_then(|value| value.value)
    else {
        return Ok(HashMap::new());
    };
    let named = array.values.iter().zip(0_u16..);
    Ok(named.map(|(uri, index)| (uri.to_string(), index)).collect())
}

/// The node an address means: `ns=2;s=Load`, or `nsu=http://example.com/UA/;s=Load`, which
/// survives a machine that numbers its namespaces anew.
fn node_id(address: &str, namespaces: &HashMap<String, u16>) -> Option<NodeId> {
    match address.strip_prefix("nsu=") {
        None => NodeId::from_str(address).ok(),
        Some(rest) => {
            // A URI may hold semicolons, an identifier starts after the last that is followed
            // by its type.
            let at =
                [";s=", ";i=", ";g=", ";b="].iter().filter_map(|kind| rest.find(kind)).min()?;
            let (uri, identifier) = rest.split_at(at);
            let namespace = namespaces.get(uri)?;
            NodeId::from_str(&format!("ns={namespace}{identifier}")).ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_name_their_namespace_by_number_or_by_uri() {
        let namespaces = HashMap::from([("http://maker.example/mill/".to_owned(), 7_u16)]);
        let node = |address| node_id(address, &namespaces);
        assert_eq!(node("ns=2;s=Spindle.Load"), Some(NodeId::new(2, "Spindle.Load")));
        assert_eq!(node("i=2258"), Some(NodeId::new(0, 2258_u32)));
        assert_eq!(node("nsu=http://maker.example/mill/;s=A;s=B"), Some(NodeId::new(7, "A;s=B")));
        assert_eq!(node("nsu=http://other.example/;s=A"), None);
        assert_eq!(node("nsu=http://maker.example/mill/"), None);
        assert_eq!(node("Spindle.Load"), None);
    }

    #[test]
    fn a_machine_with_rare_keep_alives_is_waited_for_within_reason() {
        let configured = Duration::from_secs(10);
        for (keep_alive_ms, expect) in [(3e3, 10), (20e3, 30), (1e12, 100), (f64::NAN, 10)] {
            assert_eq!(patience(configured, keep_alive_ms), Duration::from_secs(expect));
        }
    }

    #[test]
    fn keep_alives_come_well_within_the_silence() {
        let config = |toml: &str| -> OpcUaConfig { toml::from_str(toml).unwrap() };
        let made = subscription(&config("url = 'opc.tcp://a'\npublishing_ms = 100"));
        assert_eq!(made.requested_max_keep_alive_count, 50);
        assert!(made.requested_lifetime_count >= 3 * made.requested_max_keep_alive_count);
        let slow = config("url = 'opc.tcp://a'\npublishing_ms = 60000\nsilence_ms_max = 1000");
        assert_eq!(subscription(&slow).requested_max_keep_alive_count, 1);
    }
}
