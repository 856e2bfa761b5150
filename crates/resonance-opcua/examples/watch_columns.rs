//! Watches the points of `serve_columns` and checks that each counts without a hole:
//! `watch_columns URL POINTS [SECONDS]`. Prints changes a second, holes and Overflow bits, then
//! how long single reads take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use opcua::client::{ClientBuilder, DataChangeCallback, IdentityToken, Session};
use opcua::types::{
    AttributeId, EndpointDescription, MessageSecurityMode, MonitoredItemCreateRequest,
    MonitoringMode, MonitoringParameters, NodeId, ReadValueId, TimestampsToReturn, UserTokenPolicy,
    Variant,
};

type Failure = Box<dyn std::error::Error>;

#[derive(Default)]
struct Seen {
    changes: AtomicU64,
    holes: AtomicU64,
    overflows: AtomicU64,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("which URL?")?;
    let points: u32 = arguments.next().as_deref().unwrap_or("10000").parse()?;
    let seconds: u64 = arguments.next().as_deref().unwrap_or("10").parse()?;

    let mut client = ClientBuilder::new()
        .application_name("watch_columns")
        .application_uri("urn:watch_columns")
        .pki_dir("/dev/null")
        .max_message_size(64 << 20)
        .max_chunk_count(4_096)
        .max_array_length(1 << 20)
        .session_retry_limit(0)
        .client()
        .map_err(|errors| errors.join(", "))?;
    let none = (url.as_str(), "None", MessageSecurityMode::None, UserTokenPolicy::anonymous());
    let (session, events) = client
        .connect_to_matching_endpoint(EndpointDescription::from(none), IdentityToken::Anonymous)
        .await?;
    let running = events.spawn();
    session.wait_for_connection().await;

    let seen = Arc::new(Seen::default());
    subscribe(&session, points, &seen).await?;
    let mut before = 0;
    for _ in 0..seconds {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = seen.changes.load(Ordering::Relaxed);
        let holes = seen.holes.load(Ordering::Relaxed);
        let overflows = seen.overflows.load(Ordering::Relaxed);
        println!("{} changes/s, {holes} holes, {overflows} overflows", now - before);
        before = now;
    }
    time_reads(&session).await?;
    session.disconnect().await?;
    running.await?;
    Ok(())
}

async fn subscribe(session: &Session, points: u32, seen: &Arc<Seen>) -> Result<(), Failure> {
    let (seen, mut last) = (Arc::clone(seen), vec![f64::NAN; points as usize]);
    let callback = DataChangeCallback::new(move |value, item| {
        seen.changes.fetch_add(1, Ordering::Relaxed);
        if value.status.is_some_and(|status| status.overflow()) {
            seen.overflows.fetch_add(1, Ordering::Relaxed);
        }
        let Some(Variant::Double(count)) = value.value else { return };
        let Some(last) = last.get_mut(item.client_handle() as usize - 1) else { return };
        if !last.is_nan() && count != *last + 1.0 {
            seen.holes.fetch_add(1, Ordering::Relaxed);
        }
        *last = count;
    });
    let interval = Duration::from_millis(100);
    let id = session.create_subscription(interval, 1_000, 20, 0, 0, true, callback).await?;
    let started = Instant::now();
    for first in (0..points).step_by(1_000) {
        let items = (first..points.min(first + 1_000)).map(|point| MonitoredItemCreateRequest {
            item_to_monitor: ReadValueId {
                node_id: node(point),
                attribute_id: AttributeId::Value as u32,
                ..ReadValueId::default()
            },
            monitoring_mode: MonitoringMode::Reporting,
            requested_parameters: MonitoringParameters {
                // The client library replaces handle 0 by one of its own.
                client_handle: point + 1,
                sampling_interval: 10.0,
                queue_size: 20,
                discard_oldest: true,
                ..MonitoringParameters::default()
            },
        });
        session.create_monitored_items(id, TimestampsToReturn::Both, items.collect()).await?;
    }
    println!("{points} items watched after {:?}", started.elapsed());
    Ok(())
}

async fn time_reads(session: &Session) -> Result<(), Failure> {
    let asked = [ReadValueId {
        node_id: node(0),
        attribute_id: AttributeId::Value as u32,
        ..ReadValueId::default()
    }];
    let mut times = Vec::with_capacity(2_000);
    for _ in 0..2_000 {
        let started = Instant::now();
        session.read(&asked, TimestampsToReturn::Both, 0.0).await?;
        times.push(started.elapsed());
    }
    times.sort();
    println!("read: p50 {:?}, p99 {:?}, max {:?}", times[1_000], times[1_980], times[1_999]);
    Ok(())
}

fn node(point: u32) -> NodeId {
    // The application's own namespace is 1, the columns' 2.
    NodeId::new(2, format!("machine.p{point}"))
}
