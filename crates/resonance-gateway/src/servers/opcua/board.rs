//! What OPC UA clients see of deployments: a few columns a deployment, refreshed from their
//! status and their latest result.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use resonance_opcua::server::{
    AddressSpace, AddressSpaceError, ObjectAt, ObjectSpec, Reading, VariableAt, VariableSpec,
};
use resonance_plant::result::FallbackUsed;
use resonance_plant::{
    DataType, LastValues, ModelUsed, PointIndex, ResultRecord, Status, Timestamp, Unit, Value,
};
use tokio::sync::broadcast::error::RecvError;

use crate::models::Models;
use crate::servers::Context;
use crate::status::{DeploymentState, DeploymentStatus};

/// How often the board is brought up to date, but for where the latest result came from: that
/// follows each result. Results themselves are points and not held up.
const REFRESH_EVERY: Duration = Duration::from_millis(250);

/// The folder of deployments; no asset's name starts with a slash.
const FOLDER: &str = "/deployments";

/// One column of the board.
struct Field {
    name: &'static str,
    data_type: DataType,
    unit: Option<&'static str>,
    description: &'static str,
}

const fn field(name: &'static str, data_type: DataType, description: &'static str) -> Field {
    Field { name, data_type, unit: None, description }
}

const fn micros(name: &'static str, description: &'static str) -> Field {
    Field { name, data_type: DataType::Uint32, unit: Some("B98"), description }
}

const FIELDS: [Field; 21] = [
    field("State", DataType::Int32, "What it is doing"),
    field("Reason", DataType::String, "Why, where the state needs a reason"),
    field("LastError", DataType::String, "The last reason for Degraded or Faulted"),
    field("ModelName", DataType::String, "The model that gave the last result"),
    field("ModelVersion", DataType::String, "Its version"),
    field("ModelDigest", DataType::String, "The digest of its package"),
    field("ModelEngine", DataType::String, "The engine that ran it"),
    field("TrainedOn", DataType::String, "Where its training data came from"),
    field("Fallback", DataType::String, "How the last result came about without the model"),
    field("LastResultId", DataType::String, "The id of the last result"),
    field("LastResultValidUntil", DataType::Datetime, "When the last result turns stale"),
    field("Triggers", DataType::Uint64, "Times it was triggered"),
    field("Inferences", DataType::Uint64, "Inferences that gave an answer"),
    field("Results", DataType::Uint64, "Results given, fallbacks included"),
    field("Overruns", DataType::Uint64, "Triggers dropped because the model was busy"),
    field("Failures", DataType::Uint64, "Inferences that failed"),
    field("OverBudget", DataType::Uint64, "Inferences over the package's budget"),
    micros("LatencyP50", "From trigger to result, median"),
    micros("LatencyP99", "From trigger to result, 99th percentile"),
    micros("InferenceP50", "In the engine, median"),
    micros("InferenceP99", "In the engine, 99th percentile"),
];

/// The columns that say where a result comes from: properties of the variables that carry it, too.
const IDENTITY: Range<usize> = 3..11;

/// The names of [`DeploymentState`], in the order of its numbers.
const STATES: [&str; 6] = ["Inactive", "Ready", "Active", "Suspended", "Degraded", "Faulted"];

/// The columns, and where each deployment has its row.
#[derive(Debug)]
pub(super) struct Board {
    columns: Arc<LastValues>,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    id: Arc<str>,
    asset: Arc<str>,
    outputs: Arc<[PointIndex]>,
    last_error: Arc<str>,
    /// The model the deployment asks for first; it stands here until a result names another.
    first: ModelUsed,
}

