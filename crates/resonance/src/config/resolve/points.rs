//! Assets and points of the plant file.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use resonance_gateway::sources::{Deadband, SourcePoint};
use resonance_plant::{
    Asset, AssetId, DataType, ElementType, Interpolation, Point, PointIndex, Qualifier, Range,
};

use super::packages::Packages;
use super::{Diagnostic, Mistake, Resolver, SourcePoints};
use crate::config::element;

impl Resolver<'_, '_> {
    /// Fills the plant with the file's assets and points; gives each source its points. Takes the
    /// assets apart as it goes: of all points, there is never more than one copy too many.
    pub(super) fn points(&mut self, assets: Vec<element::Asset>) -> SourcePoints {
        let file = self.file;
        let sources: BTreeMap<&str, usize> =
            file.sources.iter().enumerate().map(|(at, source)| (source.id(), at)).collect();
        let mut by_source: SourcePoints = vec![Vec::new(); file.sources.len()];
        for (at, mut asset) in assets.into_iter().enumerate() {
            let said = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
            self.plant.assets.push(Asset {
                id: AssetId(asset.id.as_str().into()),
                equipment_id: said(&asset.equipment_id)
                    .unwrap_or_else(|| file.plant.equipment_id(&asset.id))
                    .into(),
                physical_asset_id: said(&asset.physical_asset_id).map(Into::into),
                class: asset.class,
                description: asset.description.as_str().into(),
            });
            for point in std::mem::take(&mut asset.points) {
                let made = point_of(at, &point);
                let labels = Arc::clone(&made.labels);
                let Some(index) = self.add(made) else { return by_source };
                if let Some(ms) = point.max_age_ms {
                    self.max_age.insert(index, Duration::from_millis(ms.into()));
                }
                let source = point.source.as_deref().or(asset.source.as_deref());
                let source = source.and_then(|source| sources.get(source));
                if let Some(points) = source.and_then(|source| by_source.get_mut(*source)) {
                    points.push(SourcePoint {
                        point: index,
                        path: format!("{}.{}", asset.id, point.name).into(),
                        address: point.address.as_str().into(),
                        data_type: point.data_type,
                        labels: Arc::clone(&labels),
                        sampling_ms: point.sampling_ms,
                        deadband: deadband_of(&point),
                    });
                }
            }
        }
        by_source
    }

    /// Makes the results of every deployment points of its asset.
    pub(super) fn output_points(&mut self, packages: &Packages) {
        let file = self.file;
        for (at, deployment) in file.deployments.iter().enumerate() {
            let Some(model) = packages.of_deployment(at) else { continue };
            let Some(asset) = self.asset_named(&deployment.asset) else { continue };
            for (output, value) in model.manifest.values() {
                let point = output_point(asset, &deployment.id, output.element, value);
                let name = Arc::clone(&point.name);
                if self.by_path.contains_key(&(asset, Arc::clone(&name))) {
                    let place = self.place("deployment", at, "id");
                    let message = format!(
                        "the asset {:?} has a point {name:?} already, which would carry a result",
                        deployment.asset
                    );
                    let clash = Diagnostic::error(Mistake::Duplicate, &place, message);
                    self.out.push(clash.remedy("rename the deployment or the point"));
                    continue;
                }
                if let Some(index) = self.add(point) {
                    self.outputs.insert(index, at);
                }
            }
        }
    }

    fn add(&mut self, point: Point) -> Option<PointIndex> {
        // A file of the largest size cannot have as many points as an index can count.
        let index = u32::try_from(self.plant.points.len()).ok().map(PointIndex)?;
        self.by_path.insert((point.asset, Arc::clone(&point.name)), index);
        if let Some(id) = &point.semantic_id {
            let meaning = (point.asset, id.clone(), point.qualifier.clone());
            self.by_meaning.entry(meaning).or_default().push(index);
        }
        self.plant.points.push(point);
        Some(index)
    }
}

fn deadband_of(point: &element::Point) -> Option<Deadband> {
    let percent = point.deadband_percent.map(Deadband::Percent);
    point.deadband.map(Deadband::Absolute).or(percent)
}

fn point_of(asset: usize, point: &element::Point) -> Point {
    let states = !point.labels.is_empty() || !point.data_type.is_numeric();
    let natural = if states { Interpolation::Category } else { Interpolation::Step };
    Point {
        asset,
        name: point.name.as_str().into(),
        data_type: point.data_type,
        quantity: point.quantity.or(point.unit.map(|unit| unit.quantity())),
        unit: point.unit,
        range: point.range.map(|[low, high]| Range { low, high }),
        interpolation: point.interpolation.unwrap_or(natural),
        semantic_id: point.semantic_id.clone(),
        qualifier: Qualifier::from(point.qualifier.as_str()),
        labels: point.labels.iter().map(|label| label.as_str().into()).collect(),
        description: point.description.as_str().into(),
    }
}

fn output_point(
    asset: usize,
    deployment: &str,
    element: ElementType,
    value: &resonance_inference::package::manifest::OutputElement,
) -> Point {
    let labelled = !value.labels.is_empty();
    Point {
        asset,
        name: format!("{deployment}.{}", value.name).into(),
        data_type: if labelled { DataType::Int64 } else { value_type(element) },
        quantity: value.meaning.quantity(),
        unit: value.meaning.unit,
        range: value.range.map(|[low, high]| Range { low, high }),
        interpolation: if labelled { Interpolation::Category } else { Interpolation::Step },
        semantic_id: Some(value.meaning.semantic_id.clone()),
        qualifier: value.meaning.qualifier.clone(),
        labels: value.labels.clone().into(),
        description: format!("Result of the deployment {deployment}").into(),
    }
}

/// The type of a result's value, as `resonance_inference::outputs` makes it of a tensor's element.
fn value_type(element: ElementType) -> DataType {
    match element {
        ElementType::Bool => DataType::Boolean,
        ElementType::Uint64 => DataType::Uint64,
        ElementType::Fp16 | ElementType::Bf16 | ElementType::Fp32 | ElementType::Fp64 => {
            DataType::Float64
        }
        ElementType::Bytes => DataType::String,
        _ => DataType::Int64,
    }
}
