//! `GET /api/v1/values`: last values with unit, status and age.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use resonance_plant::{Plant, Point, PointIndex, Status, Timestamp, Unit, Value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::refusal::Refusal;
use super::shared::Shared;
use crate::access::shown;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    /// Only points of this asset.
    asset: Option<String>,
    /// Only points of this name.
    point: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Values<'a> {
    at: Timestamp,
    values: Vec<LastValue<'a>>,
}

/// A point's last value. One that was never received has no times.
#[derive(Debug, Serialize, JsonSchema)]
struct LastValue<'a> {
    asset: &'a str,
    point: &'a str,
    value: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    unit: Option<&'a Unit>,
    status: Status,
    source_time: Option<Timestamp>,
    receive_time: Option<Timestamp>,
    /// Now minus source time, milliseconds.
    age_ms: Option<i64>,
}

pub(super) async fn values(
    State(shared): State<Arc<Shared>>,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(filter) = filter.map_err(|error| Refusal::invalid(error.body_text()))?;
    let plant = &shared.context.plant;
    if let Some(name) = &filter.asset
        && !plant.assets.iter().any(|asset| *asset.id.0 == **name)
    {
        return Err(Refusal::unknown(format!("there is no asset {:?}", shown(name))));
    }
    let at = shared.context.clock.now();
    let mut values = Vec::new();
    for (index, point) in plant.indexed() {
        if filter.point.as_ref().is_none_or(|name| *point.name == **name)
            && let Some(value) = last_value(&shared, plant, index, point, at)
            && filter.asset.as_ref().is_none_or(|name| value.asset == name)
        {
            values.push(value);
        }
    }
    if values.is_empty()
        && let Some(name) = &filter.point
    {
        return Err(Refusal::unknown(format!("there is no point {:?} there", shown(name))));
    }
    Ok(Json(Values { at, values }).into_response())
}

fn last_value<'a>(
    shared: &Shared,
    plant: &'a Plant,
    index: PointIndex,
    point: &'a Point,
    at: Timestamp,
) -> Option<LastValue<'a>> {
    let asset = plant.assets.get(point.asset)?;
    let last = shared.context.values.observation(index)?;
    let known = shared.context.values.version(index) > 0;
    let time = |time: Timestamp| known.then_some(time);
    Some(LastValue {
        asset: &asset.id.0,
        point: &point.name,
        label: label(point, &last.value),
        value: last.value,
        unit: point.unit.as_ref(),
        status: last.status,
        source_time: time(last.source_time),
        receive_time: time(last.receive_time),
        age_ms: known.then(|| at.since(last.source_time) / 1_000_000),
    })
}

/// The name of the state, where the point has states.
fn label<'a>(point: &'a Point, value: &Value) -> Option<&'a str> {
    let number = value.as_f64().filter(|number| number.fract() == 0.0 && *number >= 0.0)?;
    point.labels.get(number as usize).map(|label| &**label)
}
