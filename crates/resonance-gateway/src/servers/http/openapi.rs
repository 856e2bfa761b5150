//! `GET /openapi.json`: the management API described (OpenAPI 3.1), made from the table that makes
//! its routes.

use std::sync::OnceLock;

use axum::body::Bytes;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::management::{Answer, OPERATIONS, Operation};
use super::refusal::Problem;

/// What any request may be answered with.
const ALWAYS: [StatusCode; 3] =
    [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::TOO_MANY_REQUESTS];

pub(super) async fn serve() -> impl IntoResponse {
    static DOCUMENT: OnceLock<Bytes> = OnceLock::new();
    // A document of texts and numbers: it cannot fail to serialise.
    let document =
        DOCUMENT.get_or_init(|| serde_json::to_vec(&document()).unwrap_or_default().into());
    ([(header::CONTENT_TYPE, "application/json")], document.clone())
}

/// The description of the management API.
pub fn document() -> Value {
    let mut settings = SchemaSettings::draft2020_12().for_serialize();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut schemas = settings.into_generator();
    // What is read: a member that may be left out is not required.
    let mut read = SchemaSettings::draft2020_12().for_deserialize().into_generator();
    let problem = schemas.subschema_for::<Problem<'static>>();
    let mut paths = Map::new();
    for operation in OPERATIONS {
        let described = describe(operation, &mut schemas, &mut read);
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = described;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Resonance management API",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            "description": "State, values, results and events of a gateway, and commands to it. \
                The inference API beside it, under /v2, is the Open Inference Protocol, which \
                has a description of its own. A role includes those before it: view, operate, \
                engineer, approve.",
        },
        "security": [{ "basic": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "basic": { "type": "http", "scheme": "basic" } },
            "responses": {
                "Problem": {
                    "description": "The request is refused (RFC 9457).",
                    "content": { "application/problem+json": { "schema": problem } },
                },
            },
            "schemas": schemas.take_definitions(true),
        },
    })
}

fn describe(
    operation: &Operation,
    schemas: &mut SchemaGenerator,
    read: &mut SchemaGenerator,
) -> Value {
    let mut responses = Map::new();
    let (status, answer) = match &operation.answer {
        Answer::Done => ("204", json!({ "description": "The command was taken." })),
        Answer::Json(schema) => {
            let schema = schema(schemas);
            let content = json!({ "application/json": { "schema": schema } });
            ("200", json!({ "description": operation.summary, "content": content }))
        }
        Answer::Text(media_type) => {
            // Parameters of the type, such as its version, are the answer's own.
            let kind = media_type.split(';').next().unwrap_or(media_type);
            let content = json!({ kind: { "schema": { "type": "string" } } });
            ("200", json!({ "description": operation.summary, "content": content }))
        }
        Answer::Stream(what) => {
            let content = json!({ "text/event-stream": { "schema": { "type": "string" } } });
            let description = format!("Server-sent events without end: {what}.");
            ("200", json!({ "description": description, "content": content }))
        }
    };
    responses.insert(status.into(), answer);
    for refusal in ALWAYS.iter().chain(operation.refusals) {
        let problem = json!({ "$ref": "#/components/responses/Problem" });
        responses.insert(refusal.as_str().to_owned(), problem);
    }
    let mut parameters = Vec::new();
    for (place, describe) in [("path", operation.in_path), ("query", operation.query)] {
        if let Some(describe) = describe {
            parameters.extend(parameters_of(place, &describe(read).to_value()));
        }
    }
    json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "description": format!("Takes the role {}.", operation.role.name()),
        "parameters": parameters,
        "responses": responses,
    })
}

/// An object's members as parameters. In a query, what is null is not written at all.
fn parameters_of(place: &str, object: &Value) -> Vec<Value> {
    let required = object["required"].as_array().cloned().unwrap_or_default();
    let members = object["properties"].as_object().cloned().unwrap_or_default();
    let one = |(name, mut schema): (String, Value)| {
        let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        if let Some(Value::Array(kinds)) = schema.get_mut("type") {
            kinds.retain(|kind| kind != "null");
            if let [only] = kinds.as_slice() {
                let only = only.clone();
                schema["type"] = only;
            }
        }
        json!({
            "name": name,
            "in": place,
            "required": place == "path" || required.iter().any(|other| *other == name),
            "description": description,
            "schema": schema,
        })
    };
    members.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The file in docs/specs is what answers; `RESONANCE_GOLDEN=write` writes it anew.
    #[test]
    fn the_description_is_the_one_checked_in() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/specs/openapi.json");
        let mut made = serde_json::to_string_pretty(&document()).unwrap();
        made.push('\n');
        if std::env::var_os("RESONANCE_GOLDEN").is_some_and(|asked| asked == "write") {
            std::fs::write(&file, &made).unwrap();
        }
        let kept = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            kept == made,
            "docs/specs/openapi.json is not what the server answers; look at what changed for \
             clients, then run this test with RESONANCE_GOLDEN=write"
        );
    }

    #[test]
    fn a_query_may_leave_out_what_a_path_must_have() {
        let document = document();
        let parameter = |pointer: &str| document.pointer(pointer).cloned().unwrap();
        let limit = parameter("/paths/~1api~1v1~1events/get/parameters/0");
        assert_eq!((&limit["name"], &limit["required"]), (&json!("limit"), &json!(false)));
        assert_eq!(limit["schema"]["type"], "integer");
        let suspend = "/paths/~1api~1v1~1deployments~1{deployment}~1suspend/post/parameters/0";
        assert_eq!(parameter(suspend)["required"], true);
    }

    #[test]
    fn every_reference_has_what_it_refers_to() {
        fn walk(value: &Value, document: &Value) {
            match value {
                Value::Object(members) => {
                    if let Some(Value::String(reference)) = members.get("$ref") {
                        let pointer = reference.strip_prefix('#').unwrap();
                        assert!(document.pointer(pointer).is_some(), "{reference}");
                    }
                    members.values().for_each(|member| walk(member, document));
                }
                Value::Array(items) => items.iter().for_each(|item| walk(item, document)),
                _ => {}
            }
        }
        let document = document();
        walk(&document, &document);
        for operation in OPERATIONS {
            assert!(document["paths"][operation.path][operation.method].is_object());
        }
    }
}
