//! Client certificates that were refused: told as events, and bounded in number on disk.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use resonance_plant::{Clock, Code, Event, EventSink, Value};

use crate::servers::Context;

/// Refused certificates kept for an operator to look at. Anyone can make new ones, so the oldest
/// give way.
const KEPT_MAX: usize = 64;

const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Looks into the `rejected` folder again and again, for ever.
pub(super) async fn watch(pki: PathBuf, context: Context, refused: Arc<AtomicU64>) {
    let folder = pki.join("rejected");
    let mut known: BTreeSet<PathBuf> = listed(&folder).into_iter().map(|(_, path)| path).collect();
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let present = {
            let folder = folder.clone();
            tokio::task::spawn_blocking(move || bounded(&folder)).await.unwrap_or_default()
        };
        for path in present.difference(&known) {
            refused.fetch_add(1, Ordering::Relaxed);
            context.events.record(untrusted(path, context.clock.as_ref()));
        }
        known = present;
    }
}

fn untrusted(path: &Path, clock: &dyn Clock) -> Event {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let message = format!(
        "an OPC UA client's certificate is not trusted; compare its thumbprint, then move \
         rejected/{name} to trusted/"
    );
    Event::new(clock.now(), Code::AccessFailed, "server/opcua", message)
        .with("certificate", Value::Text(name.into()))
}

/// What is in the folder after the oldest beyond the bound were removed.
fn bounded(folder: &Path) -> BTreeSet<PathBuf> {
    let mut files = listed(folder);
    files.sort();
    let excess = files.len().saturating_sub(KEPT_MAX);
    for (_, path) in files.drain(..excess) {
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!(path = %path.display(), %error, "cannot remove a refused certificate");
        }
    }
    files.into_iter().map(|(_, path)| path).collect()
}

fn listed(folder: &Path) -> Vec<(SystemTime, PathBuf)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries
        .flatten()
        .map(|entry| {
            let modified = entry.metadata().and_then(|data| data.modified());
            (modified.unwrap_or(SystemTime::UNIX_EPOCH), entry.path())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_certificates_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        for i in 0..KEPT_MAX + 5 {
            std::fs::write(folder.path().join(format!("{i}.der")), b"x").unwrap();
        }
        assert_eq!(bounded(folder.path()).len(), KEPT_MAX);
        assert_eq!(listed(folder.path()).len(), KEPT_MAX);
    }
}
