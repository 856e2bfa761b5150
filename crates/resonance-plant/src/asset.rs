//! Assets and their points: what the plant consists of.

use std::fmt;
use std::sync::Arc;

use crate::{DataType, EquipmentClass, Qualifier, QuantityKind, SemanticId, Unit};

/// The name of an asset within a plant file.
#[derive(
    Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct AssetId(pub Arc<str>);

impl fmt::Display for AssetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A role at its place, filled by a machine with a serial number (ISA-95 parts 1 and 2).
#[derive(Clone, Debug)]
pub struct Asset {
    /// The name in the plant file.
    pub id: AssetId,
    /// Where: enterprise / site / area / work center / work unit.
    pub equipment_id: Arc<str>,
    /// Which machine fills the role; a swap ends what was learned on the old one.
    pub physical_asset_id: Option<Arc<str>>,
    /// Which points such an asset is expected to have.
    pub class: Option<EquipmentClass>,
    /// For people.
    pub description: Arc<str>,
}

/// The dense number of a point: its place in [`Plant::points`]. The hot path knows points by it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct PointIndex(pub u32);

/// How a value holds between two observations.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// The last value holds until the next.
    #[default]
    Step,
    /// The value moves on a straight line.
    Linear,
    /// As linear, the short way round the circle.
    Angle,
    /// Grows, and wraps or resets now and then.
    Counter,
    /// A name or state; no arithmetic.
    Category,
}

/// The range a value is expected in, in the point's unit (OPC UA EURange).
#[derive(Clone, Copy, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Range {
    /// The least value.
    pub low: f64,
    /// The greatest value.
    pub high: f64,
}

/// One variable of an asset.
#[derive(Clone, Debug)]
pub struct Point {
    /// Which asset: its place in [`Plant::assets`].
    pub asset: usize,
    /// The name within the asset.
    pub name: Arc<str>,
    /// What its values are.
    pub data_type: DataType,
    /// What is measured; `None` for states and texts.
    pub quantity: Option<QuantityKind>,
    /// In which unit; `None` where there is none.
    pub unit: Option<Unit>,
    /// Where its values are expected.
    pub range: Option<Range>,
    /// How it holds between observations.
    pub interpolation: Interpolation,
    /// What it means.
    pub semantic_id: Option<SemanticId>,
    /// Which component of the asset it belongs to.
    pub qualifier: Qualifier,
    /// The names of its states where values are state numbers: 0, 1, 2, ...
    pub labels: Arc<[Arc<str>]>,
    /// For people.
    pub description: Arc<str>,
}

/// All assets and points, in their dense order. Model outputs are points too.
#[derive(Clone, Debug, Default)]
pub struct Plant {
    /// The assets.
    pub assets: Vec<Asset>,
    /// The points; [`PointIndex`] is the place here.
    pub points: Vec<Point>,
}

impl Plant {
    /// The point with this index.
    pub fn point(&self, index: PointIndex) -> Option<&Point> {
        self.points.get(index.0 as usize)
    }

    /// The asset of a point.
    pub fn asset_of(&self, index: PointIndex) -> Option<&Asset> {
        self.assets.get(self.point(index)?.asset)
    }

    /// `asset.point`, as people and logs name a point. Empty past the end.
    pub fn path(&self, index: PointIndex) -> String {
        match (self.asset_of(index), self.point(index)) {
            (Some(asset), Some(point)) => format!("{}.{}", asset.id, point.name),
            _ => String::new(),
        }
    }

    /// The point with this `asset.point` path.
    pub fn find(&self, path: &str) -> Option<PointIndex> {
        let (asset_name, point_name) = path.split_once('.')?;
        let asset = self.assets.iter().position(|a| &*a.id.0 == asset_name)?;
        let at = self.points.iter().position(|p| p.asset == asset && &*p.name == point_name)?;
        u32::try_from(at).ok().map(PointIndex)
    }

    /// Every point with its index.
    pub fn indexed(&self) -> impl Iterator<Item = (PointIndex, &Point)> {
        self.points.iter().enumerate().map(|(at, point)| (PointIndex(at as u32), point))
    }
}
