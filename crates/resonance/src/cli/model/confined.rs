//! Runs a model in a process of its own, with little memory and time: an ONNX file that nobody
//! vouches for must not take the rest down, whatever an engine does with it.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use clap::Args;
use resonance_inference::compare::{self, Answer, Job};
use resonance_inference::engines::onnxruntime::TELEMETRY_VARIABLE;

use crate::cli::{CliError, Exit, output};

/// The name of the command that the process runs.
pub(super) const COMMAND: &str = "answer-confined";

/// The largest answer read from the process, bytes.
const ANSWER_BYTES_MAX: u64 = 512 << 20;

/// What is kept of what the process says on standard error, bytes.
const SAID_BYTES_MAX: u64 = 4 << 10;

/// How often is looked whether the process ended.
const LOOK: Duration = Duration::from_millis(5);

/// Open files: the model, the library and its own.
const FILES_MAX: u64 = 64;

/// Bounds on the process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Address space, MiB.
    pub(super) memory_mib: u64,
    /// Seconds, of the clock and of processor time alike.
    pub(super) seconds: u64,
}

/// What the process is started with; not for people.
#[derive(Debug, Args)]
pub(crate) struct AnswerArgs {
    /// Address space, MiB.
    #[arg(long)]
    memory_mib: u64,
    /// Processor time, seconds.
    #[arg(long)]
    seconds: u64,
}

/// The process's own part: bounds itself, then does the job on standard input.
pub(super) fn answer(args: &AnswerArgs) -> Result<ExitCode, CliError> {
    bound(args)?;
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| CliError::Internal(format!("the job cannot be read: {error}")))?;
    let job: Job = serde_json::from_str(&text)
        .map_err(|error| CliError::Internal(format!("the job is not understood: {error}")))?;
    output::print_json(&compare::answer(&job))?;
    Ok(Exit::Done.into())
}

#[cfg(unix)]
fn bound(args: &AnswerArgs) -> Result<(), CliError> {
    use rlimit::Resource;
    let bounds = [
        (Resource::AS, args.memory_mib << 20),
        (Resource::CPU, args.seconds),
        (Resource::NOFILE, FILES_MAX),
        (Resource::CORE, 0),
        (Resource::FSIZE, 0),
    ];
    for (resource, most) in bounds {
        // What the system allows less of stays as it is.
        let most = resource.get_hard().map_or(most, |hard| hard.min(most));
        resource.set(most, most).map_err(|error| {
            CliError::Failed(format!("the system does not bound the process: {error}"))
        })?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn bound(_: &AnswerArgs) -> Result<(), CliError> {
    Err(CliError::Failed("models are compared where processes can be bounded: on Unix".into()))
}

/// Has a job done in a bounded process.
///
/// # Errors
/// Why there is no answer, in words: the process was killed, crashed or said nothing sensible.
pub(super) fn ask(job: &Job, bounds: Bounds) -> Result<Answer, String> {
    let job = serde_json::to_vec(job).map_err(|error| format!("the job has no form: {error}"))?;
    let mut child = start(bounds).map_err(|error| format!("no process starts: {error}"))?;
    let asking = child.stdin.take().map(|mut pipe| {
        // A process that ends early closes the pipe; its exit status says why.
        std::thread::spawn(move || drop(pipe.write_all(&job)))
    });
    let answered = child.stdout.take().map(|pipe| reading(pipe, ANSWER_BYTES_MAX));
    let said = child.stderr.take().map(|pipe| reading(pipe, SAID_BYTES_MAX));
    let status = wait(&mut child, bounds);
    if let Some(asking) = asking {
        let _ = asking.join();
    }
    let read = |thread: Option<JoinHandle<Vec<u8>>>| {
        thread.and_then(|thread| thread.join().ok()).unwrap_or_default()
    };
    let (answered, said) = (read(answered), read(said));
    let status = status?;
    if !status.success() {
        return Err(ended(status, &said, bounds));
    }
    serde_json::from_slice(&answered)
        .map_err(|error| format!("its process answered what is not understood: {error}"))
}

fn start(bounds: Bounds) -> std::io::Result<Child> {
    let mut command = Command::new(program()?);
    command
        .args(["model", COMMAND])
        .args(["--memory-mib", &bounds.memory_mib.to_string()])
        .args(["--seconds", &bounds.seconds.to_string()])
        // No secret of the environment is the model's business.
        .env_clear()
        .env(TELEMETRY_VARIABLE, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for name in ["RESONANCE_ONNXRUNTIME", "LD_LIBRARY_PATH", "PATH"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.spawn()
}

/// This very program, even where its file was replaced meanwhile.
fn program() -> std::io::Result<PathBuf> {
    let own = PathBuf::from("/proc/self/exe");
    if own.exists() { Ok(own) } else { std::env::current_exe() }
}

/// Reads to the end, keeping `most` bytes; the rest is thrown away so that nobody blocks.
fn reading(mut pipe: impl Read + Send + 'static, most: u64) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        // A pipe that breaks ends like one that is closed.
        let _ = pipe.by_ref().take(most).read_to_end(&mut kept);
        let _ = std::io::copy(&mut pipe, &mut std::io::sink());
        kept
    })
}

fn wait(child: &mut Child, bounds: Bounds) -> Result<ExitStatus, String> {
    let deadline = Instant::now() + Duration::from_secs(bounds.seconds);
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(LOOK),
            ended => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(match ended {
                    Err(error) => format!("its process cannot be watched: {error}"),
                    Ok(_) => format!(
                        "it was killed after {} s; --seconds gives it longer",
                        bounds.seconds
                    ),
                });
            }
        }
    }
}

fn ended(status: ExitStatus, said: &[u8], bounds: Bounds) -> String {
    let said = String::from_utf8_lossy(said);
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let last: String = last.chars().filter(|c| !c.is_control()).take(300).collect();
    let colon = if last.is_empty() { "" } else { ": " };
    let how = killed_by(status, bounds).unwrap_or_else(|| format!("its process ended ({status})"));
    format!("{how}{colon}{last}")
}

#[cfg(unix)]
fn killed_by(status: ExitStatus, bounds: Bounds) -> Option<String> {
    use std::os::unix::process::ExitStatusExt;
    // SIGXCPU has this number on every system that has it; SIGKILL follows where it is ignored.
    const SIGXCPU: i32 = 24;
    match status.signal()? {
        SIGXCPU | 9 => Some(format!(
            "its process took more than {} s of processor time; --seconds gives it longer",
            bounds.seconds
        )),
        signal => Some(format!(
            "its process crashed with signal {signal}; it had {} MiB of memory, --memory-mib \
             gives it more",
            bounds.memory_mib
        )),
    }
}

#[cfg(not(unix))]
fn killed_by(_: ExitStatus, _: Bounds) -> Option<String> {
    None
}
