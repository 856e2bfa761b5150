//! What the plant file names elsewhere: machines, systems, models.

use std::sync::Arc;

use resonance_gateway::models::ServedModel;
use resonance_gateway::plan::{DeploymentPlan, Plan, SinkPlan, SourceKind, SourcePlan};
use resonance_gateway::remote::{Remote, RemoteConfig};
use resonance_gateway::{sinks, sources};
use resonance_inference::Limits;
use resonance_inference::engines::OnnxRuntime;
use resonance_inference::package::VerifiedModel;
use resonance_plant::SystemClock;

use super::check::Check;
use super::{Look, STEP_MAX, certificates};

/// A machine's clock further off than this gives results times that no other clock agrees with,
/// microseconds.
const OFFSET_US_MAX: u64 = 1_000_000;

/// A look at every source, sink, remote server and model.
pub(super) fn looks(plan: &Plan) -> Vec<Look> {
    let mut looks = Vec::new();
    for plan in &plan.sources {
        let (id, plan) = (Arc::clone(&plan.id), plan.clone());
        looks.push(Look::at("source", &id, async move { source(&plan).await }));
    }
    for plan in &plan.sinks {
        let (id, plan) = (Arc::clone(&plan.id), plan.clone());
        looks.push(Look::at("sink", &id, async move { sink(&plan).await }));
    }
    for plan in plan.deployments.iter().filter(|plan| plan.remote.is_some()) {
        let (id, plan) = (Arc::clone(&plan.id), plan.clone());
        looks.push(Look::at("remote", &id, async move { remote(&plan).await }));
    }
    for (name, model) in plan.local_models() {
        looks.push(Look::blocking("model", &name, move || vec![self::model(&model)]));
    }
    looks
}

async fn source(plan: &SourcePlan) -> Vec<Check> {
    let subject = plan.id.to_string();
    if let SourceKind::Opcua(config) = &plan.kind
        && let Some(listen) = config.listen
    {
        // Its port may be in use by the gateway, and the machine comes when it likes.
        return vec![Check::ok("source", &subject, format!("not asked: it connects to {listen}"))];
    }
    let visit = match sources::visit(plan, STEP_MAX, &SystemClock).await {
        Ok(visit) => visit,
        Err(problem) => {
            return vec![Check::fail("source", &subject, problem).remedy(
                "look whether the machine is on, its network reached and its address right",
            )];
        }
    };
    let mut checks = vec![Check::ok("source", &subject, "answers")];
    if let Some(offset_us) = visit.offset_us {
        let said = format!("its clock is {:.1} ms off ours", offset_us as f64 / 1e3);
        let is_used = plan.kind.keeps_machine_time();
        checks.push(if is_used && offset_us.unsigned_abs() > OFFSET_US_MAX {
            Check::warn("source clock", &subject, said)
                .remedy("synchronize the machine's clock, or set time = \"receive\" for its source")
        } else {
            Check::ok("source clock", &subject, said)
        });
    }
    checks.extend(shown("source", &subject, &visit.certificates));
    checks
}

async fn sink(plan: &SinkPlan) -> Vec<Check> {
    let subject = plan.id.to_string();
    let fail = |said: String| {
        let remedy = "look whether the system runs and lets us in; results wait in the spool";
        vec![Check::fail("sink", &subject, said).remedy(remedy)]
    };
    match tokio::time::timeout(STEP_MAX, sinks::visit(plan)).await {
        Ok(Ok(certificates)) => {
            let mut checks = vec![Check::ok("sink", &subject, "answers")];
            checks.extend(shown("sink", &subject, &certificates));
            checks
        }
        Ok(Err(problem)) => fail(problem),
        Err(_) => fail(format!("no answer within {} s", STEP_MAX.as_secs())),
    }
}

/// Whether another server runs a deployment's model as its package says.
async fn remote(plan: &DeploymentPlan) -> Vec<Check> {
    let Some(config) = &plan.remote else { return Vec::new() };
    let subject = plan.id.to_string();
    let (model, runtime) = (Arc::clone(&plan.model), tokio::runtime::Handle::current());
    // A server that hangs is told as that, not as a look that took too long.
    let step_max = STEP_MAX.as_millis() as u32;
    let config = &RemoteConfig { timeout_ms: config.timeout_ms.min(step_max), ..config.clone() };
    let found = match Remote::new(config, model, runtime) {
        Ok(remote) => Arc::new(remote).check().await,
        Err(error) => Err(error),
    };
    vec![match found {
        Ok(()) => {
            Check::ok("remote", &subject, format!("{} reproduces its golden vectors", config.url))
        }
        Err(problem) => Check::fail("remote", &subject, problem.to_string())
            .remedy("look whether the server runs and serves the model of the package"),
    }]
}

/// The certificate that a peer showed.
fn shown(kind: &str, id: &str, certificates: &[Vec<u8>]) -> Option<Check> {
    let subject = format!("of {kind} {id}");
    certificates.first().map(|der| certificates::of(&subject, der, "have it renewed there"))
}

fn model(model: &Arc<VerifiedModel>) -> Check {
    let subject = format!("{} {}", model.manifest.name, model.manifest.version);
    let loaded = OnnxRuntime::find().map_err(|error| error.to_string()).and_then(|engine| {
        ServedModel::load(Arc::clone(model), &engine, &Limits::default())
            .map_err(|error| error.to_string())
    });
    match loaded {
        Ok(_) => Check::ok("model", &subject, "reproduces its golden vectors"),
        Err(problem) => Check::fail("model", &subject, problem)
            .remedy("resonance model inspect tells what it needs; resonance model compare, where"),
    }
}
