//! What a service manager is told: that the gateway is ready, that it still turns, that it ends.
//!
//! The protocol is that of sd_notify(3): a datagram of `KEY=value` lines to the socket named by
//! `NOTIFY_SOCKET`. Where nobody listens nothing is said.

use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The service manager that started this process.
#[derive(Debug)]
pub(super) struct Manager {
    socket: UnixDatagram,
    address: SocketAddr,
    /// It ends a process that says nothing for this long.
    watchdog: Option<Duration>,
}

impl Manager {
    /// The manager that the environment names; a name that makes no sense is told in the log.
    pub(super) fn of_environment() -> Option<Self> {
        let name = std::env::var("NOTIFY_SOCKET").ok().filter(|name| !name.is_empty())?;
        let reached = address(&name).and_then(|address| Ok((UnixDatagram::unbound()?, address)));
        let (socket, address) = match reached {
            Ok(reached) => reached,
            Err(error) => {
                tracing::warn!(
                    "NOTIFY_SOCKET={name}: the service manager is told nothing: {error}"
                );
                return None;
            }
        };
        // It never waits for the manager, whose queue may be full.
        socket.set_nonblocking(true).ok()?;
        let variable = |name: &str| std::env::var(name).ok();
        let watchdog = watchdog(variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"));
        Some(Self { socket, address, watchdog })
    }

    fn tell(&self, state: &str) {
        if let Err(error) = self.socket.send_to_addr(state.as_bytes(), &self.address) {
            tracing::debug!("the service manager was not told {state:?}: {error}");
        }
    }

    /// Says that the gateway is ready.
    pub(super) fn ready(&self) {
        self.tell("READY=1\nSTATUS=running");
    }

    /// Says that it ends, and why.
    pub(super) fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=delivering what is left");
    }

    /// Says again and again that the hub turns, as long as it does; never returns.
    pub(super) async fn watch(&self, turns: impl Fn() -> u64) {
        let Some(limit) = self.watchdog else { return std::future::pending().await };
        let mut heart = Heart::default();
        // Twice in the time allowed, as sd_watchdog_enabled(3) recommends.
        let mut every = tokio::time::interval(limit / 2);
        loop {
            every.tick().await;
            if heart.beats(turns()) {
                self.tell("WATCHDOG=1");
            }
        }
    }
}

/// Whether something that counts still does.
#[derive(Debug, Default)]
struct Heart(Option<u64>);

impl Heart {
    fn beats(&mut self, count: u64) -> bool {
        self.0.replace(count) != Some(count)
    }
}

/// The socket: a path, or a name in the abstract namespace where it begins with `@`.
fn address(name: &str) -> io::Result<SocketAddr> {
    match name.strip_prefix('@') {
        #[cfg(target_os = "linux")]
        Some(name) => <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name),
        _ => SocketAddr::from_pathname(name),
    }
}

/// How long this process may be silent; meant for another process where the ids differ.
fn watchdog(limit_us: Option<String>, pid: Option<String>) -> Option<Duration> {
    if pid.is_some_and(|pid| pid != std::process::id().to_string()) {
        return None;
    }
    let limit_us: u64 = limit_us?.parse().ok()?;
    (limit_us > 1).then(|| Duration::from_micros(limit_us))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_that_does_not_turn_has_no_heartbeat() {
        let mut heart = Heart::default();
        assert!(heart.beats(7), "it was never asked before");
        assert!(!heart.beats(7));
        assert!(heart.beats(8));
    }

    #[test]
    fn the_watchdog_is_that_of_this_process() {
        let limit = |pid: Option<u32>| watchdog(Some("500".into()), pid.map(|pid| pid.to_string()));
        assert_eq!(limit(None), Some(Duration::from_micros(500)));
        assert_eq!(limit(Some(std::process::id())), limit(None));
        assert_eq!(limit(Some(1)), None);
        assert_eq!(watchdog(Some("soon".into()), None), None);
        assert_eq!(watchdog(None, None), None);
    }
}
