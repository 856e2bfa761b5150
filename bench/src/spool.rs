//! How fast results come into the spool, out of it, to a broker, and to a MES over HTTP.

use std::sync::Arc;
use std::time::{Duration, Instant};

use resonance_gateway::events::EventLog;
use resonance_gateway::plan::{DropPolicy, SpoolPlan};
use resonance_gateway::sinks::http::{HttpConfig, HttpSink};
use resonance_gateway::sinks::mqtt::{MqttConfig, MqttSink};
use resonance_gateway::sinks::payload::{Acknowledge, Format};
use resonance_gateway::sinks::{Delivery, Sink};
use resonance_gateway::spool::Spool;
use resonance_gateway::status::SinkCounters;
use resonance_plant::result::{Latency, OutputValue, WindowRef};
use resonance_plant::{
    Clock, EventSink, ModelCategory, ModelUsed, Qualifier, ResultId, ResultRecord, Status,
    SystemClock, Value,
};

use resonance_simulate::mes::HttpMes;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use crate::Failure;

/// Results offered and not yet written, half of what the spool's queue takes.
const AHEAD_MAX: u64 = 8_192;

/// Results taken from the spool at once.
const READ_MAX: usize = 1_000;

/// How often counters are looked at.
const LOOK: Duration = Duration::from_millis(1);

/// Longer than this for one step, and something is wrong.
const STEP_MAX: Duration = Duration::from_secs(300);

/// Results in one request, where several travel together.
const BATCH: u16 = 50;

/// Names of the spool's readers: this program itself, and the sinks.
const SINKS: [&str; 5] = ["reader", "mqtt", "http", "http_batches", "http_b2mml"];

/// Fills a spool with so many results, reads them, and then lets one sink after the other deliver
/// them, connecting included.
pub(crate) fn spool(results: u64, broker: &str) -> Result<serde_json::Value, Failure> {
    // As `resonance run` does: a sink has a thread of its own.
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let mes = Mes::start()?;
    let folder = tempfile::tempdir()?;
    let plan = SpoolPlan {
        path: folder.path().join("spool.sqlite"),
        bytes_max: u64::MAX >> 1,
        age_max: Duration::from_secs(86_400),
        drop: DropPolicy::Oldest,
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let events = Arc::new(EventLog::in_memory());
    let log = Arc::clone(&events) as Arc<dyn EventSink>;
    let spool = Spool::open(&plan, &SINKS.map(Arc::from), Arc::clone(&clock), Arc::clone(&log))?;
    let written_s = fill(&spool, results, &*clock)?;
    let bytes = spool.status().bytes;
    let read_s = runtime.block_on(read(&spool, results))?;
    let mut report = serde_json::json!({
        "results": results,
        "bytes": bytes,
        "written_per_s": results as f64 / written_s,
        "read_per_s": results as f64 / read_s,
    });
    for id in SINKS.into_iter().skip(1) {
        let counters = Arc::new(SinkCounters::default());
        let delivery = Delivery {
            id: id.into(),
            cursor: spool.cursor(id, Arc::clone(&counters))?,
            clock: Arc::clone(&clock),
            events: Arc::clone(&log),
            counters: Arc::clone(&counters),
        };
        let drained_s = runtime.block_on(drain(delivery, sink(id, broker, &mes.url), results))?;
        if counters.failed.value() + counters.dropped.value() > 0 {
            let told: Vec<_> = events.recent(3).iter().map(|event| event.message.clone()).collect();
            return Err(format!("{id}: not every result was delivered at once: {told:?}").into());
        }
        report[format!("{id}_per_s")] = (results as f64 / drained_s).into();
    }
    Ok(report)
}

fn sink(id: &str, broker: &str, mes: &str) -> Box<dyn Sink> {
    let http = HttpConfig::for_url(mes);
    match id {
        "mqtt" => Box::new(MqttSink::new(MqttConfig::for_broker(broker))),
        "http_batches" => Box::new(HttpSink::new(HttpConfig { batch_max: BATCH, ..http })),
        "http_b2mml" => Box::new(HttpSink::new(HttpConfig {
            format: Format::B2mmlXml,
            acknowledge: Acknowledge::ConfirmBod,
            ..http
        })),
        _ => Box::new(HttpSink::new(http)),
    }
}

/// A simulated MES that reads every message, on one thread of its own.
struct Mes {
    url: String,
    /// Its end is the thread's.
    _alive: oneshot::Sender<()>,
}

impl Mes {
    fn start() -> Result<Self, Failure> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let mes = runtime.block_on(HttpMes::start(([127, 0, 0, 1], 0).into()))?;
        mes.forget_requests();
        let (url, (alive, ended)) = (mes.url(), oneshot::channel());
        std::thread::spawn(move || {
            // An error says that the sender is gone, which is what is waited for.
            let _ = runtime.block_on(ended);
            drop(mes);
        });
        Ok(Self { url, _alive: alive })
    }
}

