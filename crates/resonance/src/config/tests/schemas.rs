use serde_json::Value;

use super::*;
use crate::config::structure::Form;

/// [`structure`] understands every keyword that the schema uses; a new one must not be ignored.
#[test]
fn the_schema_says_nothing_that_is_not_checked() {
    const KNOWN: [&str; 21] = [
        "$schema",
        "$defs",
        "$ref",
        "title",
        "description",
        "default",
        "type",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "minItems",
        "maxItems",
        "enum",
        "const",
        "oneOf",
        "pattern",
        "maxLength",
        "minimum",
        "maximum",
        "format",
    ];
    fn walk(schema: &Value, unknown: &mut Vec<String>) {
        let Value::Object(object) = schema else { return };
        for (key, value) in object {
            match (key.as_str(), value) {
                ("properties" | "$defs", Value::Object(named)) => {
                    named.values().for_each(|schema| walk(schema, unknown));
                }
                ("oneOf", Value::Array(several)) => {
                    several.iter().for_each(|schema| walk(schema, unknown));
                }
                ("items", one) => walk(one, unknown),
                ("pattern", Value::String(pattern)) if Form::of_pattern(pattern).is_none() => {
                    unknown.push(format!("pattern {pattern}"));
                }
                ("additionalProperties", value) if *value != Value::Bool(false) => {
                    unknown.push("additionalProperties other than false".into());
                }
                ("format", Value::String(format))
                    if !["uint8", "uint16", "uint32", "uint64", "double"]
                        .contains(&format.as_str()) =>
                {
                    unknown.push(format!("format {format}"));
                }
                ("x-synonyms", _) => {}
                (key, _) if !KNOWN.contains(&key) => unknown.push(key.to_owned()),
                _ => {}
            }
        }
    }
    let mut unknown = Vec::new();
    walk(&schema::plant_file(), &mut unknown);
    assert_eq!(unknown, Vec::<String>::new());
}

/// Tables that are not closed would let misspelt keys pass in silence.
#[test]
fn every_table_is_closed_and_every_key_is_described() {
    fn walk(name: &str, schema: &Value, open: &mut Vec<String>) {
        if schema["type"] == "object" && schema["additionalProperties"] != Value::Bool(false) {
            open.push(format!("{name} is open"));
        }
        for (key, property) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{name}.{key}");
            let described =
                ["description", "$ref", "const"].iter().any(|k| property[k].is_string());
            if !described {
                open.push(format!("{path} is not described"));
            }
            walk(&path, property, open);
        }
        for (at, variant) in schema["oneOf"].as_array().into_iter().flatten().enumerate() {
            walk(&format!("{name}#{at}"), variant, open);
        }
    }
    let schema = schema::plant_file();
    let mut open = Vec::new();
    walk("plant file", &schema, &mut open);
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        walk(name, definition, &mut open);
    }
    assert_eq!(open, Vec::<String>::new());
}

/// Every synonym means a name that is on the list.
#[test]
fn synonyms_mean_valid_names() {
    fn walk(schema: &Value) {
        if let Some(synonyms) = schema["x-synonyms"].as_object() {
            let names = schema["enum"].as_array().unwrap();
            assert!(synonyms.values().all(|name| names.contains(name)), "{schema}");
        }
        match schema {
            Value::Object(object) => object.values().for_each(walk),
            Value::Array(items) => items.iter().for_each(walk),
            _ => {}
        }
    }
    walk(&schema::plant_file());
}
