//! Which of a machine's objects is the asset.

use std::sync::Arc;

use resonance_gateway::sources::survey::{Step, Variable};

/// Folders in which servers keep machines: UA/Machinery, OPC 10000-100.
const CONTAINERS: [&str; 4] = ["Machines", "DeviceSet", "NetworkSet", "DeviceTopology"];

/// Variables of one asset.
pub(super) struct Group<'s> {
    /// From below the Objects folder to the asset.
    pub(super) path: &'s [Arc<Step>],
    pub(super) variables: Vec<&'s Variable>,
}

/// The way to a variable's asset: its first ancestor that is more than a folder, or else the
/// first folder. Empty for variables that lie in the Objects folder itself.
pub(super) fn place(variable: &Variable) -> &[Arc<Step>] {
    let ancestors = &variable.path[..variable.path.len().saturating_sub(1)];
    let machine = ancestors.iter().position(|step| !is_container(step));
    let end = machine.map_or(ancestors.len().min(1), |at| at + 1);
    &ancestors[..end]
}

fn is_container(step: &Step) -> bool {
    let is_folder = step.types.first().is_some_and(|is_a| is_a.name == "FolderType");
    is_folder || CONTAINERS.contains(&step.name.name.as_str())
}