/// Seconds until all were written.
fn fill(spool: &Spool, results: u64, clock: &dyn Clock) -> Result<f64, Failure> {
    let first = record(clock);
    let writer = spool.writer();
    let started = Instant::now();
    for sequence in 1..=results {
        let mut record = first.clone();
        record.id = ResultId::derive(&record.deployment, "sha256", record.source_time, sequence);
        record.sequence = sequence;
        writer.offer(Arc::new(record));
        if sequence % 1_024 == 0 {
            until(started, || spool.status().written + AHEAD_MAX >= sequence)?;
        }
    }
    until(started, || spool.status().written >= results)?;
    Ok(started.elapsed().as_secs_f64())
}

/// Seconds until all were read and acknowledged.
async fn read(spool: &Spool, results: u64) -> Result<f64, Failure> {
    let mut cursor = spool.cursor(SINKS[0], Arc::default())?;
    let started = Instant::now();
    let mut read = 0;
    while read < results {
        let rows = tokio::time::timeout(STEP_MAX, cursor.next(READ_MAX)).await?;
        read += rows.len() as u64;
        if let Some(last) = rows.last() {
            cursor.acknowledge(last.sequence);
        }
    }
    Ok(started.elapsed().as_secs_f64())
}

/// Seconds until all were acknowledged.
async fn drain(delivery: Delivery, sink: Box<dyn Sink>, results: u64) -> Result<f64, Failure> {
    let counters = Arc::clone(&delivery.counters);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let started = Instant::now();
    let running = tokio::spawn(sink.run(delivery, stopped));
    while counters.delivered.value() < results && started.elapsed() < STEP_MAX {
        tokio::time::sleep(LOOK).await;
    }
    let drained = started.elapsed().as_secs_f64();
    stop.send_replace(true);
    running.await??;
    let delivered = counters.delivered.value();
    if delivered < results {
        return Err(format!("{delivered} of {results} results were delivered").into());
    }
    Ok(drained)
}

fn until(started: Instant, condition: impl Fn() -> bool) -> Result<(), Failure> {
    while !condition() {
        if started.elapsed() > STEP_MAX {
            return Err("the spool did not write what it was given".into());
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}

/// A result as a model with four outputs over 32 points gives it.
fn record(clock: &dyn Clock) -> ResultRecord {
    let now = clock.now();
    let output = |at: usize| OutputValue {
        name: format!("y{at}").into(),
        point: None,
        value: Value::Float(0.125 * at as f64),
        label: None,
        quantity: None,
        unit: None,
        semantic_id: None,
        qualifier: Qualifier::default(),
        uncertainty: None,
        status: Status::GOOD,
    };
    let points = (0..32).map(|at| Arc::from(format!("press-1.p{at}"))).collect();
    ResultRecord {
        id: ResultId::derive("wear", "sha256", now, 0),
        deployment: "wear".into(),
        asset: "press-1".into(),
        equipment_id: "acme/north/hall-1/line-2/press-1".into(),
        physical_asset_id: Some("SN-7".into()),
        part_id: None,
        category: ModelCategory::ALL[0],
        model: Arc::new(ModelUsed {
            name: "mlp-32-64-64-4".into(),
            version: "1.0.0".into(),
            digest: format!("sha256:{}", "3f".repeat(32)).into(),
            engine: "onnxruntime 1.31.1".into(),
            trained_on: "none".into(),
            fallback: None,
        }),
        sequence: 0,
        outputs: (0..4).map(output).collect(),
        window: WindowRef { from: now, to: now, samples: 1, points, worst_status: Status::GOOD },
        source_time: now,
        computed_at: now,
        valid_until: now,
        latency: Latency::default(),
        status: Status::GOOD,
        backfilled: false,
    }
}
