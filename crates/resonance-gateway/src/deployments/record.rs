//! From an answer to a record of it.

use std::sync::Arc;

use resonance_inference::Manifest;
use resonance_inference::outputs::{OutputPlan, Soundness};
use resonance_inference::package::manifest::OutputElement;
use resonance_plant::{
    Latency, ModelUsed, OutputValue, PointIndex, ResultId, ResultRecord, Status, TensorBuf,
    Timestamp, Value, WindowRef,
};

/// The values of a deployment's results: where they lie among the model's outputs, and the points
/// that carry them.
#[derive(Clone, Debug)]
pub struct Slots {
    plan: OutputPlan,
    points: Vec<PointIndex>,
}

impl Slots {
    /// The slots of a manifest's outputs, whose points are `points`, both in the manifest's order.
    pub fn new(manifest: &Manifest, points: &[PointIndex]) -> Self {
        Self { plan: OutputPlan::new(manifest), points: points.to_vec() }
    }

    /// The points, in order.
    pub fn points(&self) -> &[PointIndex] {
        &self.points
    }

    /// Row `row` of a model's outputs as the values of a record, none better than `status`.
    pub fn values(&self, outputs: &TensorBuf, row: usize, status: Status) -> Vec<OutputValue> {
        let extract = |(at, (element, point)): (usize, (&OutputElement, &PointIndex))| {
            let Some(extracted) = self.plan.extract(outputs, at, row) else {
                return empty(element, *point, Status::BAD_INTERNAL_ERROR);
            };
            let sound = match extracted.soundness {
                Soundness::Sound => Status::GOOD,
                Soundness::OutOfRange => Status::UNCERTAIN_ENGINEERING_UNITS_EXCEEDED,
                Soundness::Unusable => {
                    return empty(element, *point, status.worst(Status::BAD_OUT_OF_RANGE));
                }
            };
            OutputValue {
                value: extracted.value,
                label: extracted.label,
                uncertainty: extracted.uncertainty,
                ..empty(element, *point, status.worst(sound))
            }
        };
        self.plan.elements().zip(&self.points).enumerate().map(extract).collect()
    }

    /// The values of a record without an answer: empty, with a status that says why.
    pub fn no_values(&self, status: Status) -> Vec<OutputValue> {
        let pairs = self.plan.elements().zip(&self.points);
        pairs.map(|(element, point)| empty(element, *point, status)).collect()
    }
}

fn empty(element: &OutputElement, point: PointIndex, status: Status) -> OutputValue {
    OutputValue {
        name: Arc::clone(&element.name),
        point: Some(point),
        value: Value::Empty,
        label: None,
        quantity: element.meaning.quantity(),
        unit: element.meaning.unit,
        semantic_id: Some(element.meaning.semantic_id.clone()),
        qualifier: element.meaning.qualifier.clone(),
        uncertainty: None,
        status,
    }
}

/// What a record says besides the answer.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The deployment.
    pub deployment: Arc<str>,
    /// The asset.
    pub asset: Arc<str>,
    /// The role of the asset at its place.
    pub equipment_id: Arc<str>,
    /// The machine that fills the role.
    pub physical_asset_id: Option<Arc<str>>,
    /// The paths of the inputs, in binding order.
    pub points: Arc<[Arc<str>]>,
    /// How long an answer holds.
    pub valid_for: std::time::Duration,
    /// What the package allows for an inference, microseconds; zero: no budget.
    pub budget_us: u32,
    /// Samples of each input.
    pub samples: u32,
}

/// The part, the moments and the status of one record.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The part that the answer is about.
    pub part: Option<Arc<str>>,
    /// Source time of the oldest sample.
    pub from: Timestamp,
    /// Source time of the newest sample.
    pub to: Timestamp,
    /// When the answer turns stale.
    pub valid_until: Timestamp,
    /// The worst status among the samples.
    pub worst: Status,
    /// Whether it is about the time of an outage, read from a history afterwards.
    pub backfilled: bool,
    /// When the trigger was received.
    pub received: Timestamp,
    /// Now.
    pub now: Timestamp,
    /// Time in the engine, microseconds.
    pub inference_us: u32,
    /// Counts the deployment's results.
    pub sequence: u64,
}

/// A record.
pub fn record(
    frame: &Frame,
    manifest: &Manifest,
    model: &Arc<ModelUsed>,
    outputs: Vec<OutputValue>,
    status: Status,
    facts: Facts,
) -> ResultRecord {
    let since_receipt = facts.now.since(facts.received).max(0) / 1_000;
    ResultRecord {
        id: ResultId::derive(&frame.deployment, &model.digest, facts.to, facts.sequence),
        deployment: Arc::clone(&frame.deployment),
        asset: Arc::clone(&frame.asset),
        equipment_id: Arc::clone(&frame.equipment_id),
        physical_asset_id: frame.physical_asset_id.clone(),
        part_id: facts.part,
        category: manifest.category,
        model: Arc::clone(model),
        sequence: facts.sequence,
        outputs,
        window: WindowRef {
            from: facts.from,
            to: facts.to,
            samples: frame.samples,
            points: Arc::clone(&frame.points),
            worst_status: facts.worst,
        },
        source_time: facts.to,
        computed_at: facts.now,
        valid_until: facts.valid_until,
        latency: Latency {
            inference_us: facts.inference_us,
            total_us: u32::try_from(since_receipt).unwrap_or(u32::MAX),
            budget_us: frame.budget_us,
        },
        status,
        backfilled: facts.backfilled,
    }
}
