//! What `resonance doctor` looks at: whether this computer, and what the plant file names, are fit
//! to run. Everything is looked at at the same time and within bounds; a peer that hangs costs its
//! own line only.

mod bundle;
mod certificates;
mod check;
mod clock;
mod machine;
mod peers;
mod ports;
mod redact;

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::time::{Duration, Instant};

use resonance_gateway::plan::Plan;
use serde::Serialize;

use crate::config::{PlantText, Purpose, Report};

pub(crate) use bundle::Bundle;
pub(crate) use check::{Check, State};

/// How long each look may take.
const LOOK_MAX: Duration = Duration::from_secs(10);

/// How long one step towards a peer may take.
const STEP_MAX: Duration = Duration::from_secs(3);

/// What was found.
#[derive(Debug, Serialize)]
pub(crate) struct Findings {
    /// The worst of the checks.
    pub(crate) verdict: State,
    /// This program's version.
    pub(crate) version: &'static str,
    /// When, seconds since the Unix epoch.
    pub(crate) at: u64,
    /// How long it took, seconds.
    pub(crate) took_s: f64,
    /// Every check, in an order that does not change.
    pub(crate) checks: Vec<Check>,
}

/// One thing to look at.
struct Look {
    name: &'static str,
    /// Which one, where there are several.
    subject: String,
    /// Its lines, when it is done.
    done: Pin<Box<dyn Future<Output = Vec<Check>> + Send>>,
}

impl Look {
    fn at(
        name: &'static str,
        subject: &str,
        look: impl Future<Output = Vec<Check>> + Send + 'static,
    ) -> Self {
        Self { name, subject: subject.to_owned(), done: Box::pin(look) }
    }

    /// A look that blocks its thread.
    fn blocking(
        name: &'static str,
        subject: &str,
        look: impl FnOnce() -> Vec<Check> + Send + 'static,
    ) -> Self {
        Self::at(name, subject, async {
            tokio::task::spawn_blocking(look).await.unwrap_or_else(|error| {
                vec![Check::fail("doctor", "", error.to_string()).remedy("please report it")]
            })
        })
    }
}

/// Looks at this computer and, where there is a plant file, at everything it names.
pub(crate) async fn examine(plant: Option<&PlantText>) -> Findings {
    let started = Instant::now();
    let (mut checks, plan) = match plant {
        Some(plant) => understood(plant),
        None => (Vec::new(), None),
    };
    // All at once; told in the order of the list.
    let running: Vec<_> = looks(plan.as_ref())
        .into_iter()
        .map(|Look { name, subject, done }| {
            (name, subject, tokio::spawn(tokio::time::timeout(LOOK_MAX, done)))
        })
        .collect();
    for (name, subject, done) in running {
        checks.extend(match done.await {
            Ok(Ok(found)) => found,
            Ok(Err(_)) => vec![
                Check::warn(name, &subject, format!("not done after {} s", LOOK_MAX.as_secs()))
                    .remedy("try again when the computer and the network are less busy"),
            ],
            Err(error) => vec![
                Check::fail(name, &subject, format!("the check broke: {error}"))
                    .remedy("please report it"),
            ],
        });
    }
    let at = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Findings {
        verdict: checks.iter().map(|check| check.state).max().unwrap_or(State::Ok),
        version: env!("CARGO_PKG_VERSION"),
        at: at.map_or(0, |at| at.as_secs()),
        took_s: (started.elapsed().as_secs_f64() * 1e3).round() / 1e3,
        checks,
    }
}

/// Everything there is to look at.
fn looks(plan: Option<&Plan>) -> Vec<Look> {
    let has_models = plan.is_some_and(|plan| !plan.local_models().is_empty());
    let descriptors = machine::descriptors_needed(plan);
    let mut looks = vec![
        Look::blocking("clock", "", clock::synchronized),
        Look::blocking("engine", "", move || vec![machine::engine(has_models)]),
        Look::blocking("files", "", move || vec![machine::descriptors(descriptors)]),
    ];
    if let Some(plan) = plan {
        let files = machine::growing(plan);
        looks.push(Look::blocking("disk", "", move || machine::disks(&files)));
        let own = ports::listeners(plan);
        looks.push(Look::blocking("port", "", move || own.iter().map(ports::check).collect()));
        let kept = certificates::kept(plan);
        looks.push(Look::blocking("certificate", "", move || certificates::check_all(&kept)));
        looks.extend(peers::looks(plan));
    }
    looks
}

/// What is wrong with the plant file, and its plan: where only secrets are missing, the plan
/// without them.
fn understood(plant: &PlantText) -> (Vec<Check>, Option<Plan>) {
    let (plan, report) = plant.plan(Purpose::Run);
    let mut checks = vec![of_report(plant.path(), &report)];
    let plan = plan.or_else(|| plant.plan(Purpose::Check).0);
    if plan.is_none() {
        let said = "sources, sinks, servers and models were not looked at";
        checks.push(Check::warn("plant", "", said).remedy("mend the plant file first"));
    }
    (checks, plan)
}

fn of_report(path: &Path, report: &Report) -> Check {
    let subject = path.display().to_string();
    let remedy = format!("resonance plant check {subject}");
    match (report.is_valid(), report.warnings()) {
        (true, 0) => Check::ok("plant", &subject, "valid"),
        (true, _) => Check::warn("plant", &subject, report.summary()).remedy(&remedy),
        (false, _) => {
            let first = report.first_error().unwrap_or_default();
            let said = format!("{}: {first}", report.summary());
            Check::fail("plant", &subject, said).remedy(&remedy)
        }
    }
}

#[cfg(test)]
mod tests;
