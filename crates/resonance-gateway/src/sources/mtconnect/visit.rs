//! A short visit: one document, to see whether the agent answers and what time it has.

use std::time::Duration;

use resonance_plant::Clock;
use resonance_wire::mtconnect::Devices;

use super::config::MtconnectConfig;
use super::documents::{limits, target};
use super::http::Agent;
use crate::sources::Visit;

/// Asks the agent what it has. Takes no longer than `step`.
///
/// # Errors
/// Why there is no answer, and what to do.
pub(in crate::sources) async fn visit(
    config: &MtconnectConfig,
    step: Duration,
    clock: &dyn Clock,
) -> Result<Visit, String> {
    let agent = Agent::new(config).map_err(|(key, problem)| format!("{key}: {problem}"))?;
    let target = target(config, "probe");
    let visited = async {
        let certificates = agent.shown().await?;
        let document = agent.document(config, &target).await?;
        Ok::<_, crate::sources::failure::Failure>((certificates, document, clock.now()))
    };
    let (certificates, document, now) = tokio::time::timeout(step, visited)
        .await
        .map_err(|_| format!("{}{target}: no answer in {step:?}", config.url))?
        .map_err(|failure| failure.to_string())?;
    let model = Devices::parse(&document, limits(config))
        .map_err(|error| format!("{}{target}: this is no agent: {error}", config.url))?;
    // As exact as the agent's seconds and the way of the document are.
    let offset_us = model.header.creation_time.map(|agent| agent.since(now) / 1_000);
    Ok(Visit { offset_us, certificates })
}
