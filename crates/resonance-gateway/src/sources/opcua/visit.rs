//! A short visit: a session like that of a running source, one question, and good-bye.

use std::path::PathBuf;
use std::time::Duration;

use resonance_plant::Clock;

use super::checkup::server_times;
use super::config::OpcUaConfig;
use super::connect::connect_once;
use super::pki;
use crate::sources::Visit;

/// The folder of certificates that a source with this configuration uses.
pub fn pki_folder(config: &OpcUaConfig) -> PathBuf {
    pki::folder(config)
}

/// Makes a session as the source would, asks the machine for its time, and leaves. No step takes
/// longer than `step`.
///
/// # Errors
/// Why there is no session, or no answer, and what to do.
pub(in crate::sources) async fn visit(
    config: &OpcUaConfig,
    step: Duration,
    clock: &dyn Clock,
) -> Result<Visit, String> {
    let step_ms = u32::try_from(step.as_millis()).unwrap_or(u32::MAX);
    let request_timeout_ms = config.request_timeout_ms.min(step_ms);
    let silence_ms_max = config.silence_ms_max.min(step_ms);
    let config = OpcUaConfig { request_timeout_ms, silence_ms_max, ..config.clone() };
    let (live, session) = connect_once(&config).await.map_err(|failure| failure.to_string())?;
    let times = server_times(&live, clock).await;
    live.close().await;
    let times = times.map_err(|error| format!("{}: asking for its time: {error}", config.url))?;
    let shown = session.server_certificate();
    Ok(Visit { offset_us: times.offset_us, certificates: shown.into_iter().collect() })
}
