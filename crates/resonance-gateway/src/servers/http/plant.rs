//! `GET /api/v1/plant`: assets and points.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use resonance_plant::{
    DataType, EquipmentClass, Interpolation, Point, Qualifier, QuantityKind, Range, SemanticId,
    Unit,
};
use schemars::JsonSchema;
use serde::Serialize;

use super::shared::Shared;

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PlantView<'a> {
    assets: Vec<AssetView<'a>>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct AssetView<'a> {
    id: &'a str,
    equipment_id: &'a str,
    physical_asset_id: Option<&'a str>,
    #[schemars(with = "Option<String>")]
    class: Option<EquipmentClass>,
    description: &'a str,
    points: Vec<PointView<'a>>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct PointView<'a> {
    name: &'a str,
    #[schemars(with = "String")]
    data_type: DataType,
    #[schemars(with = "Option<String>")]
    quantity: Option<&'a QuantityKind>,
    unit: Option<&'a Unit>,
    #[schemars(with = "Option<RangeView>")]
    range: Option<Range>,
    #[schemars(with = "String")]
    interpolation: Interpolation,
    #[schemars(with = "Option<String>")]
    semantic_id: Option<&'a SemanticId>,
    #[serde(skip_serializing_if = "Qualifier::is_none")]
    #[schemars(with = "Option<String>")]
    qualifier: &'a Qualifier,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schemars(with = "Option<Vec<String>>")]
    labels: &'a [Arc<str>],
    description: &'a str,
}

/// The range a value is expected in, in the point's unit.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct RangeView {
    low: f64,
    high: f64,
}

pub(super) async fn plant(State(shared): State<Arc<Shared>>) -> Response {
    let plant = &shared.context.plant;
    let mut points: BTreeMap<usize, Vec<PointView<'_>>> = BTreeMap::new();
    for point in &plant.points {
        points.entry(point.asset).or_default().push(view(point));
    }
    let assets = plant.assets.iter().enumerate().map(|(at, asset)| AssetView {
        id: &asset.id.0,
        equipment_id: &asset.equipment_id,
        physical_asset_id: asset.physical_asset_id.as_deref(),
        class: asset.class,
        description: &asset.description,
        points: points.remove(&at).unwrap_or_default(),
    });
    Json(PlantView { assets: assets.collect() }).into_response()
}

fn view(point: &Point) -> PointView<'_> {
    PointView {
        name: &point.name,
        data_type: point.data_type,
        quantity: point.quantity.as_ref(),
        unit: point.unit.as_ref(),
        range: point.range,
        interpolation: point.interpolation,
        semantic_id: point.semantic_id.as_ref(),
        qualifier: &point.qualifier,
        labels: &point.labels,
        description: &point.description,
    }
}
