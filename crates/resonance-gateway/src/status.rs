//! What the gateway counts, and how it looks from outside at one moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering};

use resonance_plant::{PointIndex, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use crate::recording::Recorded;
use crate::traces::TracesStatus;

/// A number that only grows; cheap to bump from any thread.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The number.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that moves; cheap to set from any thread.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Sets.
    pub fn set(&self, n: i64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// The number.
    pub fn value(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Whether a source or sink has its peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Connection {
    /// Not yet, or not any more; it tries.
    #[default]
    Connecting = 0,
    /// It has.
    Connected = 1,
    /// It ended.
    Stopped = 2,
}

/// A [`Connection`] that any thread may read.
#[derive(Debug, Default)]
pub struct ConnectionCell(AtomicU8);

impl ConnectionCell {
    /// Sets.
    pub fn set(&self, connection: Connection) {
        self.0.store(connection as u8, Ordering::Release);
    }

    /// The state.
    pub fn value(&self) -> Connection {
        match self.0.load(Ordering::Acquire) {
            1 => Connection::Connected,
            2 => Connection::Stopped,
            _ => Connection::Connecting,
        }
    }
}

/// What a source counts.
#[derive(Debug, Default)]
pub struct SourceCounters {
    /// Whether it has its machine.
    pub connection: ConnectionCell,
    /// Observations handed to the hub.
    pub observations: Counter,
    /// Observations that were read from the machine's history after an outage.
    pub backfilled: Counter,
    /// Gaps reported to the hub.
    pub gaps: Counter,
    /// Sequence numbers missing in notifications, after every repair.
    pub sequence_gaps: Counter,
    /// Values that carried the Overflow bit.
    pub overflows: Counter,
    /// Values refused for their type.
    pub refused: Counter,
    /// Points that the machine was found not to filter as their deadband asks.
    pub unfiltered: Counter,
    /// Source times that were absent or implausible.
    pub times_replaced: Counter,
    /// Times the machine was connected anew.
    pub reconnects: Counter,
    /// The machine's clock minus ours, microseconds.
    pub clock_offset_us: Gauge,
    /// When the last message came, nanoseconds since the Unix epoch.
    pub last_message: Gauge,
    /// Until when our certificate and the machine's hold, nanoseconds since the Unix epoch; zero:
    /// there are none.
    pub certificate_until: Gauge,
}

/// What a sink counts.
#[derive(Debug, Default)]
pub struct SinkCounters {
    /// Whether it has its system.
    pub connection: ConnectionCell,
    /// Results acknowledged by the system.
    pub delivered: Counter,
    /// Attempts that failed.
    pub failed: Counter,
    /// Results that wait.
    pub waiting: Gauge,
    /// Results dropped before this sink had them.
    pub dropped: Counter,
    /// Results the system refused for good, that are kept as dead letters at the moment.
    pub refused: Gauge,
    /// Results that were not to be sent to this sink: the condition of its `when` was not met.
    pub left_out: Counter,
}

/// The gateway at one moment.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Status {
    /// When.
    pub at: Timestamp,
    /// Since when it runs.
    pub started_at: Timestamp,
    /// The product's version.
    pub version: &'static str,
    /// Every source.
    pub sources: Vec<SourceStatus>,
    /// The hub.
    pub hub: HubStatus,
    /// Every deployment.
    pub deployments: Vec<DeploymentStatus>,
    /// Every sink.
    pub sinks: Vec<SinkStatus>,
    /// Every server.
    pub servers: Vec<ServerStatus>,
    /// The result spool.
    pub spool: SpoolStatus,
    /// Events.
    pub events: EventsStatus,
    /// What was recorded so far; absent where nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recording: Option<Recorded>,
    /// Spans for OpenTelemetry; absent where nothing is traced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traces: Option<TracesStatus>,
}

/// A source at one moment.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SourceStatus {
    /// The name in the plant file.
    pub id: Arc<str>,
    /// Whether it has its machine.
    pub connection: Connection,
    /// Number of points.
    pub points: usize,
    /// Observations handed to the hub.
    pub observations: u64,
    /// Gaps reported.
    pub gaps: u64,
    /// Observations read from the machine's history after an outage.
    pub backfilled: u64,
    /// Sequence numbers missing.
    pub sequence_gaps: u64,
    /// Values with the Overflow bit.
    pub overflows: u64,
    /// Values refused for their type.
    pub refused: u64,
    /// Points found not to be filtered as their deadband asks, since the start.
    pub unfiltered: u64,
    /// Source times replaced.
    pub times_replaced: u64,
    /// Times connected anew.
    pub reconnects: u64,
    /// The machine's clock minus ours, microseconds.
    pub clock_offset_us: i64,
    /// When the last message came.
    pub last_message: Option<Timestamp>,
    /// When the first of our certificate and the machine's runs out, where there are any.
    pub certificate_until: Option<Timestamp>,
}

/// The hub at one moment.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct HubStatus {
    /// Observations taken.
    pub observations: u64,
    /// Blocks taken.
    pub blocks: u64,
    /// Gaps taken.
    pub gaps: u64,
    /// Times a point's past began anew because its source time went back.
    pub rewinds: u64,
}

