//! What a gateway did while it ran.

use std::fmt;
use std::sync::Arc;

use resonance_gateway::recording::Recorded;
use resonance_gateway::status::{LatencySummary, Status};
use resonance_gateway::supervisor::Gateway;
use serde::Serialize;

use crate::demo::Served;

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
    /// Each source.
    pub(crate) sources: Vec<Heard>,
    /// What could be read back from each server; only `resonance demo` does that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) served: Vec<Served>,
    /// Results that each sink's system acknowledged.
    pub(crate) delivered: Vec<Delivered>,
    /// Each deployment.
    pub(crate) deployments: Vec<Judged>,
    /// What was recorded; only `resonance record` does that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) recorded: Option<Recorded>,
    /// Events of severity error.
    pub(crate) errors: u64,
    /// The last of them, newest last, at most ten.
    pub(crate) last_errors: Vec<String>,
}

/// What a source did.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Heard {
    /// The source.
    pub(crate) source: Arc<str>,
    /// Observations handed to the hub.
    pub(crate) observations: u64,
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
            sources: status
                .sources
                .iter()
                .map(|source| Heard {
                    source: Arc::clone(&source.id),
                    observations: source.observations,
                })
                .collect(),
            served: Vec::new(),
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
            recorded: None,
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
        let silent = self.sources.iter().filter(|source| source.observations == 0);
        idle.extend(silent.map(|s| format!("source {} heard nothing of its machine", s.source)));
        let judged = self.deployments.iter().filter(|deployment| deployment.inferences == 0);
        idle.extend(judged.map(|d| format!("deployment {} gave no answer", d.deployment)));
        if self.deployments.is_empty() {
            idle.push("there is no deployment".into());
        }
        let broken = self.served.iter().filter_map(|s| Some((s.server, s.problem.as_ref()?)));
        idle.extend(broken.map(|(server, problem)| format!("{server} server: {problem}")));
        let silent = self.delivered.iter().filter(|sink| sink.results == 0);
        idle.extend(silent.map(|sink| format!("sink {} delivered nothing", sink.sink)));
        idle
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "ran {:.1} s", self.seconds)?;
        writeln!(f, "  {} observations, {} gaps", self.observations, self.gaps)?;
        for heard in &self.sources {
            writeln!(f, "  {}: {} observations", heard.source, heard.observations)?;
        }
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
        for served in &self.served {
            let Served { server, results, problem, .. } = served;
            match problem {
                None => writeln!(f, "  {server} server: {results} results read back")?,
                Some(problem) => writeln!(f, "  {server} server: BROKEN: {problem}")?,
            }
        }
        for sink in &self.delivered {
            writeln!(
                f,
                "  {}: {} results acknowledged, {} dropped",
                sink.sink, sink.results, sink.dropped
            )?;
        }
        if let Some(recorded) = self.recorded {
            let Recorded { windows, observations, files, windows_lost, observations_lost } =
                recorded;
            writeln!(
                f,
                "  recorded {windows} windows and {observations} observations in {files} files; \
                 {windows_lost} windows and {observations_lost} observations were lost"
            )?;
        }
        writeln!(f, "  {} errors", self.errors)?;
        self.last_errors.iter().try_for_each(|error| writeln!(f, "    {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every stage moved something.
    fn busy() -> Summary {
        let served = |server, results| Served { server, url: None, results, problem: None };
        Summary {
            seconds: 1.0,
            observations: 2,
            gaps: 0,
            inferences: 1,
            results: 1,
            first_result_s: Some(0.1),
            sources: ["mill", "recorded"]
                .map(|source| Heard { source: source.into(), observations: 1 })
                .into(),
            served: vec![served("opcua", 1), served("http", 1)],
            delivered: vec![Delivered { sink: "mes".into(), results: 1, dropped: 0 }],
            deployments: vec![Judged {
                deployment: "wear".into(),
                model: "tool-wear".into(),
                trained_on: "simulated".into(),
                inferences: 1,
                latency: LatencySummary::default(),
                inference: LatencySummary::default(),
            }],
            recorded: None,
            errors: 0,
            last_errors: Vec::new(),
        }
    }

    #[test]
    fn a_stage_that_stands_still_is_named() {
        assert!(busy().idle_stages().is_empty());
        type Break = fn(&mut Summary);
        let broken: [(Break, &str); 5] = [
            (|s| s.sources[1].observations = 0, "source recorded heard nothing"),
            (|s| s.deployments[0].inferences = 0, "deployment wear gave no answer"),
            (|s| s.served[0].problem = Some("refused".into()), "opcua server: refused"),
            (|s| s.served[1].problem = Some("silent".into()), "http server: silent"),
            (|s| s.delivered[0].results = 0, "sink mes delivered nothing"),
        ];
        for (break_it, named) in broken {
            let mut summary = busy();
            break_it(&mut summary);
            let idle = summary.idle_stages();
            assert!(idle.len() == 1 && idle[0].contains(named), "{idle:?} for {named}");
            if named.contains("server") {
                assert!(summary.to_string().contains("BROKEN"), "{summary}");
            }
        }
    }
}
