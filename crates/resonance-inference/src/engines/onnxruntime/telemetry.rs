//! Published builds of ONNX Runtime keep usage data in the user's home and may send it to their
//! maker. They begin when their environment is made, before the interface that turns it off can
//! be called; only a variable of the process's environment comes early enough.
#![expect(unsafe_code, reason = "changes the environment, which only one thread may do")]

/// Set to 1, it keeps ONNX Runtime from gathering usage data.
pub const TELEMETRY_VARIABLE: &str = "ORT_DISABLE_TELEMETRY";

/// Keeps ONNX Runtime from gathering usage data in this process, unless whoever started it set
/// [`TELEMETRY_VARIABLE`] themselves. To be called first in `main`: it does nothing, and returns
/// false, where other threads may read the environment meanwhile.
pub fn disable_telemetry() -> bool {
    if std::env::var_os(TELEMETRY_VARIABLE).is_some() {
        return true;
    }
    if !is_only_thread() {
        return false;
    }
    // SAFETY: no other thread of this process exists, so none reads the environment.
    unsafe { std::env::set_var(TELEMETRY_VARIABLE, "1") };
    true
}

#[cfg(target_os = "linux")]
fn is_only_thread() -> bool {
    std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1)
}

/// The environment is locked by the system itself on Windows; elsewhere nobody knows.
#[cfg(not(target_os = "linux"))]
fn is_only_thread() -> bool {
    cfg!(windows)
}
