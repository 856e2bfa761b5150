//! The spans of one result.

use std::sync::Arc;

use resonance_plant::{ResultId, ResultRecord, Status, Timestamp};
use resonance_wire::otlp::SpanKind;
use sha2::{Digest, Sha256};

/// One stage of a result's way.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// The trace's id: the result's.
    pub trace: [u8; 16],
    /// Its own id.
    pub id: [u8; 8],
    /// The id of the span it is part of.
    pub parent: Option<[u8; 8]>,
    /// Which stage.
    pub name: Arc<str>,
    /// Where in the chain it stands.
    pub kind: SpanKind,
    /// Its begin.
    pub from: Timestamp,
    /// Its end, not before its begin.
    pub to: Timestamp,
    /// What is known of it.
    pub attributes: Vec<(&'static str, Attribute)>,
    /// What went wrong, where something did.
    pub error: Option<String>,
}

/// What is known of a span.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// A text.
    Text(Arc<str>),
    /// A number.
    Int(i64),
    /// A truth.
    Bool(bool),
}

/// The moments at which a result that a model gave passed from stage to stage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stages {
    /// The end of its window, on our clock as far as the machine's is known.
    pub observed: Timestamp,
    /// The observation that triggered it was received.
    pub received: Timestamp,
    /// Its window was gathered.
    pub gathered: Timestamp,
    /// The engine began.
    pub began: Timestamp,
    /// The engine had ended.
    pub ended: Timestamp,
    /// Rows of the batch that it was part of.
    pub rows: usize,
}

/// What the first span of a trace is called, for those that are part of it.
const ROOT: &str = "result";

/// The spans of a result until its record was finished. `stages` is absent where no model was
/// asked: an answer that is held or taken back.
pub fn of_result(record: &ResultRecord, stages: Option<Stages>) -> Vec<Span> {
    let finished = record.computed_at;
    let observed = stages.map_or(finished, |stages| stages.observed.min(stages.received));
    let mut root = Span {
        id: id(&record.id, ROOT),
        parent: None,
        attributes: of_record(record),
        error: record.status.is_bad().then(|| record.status.to_string()),
        ..part(&record.id, format!("result {}", record.deployment), ROOT, (observed, finished))
    };
    let Some(Stages { received, gathered, began, ended, rows, .. }) = stages else {
        return vec![root];
    };
    root.to = root.to.max(ended);
    let stage = |name: &str, from, to| part(&record.id, name.to_owned(), name, (from, to));
    let mut observe = stage("observe", observed, received);
    let window = &record.window;
    observe.kind = SpanKind::Consumer;
    observe.attributes = vec![
        ("resonance.window.from", Attribute::Text(window.from.to_string().into())),
        ("resonance.window.to", Attribute::Text(window.to.to_string().into())),
        ("resonance.window.samples", Attribute::Int(i64::from(window.samples))),
        ("resonance.window.points", int(window.points.len())),
        ("resonance.window.status", status(window.worst_status)),
    ];
    let mut infer = stage("infer", began, ended);
    infer.attributes = vec![
        ("resonance.model.name", Attribute::Text(Arc::clone(&record.model.name))),
        ("resonance.model.version", Attribute::Text(Arc::clone(&record.model.version))),
        ("resonance.model.digest", Attribute::Text(Arc::clone(&record.model.digest))),
        ("resonance.engine", Attribute::Text(Arc::clone(&record.model.engine))),
        ("resonance.batch.rows", int(rows)),
        ("resonance.budget_us", Attribute::Int(i64::from(record.latency.budget_us))),
    ];
    let (window, queue) = (stage("window", received, gathered), stage("queue", gathered, began));
    vec![root, observe, window, queue, infer]
}

/// The span of a result's way into the spool's file.
pub fn of_spool(record: &ResultRecord, written: Timestamp) -> Span {
    let moments = (record.computed_at, written);
    Span { kind: SpanKind::Producer, ..part(&record.id, "spool".into(), "spool", moments) }
}

/// The span of a result's delivery by a sink, which took it out of the spool so many times.
/// `error` says why its system will never have it.
pub fn of_delivery(
    result: &ResultId,
    sink: &Arc<str>,
    attempts: u32,
    moments: (Timestamp, Timestamp),
    error: Option<&str>,
) -> Span {
    let name = delivery(sink);
    Span {
        kind: SpanKind::Client,
        attributes: vec![
            ("resonance.sink", Attribute::Text(Arc::clone(sink))),
            ("resonance.attempts", Attribute::Int(i64::from(attempts))),
        ],
        error: error.map(str::to_owned),
        ..part(result, name.clone(), &name, moments)
    }
}

/// What a sink hands on with a result, so that its system may go on with the trace: `traceparent`
/// of W3C Trace Context, the delivery's span as the parent, sampled.
pub fn context_of_delivery(result: &ResultId, sink: &str) -> String {
    let span = id(result, &delivery(sink));
    let hex: String = span.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("00-{result}-{hex}-01")
}

fn delivery(sink: &str) -> String {
    format!("deliver {sink}")
}

/// A part of a result's trace; `unique` tells it from the others.
fn part(result: &ResultId, name: String, unique: &str, (from, to): (Timestamp, Timestamp)) -> Span {
    Span {
        trace: result.0,
        id: id(result, unique),
        parent: Some(id(result, ROOT)),
        name: name.into(),
        kind: SpanKind::Internal,
        from,
        // Clocks differ, and may be set back.
        to: to.max(from),
        attributes: Vec::new(),
        error: None,
    }
}

/// The same for the same stage of the same result, whoever asks.
fn id(result: &ResultId, unique: &str) -> [u8; 8] {
    let mut hash = Sha256::new();
    hash.update(result.0);
    hash.update(unique.as_bytes());
    let mut id = [0; 8];
    id.copy_from_slice(&hash.finalize()[..8]);
    id
}

fn of_record(record: &ResultRecord) -> Vec<(&'static str, Attribute)> {
    vec![
        ("resonance.result.id", Attribute::Text(record.id.to_string().into())),
        ("resonance.deployment", Attribute::Text(Arc::clone(&record.deployment))),
        ("resonance.asset", Attribute::Text(Arc::clone(&record.asset))),
        ("resonance.equipment_id", Attribute::Text(Arc::clone(&record.equipment_id))),
        ("resonance.sequence", Attribute::Int(i64::try_from(record.sequence).unwrap_or(i64::MAX))),
        ("resonance.status", status(record.status)),
        ("resonance.fallback", Attribute::Bool(record.model.fallback.is_some())),
        ("resonance.backfilled", Attribute::Bool(record.backfilled)),
    ]
}

fn status(status: Status) -> Attribute {
    Attribute::Text(status.to_string().into())
}

fn int(count: usize) -> Attribute {
    Attribute::Int(i64::try_from(count).unwrap_or(i64::MAX))
}
