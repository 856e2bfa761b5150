//! What differs between two plans, and whether a running gateway can go from one to the other.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use resonance_inference::Manifest;
use resonance_plant::{Plant, Point, PointIndex};

use crate::hub::core::Renumbering;
use crate::plan::{
    Binding, DeploymentPlan, Fallback, Gate, HttpServerPlan, Plan, SourcePlan, Trigger,
};

/// What happens to one thing when a plan takes the place of another.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// It is new.
    Start,
    /// It is no more.
    Stop,
    /// It goes on under another plan.
    Change,
}

/// One thing that does not stay as it is.
#[derive(
    Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
pub struct Change {
    /// What happens to it.
    pub step: Step,
    /// What it is: `source/cnc`, `model/tool-wear`, `deployment/wear`, `sink/mes`, `server/http`,
    /// `users`, `points`.
    pub subject: String,
    /// What differs, and what that costs.
    pub detail: String,
}

/// The way from one plan to another.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
pub struct Changes {
    /// What does not stay as it is, in the order of the plan.
    pub changes: Vec<Change>,
    /// Sources, models, deployments, sinks and servers that stay as they are.
    pub kept: usize,
    /// What only a restart changes; where there is any, nothing is changed.
    pub restart: Vec<String>,
}

impl Changes {
    /// The way from `old` to `new`.
    pub fn between(old: &Plan, new: &Plan) -> Self {
        let mut changes = Self::default();
        let to = renumbering(&old.plant, &new.plant);
        changes.fixed(old, new);
        changes.points(old, new, &to);
        changes.each((&old.sources, &new.sources), ("source", |source| &source.id), |old, new| {
            (!same_source(old, new, &to))
                .then(|| "connects anew: its settings or points differ".to_owned())
        });
        changes.each(
            (&old.models, &new.models),
            ("model", |model| &model.manifest.name),
            |old, new| {
                let is_other = old.files.digest() != new.files.digest();
                is_other.then(|| model_differs(&old.manifest, &new.manifest))
            },
        );
        changes.each(
            (&old.deployments, &new.deployments),
            ("deployment", |deployment| &deployment.id),
            |before, after| deployment_differs((old, before), (new, after), &to),
        );
        changes.each((&old.sinks, &new.sinks), ("sink", |sink| &sink.id), |old, new| {
            (old.kind != new.kind)
                .then(|| "connects anew, and goes on where it acknowledged last".to_owned())
        });
        changes.servers(old, new, &to);
        if old.users != new.users {
            changes.add(Step::Change, "users".into(), "who may do what".into());
        }
        changes
    }

    /// Whether there is anything to do.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.restart.is_empty()
    }

    /// What happens to a subject, such as `sink/mes`; `None`: it stays as it is.
    pub fn step(&self, subject: &str) -> Option<Step> {
        self.changes.iter().find(|change| change.subject == subject).map(|change| change.step)
    }

    fn add(&mut self, step: Step, subject: String, detail: String) {
        self.changes.push(Change { step, subject, detail });
    }

    /// What a running gateway cannot change.
    fn fixed(&mut self, old: &Plan, new: &Plan) {
        if old.spool != new.spool {
            self.restart.push("[spool]: the result spool stays open while the gateway runs".into());
        }
        if old.traces != new.traces {
            self.restart.push("[traces]: spans go to one collector while the gateway runs".into());
        }
        if old.events_file != new.events_file {
            self.restart.push("the events file stays open while the gateway runs".into());
        }
    }

    fn points(&mut self, old: &Plan, new: &Plan, to: &Renumbering) {
        let kept = to.0.iter().flatten().count();
        let (gone, come) = (old.plant.points.len() - kept, new.plant.points.len() - kept);
        if gone + come > 0 {
            let detail = format!("{come} new, {gone} gone, {kept} keep their values and past");
            self.add(Step::Change, "points".into(), detail);
        }
    }

    /// Compares things that have names, by their names.
    fn each<T>(
        &mut self,
        (old, new): (&[T], &[T]),
        (kind, id): (&str, impl Fn(&T) -> &Arc<str>),
        differs: impl Fn(&T, &T) -> Option<String>,
    ) {
        let staying: HashSet<_> = new.iter().map(&id).collect();
        for gone in old.iter().map(&id).filter(|id| !staying.contains(id)) {
            self.add(Step::Stop, format!("{kind}/{gone}"), String::new());
        }
        let before: HashMap<_, _> = old.iter().map(|before| (id(before), before)).collect();
        for next in new {
            let name = || format!("{kind}/{}", id(next));
            match before.get(id(next)) {
                None => self.add(Step::Start, name(), String::new()),
                Some(before) => match differs(before, next) {
                    Some(detail) => self.add(Step::Change, name(), detail),
                    None => self.kept += 1,
                },
            }
        }
    }

    fn servers(&mut self, old: &Plan, new: &Plan, to: &Renumbering) {
        let (before, after) = (&old.servers, &new.servers);
        let is_moved = self.changes.iter().any(|change| change.subject.starts_with("deployment/"))
            || !to.is_identity(new.plant.points.len())
            || old.users != new.users;
        self.server("server/opcua", before.opcua.as_ref(), after.opcua.as_ref(), |a, b| {
            if a != b {
                return Some("its settings differ: it starts anew".into());
            }
            is_moved.then(|| "its address space is built anew: clients connect again".into())
        });
        let http = |a: &HttpServerPlan, b: &HttpServerPlan| {
            (a != b).then(|| "its settings differ: it starts anew".into())
        };
        self.server("server/http", before.http.as_ref(), after.http.as_ref(), http);
        self.server("server/grpc", before.grpc.as_ref(), after.grpc.as_ref(), http);
    }

    fn server<T>(
        &mut self,
        subject: &str,
        old: Option<&T>,
        new: Option<&T>,
        differs: impl Fn(&T, &T) -> Option<String>,
    ) {
        match (old, new) {
            (None, None) => {}
            (Some(_), None) => self.add(Step::Stop, subject.into(), String::new()),
            (None, Some(_)) => self.add(Step::Start, subject.into(), String::new()),
            (Some(old), Some(new)) => match differs(old, new) {
                Some(detail) => self.add(Step::Change, subject.into(), detail),
                None => self.kept += 1,
            },
        }
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Change { step, subject, detail } in &self.changes {
            let verb = match step {
                Step::Start => "starts",
                Step::Stop => "stops",
                Step::Change => "changes",
            };
            writeln!(f, "{}", format!("{verb:<8} {subject:<28} {detail}").trim_end())?;
        }
        for what in &self.restart {
            writeln!(f, "{:<8} {what}", "restart")?;
        }
        writeln!(f, "{:<8} {} as they are", "keeps", self.kept)
    }
}

