//! The JSON Schema of plant files (draft 2020-12), generated from the types that read them.
//!
//! One keyword of its own, `x-synonyms`, maps what people write to what is meant, so that the
//! nearest valid value is named; editors ignore it.

use resonance_plant::{DataType, EquipmentClass, QuantityKind, Role, Unit};
use schemars::{Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde_json::{Map, Value, json};

use super::element::{ID_PATTERN, NAME_PATTERN, PlantFile};

/// The schema of a plant file.
pub(crate) fn plant_file() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<PlantFile>().to_value();
    without_null(&mut schema);
    schema
}

/// TOML has no null: what is absent is absent. Takes null out of types, choices and defaults.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if object.get("default") == Some(&Value::Null) {
                object.remove("default");
            }
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    object.insert("type".into(), only);
                }
            }
            if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
                choices.retain(|choice| choice.get("type") != Some(&json!("null")));
                if let [Value::Object(only)] = choices.as_slice() {
                    let only = only.clone();
                    object.remove("anyOf");
                    only.into_iter().for_each(|(key, value)| drop(object.insert(key, value)));
                }
            }
            object.values_mut().for_each(without_null);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        _ => {}
    }
}

/// A name: an id without dots (`DOTS` 0), or one that may have them (1).
pub(super) fn name<const DOTS: usize>(_: &mut SchemaGenerator) -> Schema {
    let pattern = if DOTS == 0 { ID_PATTERN } else { NAME_PATTERN };
    json_schema!({ "type": "string", "pattern": pattern, "maxLength": 128 })
}

pub(super) fn data_type(_: &mut SchemaGenerator) -> Schema {
    one_of(
        DataType::ALL.map(DataType::name),
        &[
            ("bool", "boolean"),
            ("float", "float32"),
            ("double", "float64"),
            ("f32", "float32"),
            ("f64", "float64"),
            ("int", "int32"),
            ("integer", "int32"),
            ("byte", "uint8"),
            ("sbyte", "int8"),
            ("text", "string"),
            ("time", "datetime"),
            ("timestamp", "datetime"),
        ],
    )
}

pub(super) fn quantity(_: &mut SchemaGenerator) -> Schema {
    one_of(
        QuantityKind::ALL.iter().map(|kind| kind.name()),
        &[
            ("pressure", "gauge_pressure"),
            ("current", "electric_current"),
            ("voltage", "electric_voltage"),
            ("speed", "velocity"),
            ("percent", "ratio"),
            ("viscosity", "dynamic_viscosity"),
            ("humidity", "relative_humidity"),
        ],
    )
}

/// Units by code; what people write instead, their symbols and names, are synonyms.
pub(super) fn unit(_: &mut SchemaGenerator) -> Schema {
    let synonyms: Vec<(&str, &str)> = Unit::all()
        .flat_map(|unit| [(unit.symbol(), unit.code()), (unit.name(), unit.code())])
        .chain([("C", "CEL"), ("celsius", "CEL"), ("F", "FAH"), ("rpm", "RPM"), ("degC", "CEL")])
        .collect();
    one_of(Unit::all().map(Unit::code), &synonyms)
}

pub(super) fn equipment_class(_: &mut SchemaGenerator) -> Schema {
    one_of(EquipmentClass::ALL.iter().map(|class| class.name()), &[])
}

pub(super) fn interpolation(_: &mut SchemaGenerator) -> Schema {
    one_of(["step", "linear", "angle", "counter", "category"], &[])
}

pub(super) fn role(_: &mut SchemaGenerator) -> Schema {
    one_of(Role::ALL.map(Role::name), &[])
}

pub(super) fn role_or_none(generator: &mut SchemaGenerator) -> Schema {
    role(generator)
}

/// The states that open a gate.
pub(super) fn states(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": { "type": ["string", "integer", "boolean"] },
        "minItems": 1,
    })
}

fn one_of<'a>(names: impl IntoIterator<Item = &'a str>, synonyms: &[(&str, &str)]) -> Schema {
    let names: Vec<&str> = names.into_iter().collect();
    let synonyms: Map<String, Value> =
        synonyms.iter().map(|(from, to)| ((*from).to_owned(), json!(to))).collect();
    let mut schema = json_schema!({ "type": "string", "enum": names });
    if !synonyms.is_empty() {
        schema.insert("x-synonyms".into(), Value::Object(synonyms));
    }
    schema
}
