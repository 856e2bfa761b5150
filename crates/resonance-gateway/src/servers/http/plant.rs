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
use serde::Serialize;

use super::shared::Shared;

#[derive(Debug, Serialize)]
struct PlantView<'a> {
    assets: Vec<AssetView<'a>>,
}

#[derive(Debug, Serialize)]
struct AssetView<'a> {
    id: &'a str,
    equipment_id: &'a str,
    physical_asset_id: Option<&'a str>,
    class: Option<EquipmentClass>,
    description: &'a str,
    points: Vec<PointView<'a>>,
}

#[derive(Debug, Serialize)]
struct PointView<'a> {
    name: &'a str,
    data_type: DataType,
    quantity: Option<&'a QuantityKind>,
    unit: Option<&'a Unit>,
    range: Option<Range>,
    interpolation: Interpolation,
    semantic_id: Option<&'a SemanticId>,
    #[serde(skip_serializing_if = "Qualifier::is_none")]
    qualifier: &'a Qualifier,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    labels: &'a [Arc<str>],
    description: &'a str,
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
