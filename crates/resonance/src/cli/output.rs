//! How a command speaks: format, colour, standard output and the log.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

use super::CliError;
use crate::config::Report;

/// For people or for programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// Whether messages are coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
#[repr(u8)]
pub(crate) enum ColorChoice {
    /// Where a person looks on and NO_COLOR is not set.
    #[default]
    Auto = 0,
    /// Always.
    Always = 1,
    /// Never.
    Never = 2,
}

static COLOR: AtomicU8 = AtomicU8::new(ColorChoice::Auto as u8);

/// Remembers the choice for the whole process.
pub(super) fn set_color(choice: ColorChoice) {
    COLOR.store(choice as u8, Ordering::Relaxed);
}

/// Whether what goes to `stream` is coloured.
pub(crate) fn colored(stream: &impl IsTerminal) -> bool {
    match COLOR.load(Ordering::Relaxed) {
        1 => true,
        2 => false,
        _ => stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
    }
}

/// Writes text to standard output.
///
/// # Errors
/// Where standard output is closed or full.
pub(crate) fn print(text: &str) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(CliError::Output)
}

/// Writes a value as indented JSON to standard output.
///
/// # Errors
/// Where standard output is closed or full.
pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<(), CliError> {
    let mut text = serde_json::to_string_pretty(value)
        .map_err(|error| CliError::Internal(format!("a value has no JSON form: {error}")))?;
    text.push('\n');
    print(&text)
}

/// Whether everything on standard error is a line of JSON.
static SAYS_JSON: AtomicBool = AtomicBool::new(false);

/// Says something about a command on standard error: a line, or several.
pub(crate) fn say(text: &str) {
    let text = text.trim_end_matches('\n');
    if SAYS_JSON.load(Ordering::Relaxed) {
        tracing::info!(target: "resonance::said", "{text}");
    } else {
        // Nothing can be done where standard error is closed.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }
}

/// Says what was found in a plant file, unless that is nothing.
pub(crate) fn say_report(report: &Report) {
    if !SAYS_JSON.load(Ordering::Relaxed) {
        let _ = io::stderr().lock().write_all(report.render(colored(&io::stderr())).as_bytes());
    } else if !report.is_valid() {
        tracing::error!(target: "resonance::said", report = %report.to_json(), "{}", report.summary());
    } else if report.warnings() > 0 {
        tracing::warn!(target: "resonance::said", report = %report.to_json(), "{}", report.summary());
    }
}

/// Says on standard error why a command failed.
pub(super) fn say_failure(error: &CliError) {
    if SAYS_JSON.load(Ordering::Relaxed) {
        tracing::error!(target: "resonance::said", "{error}");
    } else {
        let _ = writeln!(io::stderr().lock(), "resonance: {error}");
    }
}

/// Sends the log of the process to standard error.
///
/// # Errors
/// Where the filter makes no sense.
pub(super) fn log_to_stderr(filter: &str, format: Format) -> Result<(), CliError> {
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        CliError::Refused(format!(
            "--log {filter:?}: {error}; write a level (error, warn, info, debug, trace) \
             or target=level, separated by commas"
        ))
    })?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| LogWriter);
    match format {
        Format::Text => log.with_ansi(colored(&std::io::stderr())).try_init(),
        Format::Json => {
            SAYS_JSON.store(true, Ordering::Relaxed);
            std::panic::set_hook(Box::new(|panic| {
                let backtrace = std::backtrace::Backtrace::capture();
                tracing::error!(target: "resonance::said", %backtrace, "{panic}");
            }));
            log.json().flatten_event(true).with_ansi(false).try_init()
        }
    }
    .map_err(|error| CliError::Internal(format!("the log cannot start: {error}")))
}

/// Log lines held back while something is drawn on the terminal, and how many more there were.
#[derive(Debug, Default)]
struct Held {
    lines: VecDeque<Vec<u8>>,
    dropped: u64,
}

static HELD: Mutex<Option<Held>> = Mutex::new(None);

/// What a thread left that panicked is still sound: each change is whole.
fn held() -> MutexGuard<'static, Option<Held>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lines held back; the newest are kept.
const HELD_LINES_MAX: usize = 200;

/// Holds the log back until the guard is dropped, which writes the newest lines.
#[must_use]
pub(super) fn hold_log() -> HeldLog {
    *held() = Some(Held::default());
    HeldLog
}

/// The log is held back while this lives.
#[derive(Debug)]
pub(super) struct HeldLog;

impl Drop for HeldLog {
    fn drop(&mut self) {
        let Some(held) = held().take() else { return };
        let mut out = io::stderr().lock();
        if held.dropped > 0 {
            // Nothing can be done where standard error is closed.
            let _ = writeln!(out, "({} older log lines are left out)", held.dropped);
        }
        for line in held.lines {
            let _ = out.write_all(&line);
        }
    }
}

/// Writes log lines, each with one call, to standard error or to what is held back.
struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut held = held();
        let Some(held) = held.as_mut() else { return io::stderr().write(line) };
        if held.lines.len() == HELD_LINES_MAX {
            held.lines.pop_front();
            held.dropped += 1;
        }
        held.lines.push_back(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
