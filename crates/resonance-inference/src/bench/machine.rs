//! What a measurement was made on.

use std::fs;

use serde::Serialize;

/// A machine, as far as it says itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// The processor's name; `unknown` where the system does not say.
    pub processor: String,
    /// The processor's kind, such as `x86_64`.
    pub architecture: String,
    /// Threads that this process may run at once.
    pub threads: usize,
    /// Memory, MiB; zero where the system does not say.
    pub memory_mib: u64,
    /// The operating system with its version.
    pub system: String,
}

impl Machine {
    /// This machine.
    pub fn describe() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let release = read("/proc/sys/kernel/osrelease");
        Self {
            processor: value(&read("/proc/cpuinfo"), "model name")
                .unwrap_or_else(|| "unknown".into()),
            architecture: std::env::consts::ARCH.into(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: value(&read("/proc/meminfo"), "MemTotal")
                .and_then(|text| text.split(' ').next()?.parse::<u64>().ok())
                .map_or(0, |kib| kib / 1024),
            system: format!("{} {}", std::env::consts::OS, release.trim()).trim().to_owned(),
        }
    }
}

/// The value of `key : value` or `key: value` in the files of /proc.
fn value(text: &str, key: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(key))?;
    line.split_once(':').map(|(_, value)| value.trim().to_owned())
}
