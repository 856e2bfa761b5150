//! How old values are when a Read of an OPC UA server returns them for the first time.

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

/// Reads all nodes every millisecond, in one request; the age of a value is the time at which it
/// was first returned minus its source time, both by this machine's clock.
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
    let mut seen = vec![0_i64; nodes.len()];
    let mut ages_ms = Vec::new();
    let (mut requests, mut request_ms) = (0_u64, Vec::new());
    let started = Instant::now();
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while started.elapsed() < WARM_UP + duration {
        tick.tick().await;
        let sent = Instant::now();
        let values = session.read(&asked, TimestampsToReturn::Source, 0.0).await?;
        let counts = started.elapsed() > WARM_UP;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as i64;
        requests += 1;
        request_ms.push(sent.elapsed().as_secs_f64() * 1e3);
        for (value, seen) in values.iter().zip(&mut seen) {
            let Some(time) = value.source_timestamp else { continue };
            let source = (time.checked_ticks() - UNIX_EPOCH_TICKS) * 100;
            if value.value.is_some() && source != *seen {
                if counts {
                    ages_ms.push((now - source) as f64 / 1e6);
                }
                *seen = source;
            }
        }
    }
    ages_ms.sort_by(f64::total_cmp);
    request_ms.sort_by(f64::total_cmp);
    Ok(serde_json::json!({
        "nodes": nodes.len(),
        "values": ages_ms.len(),
        "age_p50_ms": percentile(&ages_ms, 0.5),
        "age_p99_ms": percentile(&ages_ms, 0.99),
        "age_max_ms": percentile(&ages_ms, 1.0),
        "reads": requests,
        "read_p50_ms": percentile(&request_ms, 0.5),
        "read_p99_ms": percentile(&request_ms, 0.99),
    }))
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
