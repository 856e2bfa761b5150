//! The part of a gateway that these tests need: a spool and a sink.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use resonance_gateway::events::EventLog;
use resonance_gateway::plan::{DropPolicy, SpoolPlan};
use resonance_gateway::sinks::mqtt::{MqttConfig, MqttSink};
use resonance_gateway::sinks::{Delivery, Sink, SinkError};
use resonance_gateway::spool::Spool;
use resonance_gateway::status::SinkCounters;
use resonance_plant::{Code, Event, ResultRecord, SystemClock};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::result_record::record;

/// A spool with one sink, `mes`.
pub struct Gateway {
    pub spool: Spool,
    pub events: Arc<EventLog>,
    pub counters: Arc<SinkCounters>,
    stop: watch::Sender<bool>,
    sink: JoinHandle<Result<(), SinkError>>,
}

/// Where the spool is in a folder.
pub fn file(folder: &Path) -> PathBuf {
    folder.join("results.sqlite")
}

/// A spool's plan with room for everything a test does.
pub fn plan(folder: &Path) -> SpoolPlan {
    SpoolPlan {
        path: file(folder),
        bytes_max: 1 << 30,
        age_max: Duration::from_secs(3_600),
        drop: DropPolicy::Oldest,
    }
}

/// Opens a spool for the sink `mes`.
pub fn open(plan: &SpoolPlan, events: &Arc<EventLog>) -> Spool {
    let events: Arc<EventLog> = Arc::clone(events);
    Spool::open(plan, &["mes".into()], Arc::new(SystemClock), events).unwrap()
}

/// A configuration with short waits.
pub fn config(url: impl Into<String>) -> MqttConfig {
    MqttConfig { backoff_ms_max: 1_000, ..MqttConfig::for_broker(url) }
}

impl Gateway {
    pub fn start(folder: &Path, config: MqttConfig) -> Self {
        Self::with(folder, Box::new(MqttSink::new(config)))
    }

    /// With any sink.
    pub fn with(folder: &Path, sink: Box<dyn Sink>) -> Self {
        let events = Arc::new(EventLog::in_memory());
        let spool = open(&plan(folder), &events);
        let counters = Arc::new(SinkCounters::default());
        let delivery = Delivery {
            id: "mes".into(),
            cursor: spool.cursor("mes", Arc::clone(&counters)).unwrap(),
            clock: Arc::new(SystemClock),
            events: events.clone(),
            counters: Arc::clone(&counters),
        };
        let (stop, stopped) = watch::channel(false);
        let sink = tokio::spawn(sink.run(delivery, stopped));
        Self { spool, events, counters, stop, sink }
    }

    /// Offers the deployment's results with these sequence numbers.
    pub fn offer(&self, sequences: impl IntoIterator<Item = u64>) {
        let writer = self.spool.writer();
        sequences.into_iter().for_each(|sequence| writer.offer(Arc::new(record(sequence))));
    }

    /// Waits, at most 60 seconds: machines that build meanwhile are slow.
    pub async fn await_that(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !holds(self) {
            let recent = self.events.recent(20);
            assert!(Instant::now() < deadline, "{what}; {:?}; {recent:#?}", self.counters);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until so many results were acknowledged.
    pub async fn await_delivered(&self, count: u64) {
        let what = format!("{count} delivered");
        self.await_that(&what, |gateway| gateway.counters.delivered.value() >= count).await;
    }

    pub fn events_of(&self, code: Code) -> Vec<Arc<Event>> {
        self.events.recent(1_000).into_iter().filter(|event| event.code == code).collect()
    }

    /// Waits for an event with this code whose message contains a text.
    pub async fn await_event(&self, code: Code, text: &str) {
        let what = format!("{code} with {text:?}");
        self.await_that(&what, |gateway| {
            gateway.events_of(code).iter().any(|event| event.message.contains(text))
        })
        .await;
    }

    /// Stops the sink, which says goodbye, and closes the spool.
    pub async fn stop(self) {
        self.stop.send(true).unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(5), self.sink).await;
        ended.expect("the sink stops within five seconds").unwrap().unwrap();
        tokio::task::spawn_blocking(move || self.spool.close()).await.unwrap();
    }
}

/// The id of a result as it appears in its JSON.
pub fn id(sequence: u64) -> String {
    let record: ResultRecord = record(sequence);
    record.id.to_string()
}