/// Where the points of one plant are in another. A point goes on where its values mean the same.
pub(super) fn renumbering(old: &Plant, new: &Plant) -> Renumbering {
    let numbers: HashMap<String, PointIndex> = (0..new.points.len() as u32)
        .map(|number| (new.path(PointIndex(number)), PointIndex(number)))
        .collect();
    let next = |(number, point): (usize, &Point)| {
        let next = numbers.get(&old.path(PointIndex(number as u32))).copied()?;
        same_meaning(point, new.point(next)?).then_some(next)
    };
    Renumbering(old.points.iter().enumerate().map(next).collect())
}

/// Whether values of one point can stand for those of another.
fn same_meaning(old: &Point, new: &Point) -> bool {
    old.data_type == new.data_type
        && old.quantity == new.quantity
        && old.unit == new.unit
        && old.semantic_id == new.semantic_id
        && old.labels == new.labels
}

/// Whether a source may go on: all but the numbers of its points is the same.
pub(super) fn same_source(old: &SourcePlan, new: &SourcePlan, to: &Renumbering) -> bool {
    let SourcePlan { id, kind, points } = old;
    *id == new.id
        && *kind == new.kind
        && points.len() == new.points.len()
        && points.iter().zip(new.points.iter()).all(|(old, new)| {
            to.of(old.point) == Some(new.point)
                && old.path == new.path
                && old.address == new.address
                && old.data_type == new.data_type
                && old.sampling_ms == new.sampling_ms
                && old.deadband == new.deadband
        })
}

/// From which model to which.
fn model_differs(old: &Manifest, new: &Manifest) -> String {
    if (&old.name, &old.version) == (&new.name, &new.version) {
        return format!("{} {}, with other content", new.name, new.version);
    }
    format!("{} {} → {} {}", old.name, old.version, new.name, new.version)
}

/// What differs; `None`: nothing but the numbers of points.
fn deployment_differs(
    (old_plan, old): (&Plan, &DeploymentPlan),
    (new_plan, new): (&Plan, &DeploymentPlan),
    to: &Renumbering,
) -> Option<String> {
    let DeploymentPlan {
        id: _,
        asset,
        model,
        bindings,
        outputs,
        trigger,
        max_age,
        fallback,
        gate,
        part,
        remote,
    } = old;
    let mut differs = Vec::new();
    if model.files.digest() != new.model.files.digest() {
        differs.push(format!("model {}", model_differs(&model.manifest, &new.model.manifest)));
    }
    if *remote != new.remote {
        differs.push("remote".into());
    }
    let place = |plan: &Plan, at: usize| {
        plan.plant.assets.get(at).map(|asset| {
            (asset.id.clone(), asset.equipment_id.clone(), asset.physical_asset_id.clone())
        })
    };
    if place(old_plan, *asset) != place(new_plan, new.asset) {
        differs.push("asset".into());
    }
    let bound = |old: &Binding, new: &Binding| {
        to.of(old.point) == Some(new.point)
            && old.conversion == new.conversion
            && old.max_age == new.max_age
    };
    if bindings.len() != new.bindings.len()
        || !bindings.iter().zip(&new.bindings).all(|(old, new)| bound(old, new))
    {
        differs.push("inputs".into());
    }
    if outputs.len() != new.outputs.len()
        || !outputs.iter().zip(&new.outputs).all(|(old, new)| to.of(*old) == Some(*new))
    {
        differs.push("outputs".into());
    }
    let trigger = match trigger {
        Trigger::Event(point) => to.of(*point).map(Trigger::Event),
        other => Some(*other),
    };
    if trigger != Some(new.trigger) {
        differs.push("trigger".into());
    }
    if *max_age != new.max_age {
        differs.push("max_age".into());
    }
    if !same_fallback(fallback, &new.fallback) {
        differs.push("fallback".into());
    }
    let renumbered = |gate: &Gate| Some(Gate { point: to.of(gate.point)?, ..gate.clone() });
    if gate.as_ref().map(renumbered) != new.gate.clone().map(Some) {
        differs.push("gate".into());
    }
    if part.map(|part| to.of(part)) != new.part.map(Some) {
        differs.push("part".into());
    }
    (!differs.is_empty()).then(|| differs.join(", "))
}

fn same_fallback(old: &Fallback, new: &Fallback) -> bool {
    match (old, new) {
        (Fallback::FallBackTo(old), Fallback::FallBackTo(new)) => {
            old.files.digest() == new.files.digest()
        }
        _ => std::mem::discriminant(old) == std::mem::discriminant(new),
    }
}
