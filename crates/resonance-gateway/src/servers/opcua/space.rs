//! The plant as an OPC UA address space: an object an asset with its points as variables, and an
//! object a deployment.

use std::sync::Arc;

use resonance_opcua::server::{
    AddressSpace, AddressSpaceError, ObjectAt, ObjectSpec, Reading, VariableSpec,
};
use resonance_plant::{Asset, DataType, Plant, Value};

use super::board::Board;

/// All nodes. Point variables have the id `asset.point`, as everywhere else.
pub(super) fn address_space(
    plant: &Plant,
    board: &Board,
) -> Result<AddressSpace, AddressSpaceError> {
    let mut space = AddressSpace::new();
    let mut assets = Vec::with_capacity(plant.assets.len());
    for asset in &plant.assets {
        assets.push(add_asset(&mut space, asset)?);
    }
    for (index, point) in plant.indexed() {
        let path = plant.path(index);
        let spec = VariableSpec {
            id: path.as_str().into(),
            name: Arc::clone(&point.name),
            description: Arc::clone(&point.description),
            reading: Reading::Point(index),
            data_type: point.data_type,
            unit: point.unit,
            range: point.range,
            labels: Arc::clone(&point.labels),
            axis: None,
            semantic_id: point.semantic_id.clone(),
            qualifier: point.qualifier.clone(),
        };
        let variable = space.add_variable(assets.get(point.asset).copied(), spec)?;
        board.add_identity(&mut space, variable, (index, &path))?;
    }
    board.add_to(&mut space)?;
    Ok(space)
}

fn add_asset(space: &mut AddressSpace, asset: &Asset) -> Result<ObjectAt, AddressSpaceError> {
    let object = space.add_object(
        None,
        ObjectSpec {
            id: Arc::clone(&asset.id.0),
            name: Arc::clone(&asset.id.0),
            description: Arc::clone(&asset.description),
            is_folder: false,
        },
    )?;
    let class = asset.class.map(|class| Arc::from(class.name()));
    let properties = [
        ("EquipmentId", Some(Arc::clone(&asset.equipment_id))),
        ("PhysicalAssetId", asset.physical_asset_id.clone()),
        ("EquipmentClass", class),
    ];
    for (name, text) in properties {
        let Some(text) = text else { continue };
        let id = format!("{}/{name}", asset.id);
        let reading = Reading::Fixed(Value::Text(text));
        let spec = VariableSpec::plain(&id, name, DataType::String, reading);
        space.add_property(object, spec)?;
    }
    Ok(object)
}
