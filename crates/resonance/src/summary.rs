//! What a gateway did while it ran.

use std::fmt;
use std::sync::Arc;

use resonance_gateway::status::{LatencySummary, Status};
use resonance_gateway::supervisor::Gateway;
use serde::Serialize;

/// Numbers over the whole run, in the order of the data's way.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Summary {
    /// How long it ran, seconds.
    pub(crate) seconds: f64,
    /// Observations that reached the hub.
    pub(crate) observations: u64,
    /// Gaps in them.
    pub(crate) gaps: u64,
    /// Inferences that gave an answer.
    pub(crate) inferences: u64,
    /// Results given, held and withdrawn ones included.
    pub(crate) results: u64,
    /// Seconds from the start to the first answer; absent where there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_result_s: Option<f64>,
    /// Results that each sink's system acknowledged.
    pub(crate) delivered: Vec<Delivered>,
    /// Each deployment.
    pub(crate) deployments: Vec<Judged>,
    /// Events of severity error.
    pub(crate) errors: u64,
    /// The last of them, newest last, at most ten.
    pub(crate) last_errors: Vec<String>,
}

/// What a sink did.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Delivered {
    /// The sink.
    pub(crate) sink: Arc<str>,
    /// Results its system acknowledged.
    pub(crate) results: u64,
    /// Results dropped before it had them.
    pub(crate) dropped: u64,
}

/// What a deployment did.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Judged {
    /// The deployment.
    pub(crate) deployment: Arc<str>,
    /// Its model.
    pub(crate) model: Arc<str>,
    /// Where the model's training data came from.
    pub(crate) trained_on: Arc<str>,
    /// Inferences that gave an answer.
    pub(crate) inferences: u64,
    /// From receipt of the trigger to the result.
    pub(crate) latency: LatencySummary,
    /// In the engine.
    pub(crate) inference: LatencySummary,
}

impl Summary {
    /// What a gateway did so far.
    pub(crate) fn of(gateway: &Gateway) -> Self {
        let errors = gateway.events().errors.value();
        let recent = gateway.events().recent(1_000);
        let last_errors = recent
            .iter()
            .filter(|event| event.severity == resonance_plant::Severity::Error)
            .map(|event| format!("{} {}: {}", event.code, event.subject, event.message));
        let last_errors: Vec<String> = last_errors.collect();
        let kept = last_errors.len().saturating_sub(10);
        Self::new(&gateway.status(), errors, last_errors[kept..].to_vec())
    }

    fn new(status: &Status, errors: u64, last_errors: Vec<String>) -> Self {
        let sum = |of: fn(&resonance_gateway::status::DeploymentStatus) -> u64| {
            status.deployments.iter().map(of).sum()
        };
        Self {
            seconds: status.at.since(status.started_at) as f64 / 1e9,
            observations: status.hub.observations,
            gaps: status.hub.gaps,
            inferences: sum(|deployment| deployment.inferences),
            results: sum(|deployment| deployment.results),
            first_result_s: None,
            delivered: status
                .sinks
                .iter()
                .map(|sink| Delivered {
                    sink: Arc::clone(&sink.id),
                    results: sink.delivered,
                    dropped: sink.dropped,
                })
                .collect(),
            deployments: status
                .deployments
                .iter()
                .map(|deployment| Judged {
                    deployment: Arc::clone(&deployment.id),
                    model: Arc::clone(&deployment.model),
                    trained_on: Arc::clone(&deployment.trained_on),
                    inferences: deployment.inferences,
                    latency: deployment.latency,
                    inference: deployment.inference,
                })
                .collect(),
            errors,
            last_errors,
        }
    }

    /// The stages through which nothing went; empty where every stage moved data.
    pub(crate) fn idle_stages(&self) -> Vec<String> {
        let mut idle = Vec::new();
        if self.observations == 0 {
            idle.push("no observation reached the hub".into());
        }
        let judged = self.deployments.iter().filter(|deployment| deployment.inferences == 0);
        idle.extend(judged.map(|d| format!("deployment {} gave no answer", d.deployment)));
        if self.deployments.is_empty() {
            idle.push("there is no deployment".into());
        }
        let silent = self.delivered.iter().filter(|sink| sink.results == 0);
        idle.extend(silent.map(|sink| format!("sink {} delivered nothing", sink.sink)));
        idle
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "ran {:.1} s", self.seconds)?;
        writeln!(f, "  {} observations, {} gaps", self.observations, self.gaps)?;
        for judged in &self.deployments {
            let Judged { deployment, model, trained_on, inferences, latency, inference } = judged;
            writeln!(
                f,
                "  {deployment}: {inferences} inferences by {model} (trained on {trained_on} data)"
            )?;
            writeln!(
                f,
                "    trigger to result p50 {} µs, p99 {} µs; in the engine p50 {} µs, p99 {} µs",
                latency.p50_us, latency.p99_us, inference.p50_us, inference.p99_us
            )?;
        }
        for sink in &self.delivered {
            writeln!(
                f,
                "  {}: {} results acknowledged, {} dropped",
                sink.sink, sink.results, sink.dropped
            )?;
        }
        writeln!(f, "  {} errors", self.errors)?;
        self.last_errors.iter().try_for_each(|error| writeln!(f, "    {error}"))
    }
}
