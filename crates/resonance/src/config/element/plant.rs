//! `[plant]`.

use schemars::JsonSchema;
use serde::Deserialize;

/// The levels of ISA-95 above the assets; those that are absent are left out of equipment ids.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlantHierarchy {
    /// The company.
    #[serde(default)]
    pub(crate) enterprise: Option<String>,
    /// The works.
    #[serde(default)]
    pub(crate) site: Option<String>,
    /// The hall or department.
    #[serde(default)]
    pub(crate) area: Option<String>,
    /// The line or cell.
    #[serde(default)]
    pub(crate) work_center: Option<String>,
}

impl PlantHierarchy {
    /// The equipment id of a work unit below these levels: `enterprise/site/area/cell/unit`.
    pub(crate) fn equipment_id(&self, work_unit: &str) -> String {
        let levels = [&self.enterprise, &self.site, &self.area, &self.work_center];
        let mut levels: Vec<&str> = levels.into_iter().filter_map(|l| l.as_deref()).collect();
        levels.push(work_unit);
        levels.join("/")
    }
}
