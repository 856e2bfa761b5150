//! The management API: one table from which its routes and its description are made, so that what
//! is described is what answers.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::routing::{MethodRouter, get, post};
use resonance_plant::Role;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::deployments::DeploymentPath;
use super::shared::Shared;
use super::{deployments, events, metrics, openapi, plant, reload, status, stream, values};
use crate::status::Status;
use crate::supervisor::Changes;

/// One route and what is told of it.
pub(super) struct Operation {
    pub(super) path: &'static str,
    /// `get` or `post`.
    pub(super) method: &'static str,
    /// A stable name for generated clients.
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    pub(super) role: Role,
    pub(super) answer: Answer,
    /// The schema of an object whose members are the query's parameters.
    pub(super) query: Option<Describe>,
    /// As `query`, for the parts of the path.
    pub(super) in_path: Option<Describe>,
    /// Statuses besides those that any request may get.
    pub(super) refusals: &'static [StatusCode],
    pub(super) route: fn() -> MethodRouter<Arc<Shared>>,
}

/// Makes a type's schema.
pub(super) type Describe = fn(&mut SchemaGenerator) -> Schema;

/// What a request that succeeds gets.
pub(super) enum Answer {
    Json(Describe),
    /// Text of this media type.
    Text(&'static str),
    /// Server-sent events of this description.
    Stream(&'static str),
    /// Nothing but the status 204.
    Done,
}

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

fn members<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    T::json_schema(generator)
}

/// A reading route that takes no parameters.
const fn reading(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    answer: Answer,
    route: fn() -> MethodRouter<Arc<Shared>>,
) -> Operation {
    let (method, role) = ("get", Role::View);
    let (query, in_path, refusals) = (None, None, &[] as &[StatusCode]);
    Operation { path, method, id, summary, role, answer, query, in_path, refusals, route }
}

const fn command(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    route: fn() -> MethodRouter<Arc<Shared>>,
) -> Operation {
    Operation {
        method: "post",
        role: Role::Operate,
        in_path: Some(members::<DeploymentPath>),
        refusals: &[StatusCode::NOT_FOUND, StatusCode::CONFLICT],
        ..reading(path, id, summary, Answer::Done, route)
    }
}

const UNAVAILABLE: &[StatusCode] = &[StatusCode::BAD_REQUEST, StatusCode::SERVICE_UNAVAILABLE];

/// Every route.
pub(super) const OPERATIONS: &[Operation] = &[
    reading("/openapi.json", "openapi", "This document.", Answer::Json(anything), || {
        get(openapi::serve)
    }),
    reading(
        "/metrics",
        "metrics",
        "What the status counts, for Prometheus.",
        Answer::Text(metrics::OPEN_METRICS),
        || get(metrics::metrics),
    ),
    reading(
        "/api/v1/status",
        "status",
        "The whole gateway at this moment.",
        Answer::Json(of::<Status>),
        || get(status::status),
    ),
    reading(
        "/api/v1/plant",
        "plant",
        "Assets and their points.",
        Answer::Json(of::<plant::PlantView<'static>>),
        || get(plant::plant),
    ),
    Operation {
        method: "post",
        role: Role::Engineer,
        query: Some(members::<reload::Asked>),
        refusals: &[StatusCode::BAD_REQUEST, StatusCode::CONFLICT, StatusCode::SERVICE_UNAVAILABLE],
        ..reading(
            "/api/v1/plant/reload",
            "reload_plant",
            "Go on with the plant file as it is now, or tell what that would change.",
            Answer::Json(of::<Changes>),
            || post(reload::reload),
        )
    },
    Operation {
        query: Some(members::<values::Filter>),
        refusals: &[StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND],
        ..reading(
            "/api/v1/values",
            "values",
            "The last value of every point, or of those asked for.",
            Answer::Json(of::<values::Values<'static>>),
            || get(values::values),
        )
    },
    Operation {
        query: Some(members::<stream::ResultFilter>),
        refusals: UNAVAILABLE,
        ..reading(
            "/api/v1/results/stream",
            "result_stream",
            "Results as they are given.",
            Answer::Stream("events `result`, each a result record as JSON; `lost` with a count"),
            || get(stream::results),
        )
    },
    Operation {
        query: Some(members::<events::Filter>),
        refusals: &[StatusCode::BAD_REQUEST],
        ..reading(
            "/api/v1/events",
            "events",
            "The last events, oldest first.",
            Answer::Json(of::<events::Recent>),
            || get(events::recent),
        )
    },
    Operation {
        refusals: UNAVAILABLE,
        ..reading(
            "/api/v1/events/stream",
            "event_stream",
            "Events as they happen.",
            Answer::Stream("events `event`, each an event as JSON; `lost` with a count"),
            || get(stream::events),
        )
    },
    reading(
        "/api/v1/deployments",
        "deployments",
        "Every deployment with its state.",
        Answer::Json(of::<deployments::List>),
        || get(deployments::list),
    ),
    command(
        "/api/v1/deployments/{deployment}/suspend",
        "suspend_deployment",
        "No results of this deployment until it is resumed.",
        || post(deployments::suspend),
    ),
    command(
        "/api/v1/deployments/{deployment}/resume",
        "resume_deployment",
        "Results of this deployment again.",
        || post(deployments::resume),
    ),
];

fn anything(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({ "type": "object" })
}
