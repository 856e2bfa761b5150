//! How old values are when a Read of an OPC UA server returns them for the first time.
//!
//! The values must count their own changes, so that those that no Read returned are known: a
//! value was overwritten before the next Read, or newer ones came with the same notification.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use opcua::client::{ClientBuilder, IdentityToken, Session};
use opcua::types::{
    AttributeId, EndpointDescription, MessageSecurityMode, NodeId, ReadValueId, TimestampsToReturn,
    UserTokenPolicy, VariableId, Variant,
};
use tokio::time::MissedTickBehavior;

use crate::{Failure, percentile};

/// The namespace of a plant's nodes.
const NAMESPACE: &str = "urn:resonance:plant";

/// The pause between two Reads.
const EVERY: Duration = Duration::from_millis(1);

/// Before this, connections and models warm up; not counted.
const WARM_UP: Duration = Duration::from_secs(2);

/// Reads all nodes every millisecond, in one request. The age of a value is the time at which it,
/// or a newer one of the same node, was first returned minus its source time, both by this
/// machine's clock. Values that no Read returned count too, with source times evenly between
/// those of their neighbours.
pub(crate) fn reads(
    url: &str,
    duration: Duration,
    nodes: &[&str],
) -> Result<serde_json::Value, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut client = ClientBuilder::new()
            .application_name("resonance-bench")
            .application_uri("urn:resonance-bench")
            .pki_dir(std::env::temp_dir().join("resonance-bench-no-pki"))
            .session_retry_limit(0)
            .client()
            .map_err(|errors| errors.join(", "))?;
        let none = (url, "None", MessageSecurityMode::None, UserTokenPolicy::anonymous());
        let (session, events) = client
            .connect_to_matching_endpoint(EndpointDescription::from(none), IdentityToken::Anonymous)
            .await?;
        let running = events.spawn();
        session.wait_for_connection().await;
        let report = poll(&session, duration, nodes).await;
        // What was measured is not changed by how the session ends.
        let _ = session.disconnect().await;
        let _ = running.await;
        report
    })
}

async fn poll(
    session: &Session,
    duration: Duration,
    nodes: &[&str],
) -> Result<serde_json::Value, Failure> {
    let namespace = namespace(session).await?;
    let asked: Vec<ReadValueId> =
        nodes.iter().map(|node| value_of(NodeId::new(namespace, *node))).collect();
    let mut nodes_seen = vec![Seen::default(); nodes.len()];
    let mut ages = Ages::default();
    let (mut requests, mut request_ms) = (0_u64, Vec::new());
    let started = Instant::now();
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while started.elapsed() < WARM_UP + duration {
        tick.tick().await;
        let sent = Instant::now();
        let values = session.read(&asked, TimestampsToReturn::Source, 0.0).await?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as i64;
        let counts = started.elapsed() > WARM_UP;
        if counts {
            requests += 1;
            request_ms.push(sent.elapsed().as_secs_f64() * 1e3);
        }
        for (value, seen) in values.iter().zip(&mut nodes_seen) {
            let (Some(time), Some(Variant::Double(count))) = (value.source_timestamp, &value.value)
            else {
                continue;
            };
            let source = (time.checked_ticks() - UNIX_EPOCH_TICKS) * 100;
            let before = std::mem::replace(seen, Seen { count: *count, source });
            if counts && before.source != 0 && before.source != source {
                ages.add(before, *seen, now)?;
            }
        }
    }
    for sorted in [&mut ages.all_ms, &mut ages.returned_ms, &mut request_ms] {
        sorted.sort_by(f64::total_cmp);
    }
    Ok(serde_json::json!({
        "nodes": nodes.len(),
        "values": ages.all_ms.len(),
        "returned": ages.returned_ms.len(),
        "age_p50_ms": percentile(&ages.all_ms, 0.5),
        "age_p99_ms": percentile(&ages.all_ms, 0.99),
        "age_max_ms": percentile(&ages.all_ms, 1.0),
        "returned_p99_ms": percentile(&ages.returned_ms, 0.99),
        "reads": requests,
        "read_p50_ms": percentile(&request_ms, 0.5),
        "read_p99_ms": percentile(&request_ms, 0.99),
    }))
}

/// What a Read returned of a node.
#[derive(Clone, Copy, Default)]
struct Seen {
    count: f64,
    /// Nanoseconds since 1970.
    source: i64,
}

#[derive(Default)]
struct Ages {
    /// Of every value.
    all_ms: Vec<f64>,
    /// Of those that a Read returned.
    returned_ms: Vec<f64>,
}

impl Ages {
    /// A value was returned for the first time, and with it all since the one `before` are over.
    fn add(&mut self, before: Seen, this: Seen, now: i64) -> Result<(), Failure> {
        let changes = this.count - before.count;
        if changes < 1.0 || changes.fract() != 0.0 {
            return Err(format!("after {} came {}: no counter", before.count, this.count).into());
        }
        let spacing = (this.source - before.source) as f64 / changes;
        for change in 1..=changes as u64 {
            let source = before.source as f64 + spacing * change as f64;
            self.all_ms.push((now as f64 - source) / 1e6);
        }
        self.returned_ms.push((now - this.source) as f64 / 1e6);
        Ok(())
    }
}

/// 1970 in hundreds of nanoseconds since 1601 (OPC 10000-6, 5.2.2.5).
const UNIX_EPOCH_TICKS: i64 = 116_444_736_000_000_000;

fn value_of(node_id: NodeId) -> ReadValueId {
    ReadValueId { node_id, attribute_id: AttributeId::Value as u32, ..ReadValueId::default() }
}

/// The number of the plant's namespace in this server.
async fn namespace(session: &Session) -> Result<u16, Failure> {
    let asked = value_of(VariableId::Server_NamespaceArray.into());
    let answer = session.read(&[asked], TimestampsToReturn::Neither, 0.0).await?;
    let Some(Some(Variant::Array(array))) = answer.into_iter().next().map(|data| data.value) else {
        return Err("the server has no namespace array".into());
    };
    let at = array
        .values
        .iter()
        .position(|uri| matches!(uri, Variant::String(text) if text.as_ref() == NAMESPACE));
    Ok(u16::try_from(at.ok_or_else(|| format!("the server has no namespace {NAMESPACE}"))?)?)
}