/// What a deployment is doing (the states of the OPC UA AI model management draft).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum DeploymentState {
    /// Its model is not loaded.
    #[default]
    Inactive = 0,
    /// The model serves; inputs are not all there yet, or the gate is shut.
    Ready = 1,
    /// It gives results.
    Active = 2,
    /// Someone suspended it.
    Suspended = 3,
    /// It gives results that are worse than they should be: bad or stale inputs, a fallback, or
    /// inference over budget.
    Degraded = 4,
    /// It cannot give results.
    Faulted = 5,
}

impl DeploymentState {
    /// The inverse of `as u8`; unknown numbers are [`DeploymentState::Inactive`].
    pub const fn from_u8(byte: u8) -> Self {
        match byte {
            1 => Self::Ready,
            2 => Self::Active,
            3 => Self::Suspended,
            4 => Self::Degraded,
            5 => Self::Faulted,
            _ => Self::Inactive,
        }
    }
}

/// A deployment at one moment.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct DeploymentStatus {
    /// The name in the plant file.
    pub id: Arc<str>,
    /// Which asset it is about.
    pub asset: Arc<str>,
    /// The points that carry its results, for those who know the plant.
    #[serde(skip)]
    pub outputs: Arc<[PointIndex]>,
    /// The model's name.
    pub model: Arc<str>,
    /// The model's version.
    pub model_version: Arc<str>,
    /// Where the model's training data came from.
    pub trained_on: Arc<str>,
    /// What it is doing.
    pub state: DeploymentState,
    /// Why, where the state needs a reason; empty otherwise.
    pub reason: String,
    /// Times it was triggered.
    pub triggers: u64,
    /// Inferences that gave an answer.
    pub inferences: u64,
    /// Results given, fallbacks included.
    pub results: u64,
    /// Triggers dropped because the model was busy.
    pub overruns: u64,
    /// Inferences that failed.
    pub failures: u64,
    /// Inferences over the package's budget.
    pub over_budget: u64,
    /// From trigger to result.
    pub latency: LatencySummary,
    /// In the engine.
    pub inference: LatencySummary,
}

/// Percentiles of a latency, microseconds.
#[derive(Clone, Copy, Debug, Default, Serialize, JsonSchema)]
pub struct LatencySummary {
    /// Half are faster.
    pub p50_us: u32,
    /// 99 of 100 are faster.
    pub p99_us: u32,
    /// The slowest.
    pub max_us: u32,
}

/// A sink at one moment.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SinkStatus {
    /// The name in the plant file.
    pub id: Arc<str>,
    /// Whether it has its system.
    pub connection: Connection,
    /// Results acknowledged by the system.
    pub delivered: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Results that wait.
    pub waiting: i64,
    /// Results dropped before this sink had them.
    pub dropped: u64,
    /// Dead letters at the moment: results the system refused for good.
    pub refused: i64,
    /// Results that were not to be sent to this sink.
    pub left_out: u64,
}

/// A server at one moment.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ServerStatus {
    /// `opcua`, `http` or `grpc`.
    pub kind: &'static str,
    /// The address clients use.
    pub url: String,
    /// Sessions, or connections, at the moment.
    pub clients: u64,
    /// Requests answered.
    pub requests: u64,
    /// Results delivered to subscribers (server-sent events).
    pub delivered: u64,
    /// Requests refused: malformed, denied or too many.
    pub refused: u64,
    /// When the first of its certificate and those of trusted clients runs out (OPC UA).
    pub certificate_until: Option<Timestamp>,
}

/// The event log at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EventsStatus {
    /// Events recorded.
    pub recorded: u64,
    /// Those of severity error.
    pub errors: u64,
    /// Those that could not be written to the events file.
    pub unwritten: u64,
}

/// The spool at one moment.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct SpoolStatus {
    /// Results written.
    pub written: u64,
    /// Results kept at the moment.
    pub kept: u64,
    /// Bytes kept at the moment.
    pub bytes: u64,
    /// Results dropped by the drop policy, or before they could be written.
    pub dropped: u64,
}