impl Board {
    /// A board for these deployments.
    pub(super) fn new(deployments: &[DeploymentStatus], models: &Models) -> Self {
        let rows = deployments.iter().map(|deployment| {
            let model = models.find(&deployment.model, Some(&deployment.model_version));
            let text = |text: Option<&Arc<str>>| text.map_or_else(|| "".into(), Arc::clone);
            Row {
                id: Arc::clone(&deployment.id),
                asset: Arc::clone(&deployment.asset),
                outputs: Arc::clone(&deployment.outputs),
                last_error: "".into(),
                first: ModelUsed {
                    name: Arc::clone(&deployment.model),
                    version: Arc::clone(&deployment.model_version),
                    digest: text(model.map(|model| &model.used.digest)),
                    engine: text(model.map(|model| &model.used.engine)),
                    trained_on: Arc::clone(&deployment.trained_on),
                    fallback: None,
                },
            }
        });
        let columns = Arc::new(LastValues::new(deployments.len() * FIELDS.len()));
        Self { columns, rows: rows.collect() }
    }

    /// The columns; only [`Board::refresh`] writes them.
    #[cfg(test)]
    pub(super) fn columns(&self) -> &Arc<LastValues> {
        &self.columns
    }

    /// Adds the folder of deployments and what is in it.
    pub(super) fn add_to(&self, space: &mut AddressSpace) -> Result<(), AddressSpaceError> {
        let object = |id: &str, name: &str, is_folder| ObjectSpec {
            id: id.into(),
            name: name.into(),
            description: "".into(),
            is_folder,
        };
        space.set_computed(Arc::clone(&self.columns));
        let folder = space.add_object(None, object(FOLDER, "Deployments", true))?;
        for (row, deployment) in self.rows.iter().enumerate() {
            let id = format!("{FOLDER}/{}", deployment.id);
            let at = space.add_object(Some(folder), object(&id, &deployment.id, false))?;
            self.add_row(space, at, &id, row)?;
            let reading = Reading::Fixed(Value::Text(Arc::clone(&deployment.asset)));
            let asset = format!("{id}/Asset");
            let asset = VariableSpec::plain(&asset, "Asset", DataType::String, reading);
            space.add_property(at, asset)?;
        }
        Ok(())
    }

    /// Gives the variable of a point that carries an output of a deployment the identity of the
    /// model that gave its value. Other variables stay as they are.
    pub(super) fn add_identity(
        &self,
        space: &mut AddressSpace,
        variable: VariableAt,
        (point, path): (PointIndex, &str),
    ) -> Result<(), AddressSpaceError> {
        let Some(row) = self.rows.iter().position(|row| row.outputs.contains(&point)) else {
            return Ok(());
        };
        for (at, field) in IDENTITY.zip(&FIELDS[IDENTITY]) {
            let reading = Reading::Computed(place(row, at));
            let id = format!("{path}/{}", field.name);
            let mut spec = VariableSpec::plain(&id, field.name, field.data_type, reading);
            spec.description = field.description.into();
            space.add_property_of(variable, spec)?;
        }
        Ok(())
    }

    fn add_row(
        &self,
        space: &mut AddressSpace,
        object: ObjectAt,
        id: &str,
        row: usize,
    ) -> Result<(), AddressSpaceError> {
        for (at, field) in FIELDS.iter().enumerate() {
            let reading = Reading::Computed(place(row, at));
            let id = format!("{id}.{}", field.name);
            let mut spec = VariableSpec::plain(&id, field.name, field.data_type, reading);
            spec.description = field.description.into();
            spec.unit = field.unit.and_then(Unit::from_code);
            if field.name == "State" {
                spec.labels = STATES.into_iter().map(Arc::from).collect();
            }
            space.add_variable(Some(object), spec)?;
        }
        Ok(())
    }

