//! `[[asset]]` and `[[asset.point]]`.

use resonance_plant::{DataType, EquipmentClass, Interpolation, QuantityKind, SemanticId, Unit};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::schema;

/// A role at its place, filled by a machine (ISA-95 parts 1 and 2).
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asset {
    /// The name, unique in the file. No dots: `asset.point` is a path.
    #[schemars(schema_with = "schema::name::<0>")]
    pub(crate) id: String,
    /// Where it is: enterprise/site/area/work center/work unit. Absent: the levels of `[plant]`
    /// and the id.
    #[serde(default)]
    pub(crate) equipment_id: Option<String>,
    /// The serial number of the machine that fills the role. A swap of the machine ends what was
    /// learned on it.
    #[serde(default)]
    pub(crate) physical_asset_id: Option<String>,
    /// What kind of equipment it is.
    #[serde(default)]
    #[schemars(schema_with = "schema::equipment_class")]
    pub(crate) class: Option<EquipmentClass>,
    /// For people.
    #[serde(default)]
    pub(crate) description: String,
    /// The source of its points, unless a point names another.
    #[serde(default)]
    pub(crate) source: Option<String>,
    /// Its variables.
    #[serde(default, rename = "point")]
    pub(crate) points: Vec<Point>,
}

/// A variable of an asset.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Point {
    /// The name, unique within the asset.
    #[schemars(schema_with = "schema::name::<1>")]
    pub(crate) name: String,
    /// What its values are.
    #[serde(rename = "type")]
    #[schemars(schema_with = "schema::data_type")]
    pub(crate) data_type: DataType,
    /// What is measured. Temperature is not temperature difference, gauge pressure is not
    /// absolute pressure. Absent: what the unit measures first of all.
    #[serde(default)]
    #[schemars(schema_with = "schema::quantity")]
    pub(crate) quantity: Option<QuantityKind>,
    /// The unit, by the common code of UNECE Recommendation 20, such as CEL or MMT.
    #[serde(default)]
    #[schemars(schema_with = "schema::unit")]
    pub(crate) unit: Option<Unit>,
    /// The least and the greatest value that is expected, in the unit.
    #[serde(default)]
    pub(crate) range: Option<[f64; 2]>,
    /// How a value holds between two observations.
    #[serde(default)]
    #[schemars(schema_with = "schema::interpolation")]
    pub(crate) interpolation: Option<Interpolation>,
    /// What it means: a URI or an IRDI. Models ask for points by it.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub(crate) semantic_id: Option<SemanticId>,
    /// Which component of the asset it belongs to, such as X or zone-3.
    #[serde(default)]
    pub(crate) qualifier: String,
    /// The names of its states 0, 1, 2, ... where values are state numbers.
    #[serde(default)]
    pub(crate) labels: Vec<String>,
    /// For people.
    #[serde(default)]
    pub(crate) description: String,
    /// Which source it comes from. Absent: the asset's.
    #[serde(default)]
    pub(crate) source: Option<String>,
    /// Where the source finds it; for OPC UA a node id such as `ns=2;s=Spindle.Load`, or with the
    /// namespace's URI `nsu=http://example.com/mill/;s=Spindle.Load`; for MTConnect the id of a
    /// data item, `id#key` an entry of a data set, `id#row#column` a cell of a table; for a replay
    /// the name of a column; for images `image`, `part_id` or `triggered`.
    pub(crate) address: String,
    /// How often the machine samples it, milliseconds. Absent: the source's default.
    #[serde(default)]
    pub(crate) sampling_ms: Option<u32>,
    /// Changes smaller than this, in the unit, are not reported.
    #[serde(default)]
    pub(crate) deadband: Option<f64>,
    /// Changes smaller than this share of the range that the machine gives the point (EURange of
    /// OPC UA), percent, are not reported. Instead of `deadband`.
    #[serde(default)]
    pub(crate) deadband_percent: Option<f64>,
    /// The oldest a value may be to count as current, milliseconds. Only for points that are
    /// reported cyclically: by exception, an unchanged value stays current.
    #[serde(default)]
    pub(crate) max_age_ms: Option<u32>,
}
