//! How the types that write themselves look to readers of JSON (JSON Schema 2020-12).

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::{Code, Status, Timestamp, Unit, Value};

macro_rules! schemas {
    ($($kind:ty, $name:literal, $schema:expr;)*) => {
        $(impl JsonSchema for $kind {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        })*
    };
}

schemas! {
    Timestamp, "Timestamp", json_schema!({
        "description": "An instant, UTC (RFC 3339).",
        "type": "string",
        "format": "date-time",
    });
    Value, "Value", json_schema!({
        "description": "A value as plain JSON: instants in RFC 3339, bytes in hexadecimal; null \
                        where there is no value, and for numbers that JSON does not have.",
        "type": ["null", "boolean", "number", "string", "array"],
    });
    Status, "Status", json_schema!({
        "description": "An OPC UA status code and its name.",
        "type": "object",
        "properties": {
            "code": { "type": "integer", "minimum": 0, "maximum": u32::MAX },
            "name": { "type": "string" },
        },
        "required": ["code", "name"],
    });
    Unit, "Unit", json_schema!({
        "description": "A unit's common code (UNECE Recommendation 20).",
        "type": "string",
    });
    Code, "Code", json_schema!({
        "description": "What happened: one closed list for events and errors.",
        "type": "string",
        "enum": Code::ALL.iter().map(|code| code.name()).collect::<Vec<_>>(),
    });
}
