//! The parts of the benchmarks that must be as fast as what they measure; `bench/run.py` calls
//! them. Each prints one line of JSON.
//!
//! ```text
//! resonance-bench windows [SECONDS]                             blocks into windows
//! resonance-bench reads URL SECONDS NODE...                     ages of values that Read returns
//! resonance-bench spool RESULTS BROKER_URL                      result spool, MQTT and HTTP sinks
//! resonance-bench requests HOST:PORT PATH BODY_FILE SECONDS CONNECTIONS [HEADER]...
//!                                                               HTTP requests
//! resonance-bench calls HOST:PORT PATH SECONDS CONNECTIONS MESSAGE_FILE...   gRPC calls
//! resonance-bench echo ANSWER_BYTES                             an empty HTTP server
//! resonance-bench mtconnect OBSERVATIONS SECONDS FILE           MTConnect documents
//! ```

mod calls;
mod echo;
mod mtconnect;
mod reads;
mod requests;
mod spool;
mod windows;

use std::process::ExitCode;
use std::time::Duration;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const USAGE: &str =
    "resonance-bench windows | reads | spool | requests | calls | echo | mtconnect; see its source";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<serde_json::Value, Failure> {
    match arguments {
        ["windows"] => Ok(windows::windows(5.0)),
        ["windows", seconds] => Ok(windows::windows(seconds.parse()?)),
        ["reads", url, seconds, nodes @ ..] if !nodes.is_empty() => {
            reads::reads(url, Duration::from_secs_f64(seconds.parse()?), nodes)
        }
        ["spool", results, broker] => spool::spool(results.parse()?, broker),
        ["requests", address, path, body, seconds, connections, headers @ ..] => {
            let message = requests::message(address, path, headers, &std::fs::read(body)?);
            let duration = Duration::from_secs_f64(seconds.parse()?);
            requests::requests(address, &message, duration, connections.parse()?)
        }
        ["calls", address, path, seconds, connections, messages @ ..] => {
            let read =
                |file: &&str| std::fs::read(file).map_err(|error| format!("{file}: {error}"));
            let messages = messages.iter().map(read).collect::<Result<Vec<_>, _>>()?;
            let duration = Duration::from_secs_f64(seconds.parse()?);
            calls::calls(address, path, &messages, duration, connections.parse()?)
        }
        ["mtconnect", observations, seconds, file] => {
            mtconnect::mtconnect(observations.parse()?, seconds.parse()?, file)
        }
        ["echo", answer_bytes] => echo::echo(answer_bytes.parse()?),
        _ => Err(USAGE.into()),
    }
}

/// The value that `share` of all are at or below; the values are sorted.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let at = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(at.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}