    /// Keeps the board up to date, for ever.
    pub(super) async fn follow(mut self, context: Context) {
        if self.rows.is_empty() {
            return;
        }
        let mut results = context.results.subscribe();
        let mut latest: HashMap<Arc<str>, Arc<ResultRecord>> = HashMap::new();
        let mut ticks = tokio::time::interval(REFRESH_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut is_open = true;
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    self.refresh(&context.deployments.status(), &latest, context.clock.now());
                }
                result = results.recv(), if is_open => match result {
                    Ok(record) => {
                        self.identify(&record, context.clock.now());
                        latest.insert(Arc::clone(&record.deployment), record);
                    }
                    // Only the latest result matters here, so what was missed does not.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => is_open = false,
                }
            }
        }
    }

    pub(super) fn refresh(
        &mut self,
        deployments: &[DeploymentStatus],
        latest: &HashMap<Arc<str>, Arc<ResultRecord>>,
        now: Timestamp,
    ) {
        for deployment in deployments {
            let Some(at) = self.rows.iter().position(|row| row.id == deployment.id) else {
                continue;
            };
            let troubled =
                matches!(deployment.state, DeploymentState::Degraded | DeploymentState::Faulted);
            if troubled && !deployment.reason.is_empty() {
                self.rows[at].last_error = deployment.reason.as_str().into();
            }
            let row = &self.rows[at];
            let latest = latest.get(&deployment.id).map(|record| &**record);
            let values = standing(row, deployment).into_iter().chain(identity(&row.first, latest));
            for (field, value) in values.chain(figures(deployment)).enumerate() {
                self.set(place(at, field), &value, now);
            }
        }
    }

    /// Says where this result came from.
    pub(super) fn identify(&self, record: &ResultRecord, now: Timestamp) {
        let Some(at) = self.rows.iter().position(|row| row.id == record.deployment) else {
            return;
        };
        for (field, value) in IDENTITY.zip(identity(&record.model, Some(record))) {
            self.set(place(at, field), &value, now);
        }
    }

    /// Writes what differs, so that the source time is when it changed.
    fn set(&self, point: PointIndex, value: &Value, now: Timestamp) {
        let is_new = self
            .columns
            .observation(point)
            .is_none_or(|present| !same(&present.value, value) || present.status.is_bad());
        if is_new {
            self.columns.write_value(point, value, now, now, Status::GOOD);
        }
    }
}

/// Columns give whole numbers back as signed ones.
fn same(present: &Value, value: &Value) -> bool {
    match (present, value) {
        (Value::Int(a), Value::Uint(b)) => u64::try_from(*a) == Ok(*b),
        _ => present == value,
    }
}

/// What a deployment is doing: the first of [`FIELDS`].
fn standing(row: &Row, status: &DeploymentStatus) -> [Value; IDENTITY.start] {
    let text = |text: &str| Value::Text(text.into());
    [Value::Int(i64::from(status.state as u8)), text(&status.reason), text(&row.last_error)]
}

/// Where the latest result came from, or the model that will be asked first: [`IDENTITY`].
fn identity(
    first: &ModelUsed,
    latest: Option<&ResultRecord>,
) -> [Value; IDENTITY.end - IDENTITY.start] {
    let used = latest.map_or(first, |record| &record.model);
    let text = |text: &Arc<str>| Value::Text(Arc::clone(text));
    let fallback = match used.fallback {
        None => "",
        Some(FallbackUsed::HoldLast) => "HoldLast",
        Some(FallbackUsed::FallBackTo) => "FallBackTo",
    };
    [
        text(&used.name),
        text(&used.version),
        text(&used.digest),
        text(&used.engine),
        text(&used.trained_on),
        Value::Text(fallback.into()),
        latest.map_or(Value::Empty, |record| Value::Text(record.id.to_string().into())),
        latest.map_or(Value::Empty, |record| Value::Time(record.valid_until)),
    ]
}

/// What a deployment counts: the last of [`FIELDS`].
fn figures(status: &DeploymentStatus) -> [Value; FIELDS.len() - IDENTITY.end] {
    let count = Value::Uint;
    let micros = |us: u32| Value::Uint(u64::from(us));
    [
        count(status.triggers),
        count(status.inferences),
        count(status.results),
        count(status.overruns),
        count(status.failures),
        count(status.over_budget),
        micros(status.latency.p50_us),
        micros(status.latency.p99_us),
        micros(status.inference.p50_us),
        micros(status.inference.p99_us),
    ]
}

fn place(row: usize, field: usize) -> PointIndex {
    PointIndex((row * FIELDS.len() + field) as u32)
}
