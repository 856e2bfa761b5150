//! Names of elements, and lists of elements of several kinds.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Error};

/// Ids of assets, sources, deployments and sinks: no dot, since `asset.point` is a path, and
/// nothing that means something in an MQTT topic or a URL.
pub(crate) const ID_PATTERN: &str = r"^[\p{L}\p{N}_][\p{L}\p{N}_-]*$";

/// Names of points: as ids, and dots.
pub(crate) const NAME_PATTERN: &str = r"^[\p{L}\p{N}_][\p{L}\p{N}_.-]*$";

/// An entry of a list in which `type` says what kind each is: its id beside the keys of its kind.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Named<C> {
    pub(crate) id: String,
    pub(crate) config: C,
}

impl<'de, C: DeserializeOwned> Deserialize<'de> for Named<C> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut table = toml::Table::deserialize(deserializer)?;
        let id = match table.remove("id") {
            Some(toml::Value::String(id)) => id,
            Some(other) => return Err(D::Error::custom(format!("id is a {}", other.type_str()))),
            None => return Err(D::Error::missing_field("id")),
        };
        let config = table.try_into().map_err(D::Error::custom)?;
        Ok(Self { id, config })
    }
}

impl<C: JsonSchema> JsonSchema for Named<C> {
    fn schema_name() -> Cow<'static, str> {
        format!("Named{}", C::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = C::json_schema(generator);
        let id = json_schema!({
            "type": "string",
            "pattern": ID_PATTERN,
            "description": "The name, unique in its list.",
        });
        let object = schema.ensure_object();
        if let Some(properties) = object.get_mut("properties").and_then(|p| p.as_object_mut()) {
            properties.insert("id".into(), id.into());
        }
        let required = object.entry("required").or_insert_with(|| Vec::<String>::new().into());
        if let Some(required) = required.as_array_mut() {
            required.push("id".into());
        }
        schema
    }
}
