//! `resonance run`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use resonance_gateway::plan::Plan;
use resonance_gateway::recording::RecordingPlan;
use resonance_gateway::supervisor::{Gateway, Options, start};
use resonance_gateway::wish::Wishes;
use resonance_inference::engines::OnnxRuntime;
use resonance_inference::{Engine, EngineError, Limits};
use resonance_plant::SystemClock;

use super::duration::parse_duration;
use super::notify::Manager;
use super::reload::Reloads;
use super::signal::asked_to_end;
use super::{CliError, Exit, Format, output, watch};
use crate::config::{PlantText, Purpose};
use crate::render::live::LiveView;
use crate::summary::Summary;

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RunArgs {
    /// The plant file.
    #[arg(value_name = "PLANT.toml")]
    file: PathBuf,
    /// Ends by itself after this time: `30s`, `10m`, `2h`.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    duration: Option<Duration>,
    /// Shows values, results, counters and events live; where standard output is no terminal, one
    /// line a second.
    #[arg(long)]
    watch: bool,
    /// How the summary at the end is printed.
    #[arg(long, default_value = "text")]
    format: Format,
}

const EXAMPLES: &str = "\
Examples:
  resonance run plant.toml                            until Ctrl-C or SIGTERM
  resonance run plant.toml --watch                    with a live view; q ends it
  resonance run plant.toml --log info                 tells what happens on standard error
  resonance run plant.toml --log info --log-format json       the same for a log collector
  resonance run plant.toml --duration 60s --format json | jq .inferences

SIGHUP, or `resonance reload`, goes on with the plant file as it is then; what it does not change
runs on.

Exit codes: 0 it ran and ended as asked, 1 it could not start, 2 the plant file was refused,
3 it failed while it ran";

pub(crate) fn run(args: RunArgs) -> Result<ExitCode, CliError> {
    serve(&args, None)
}

/// Runs a plant until it is asked to end, and records it where that is wanted.
pub(super) fn serve(
    args: &RunArgs,
    recording: Option<RecordingPlan>,
) -> Result<ExitCode, CliError> {
    // The text is gone again before the gateway makes itself at home.
    let plan = plan_of(&PlantText::read(&args.file)?, Warnings::Shown)?;
    let runtime = runtime()?;
    runtime.block_on(async {
        let (wishes, wished) = Wishes::channel();
        let mut reloads = Reloads::new(args.file.clone(), wished, &plan)?;
        // What is asked for on the command line stands before what the file says.
        let recording = recording.or_else(|| plan.recording.clone());
        let mut gateway = start_gateway(Plan { recording, ..plan }, Some(wishes)).await?;
        let status = gateway.status();
        let manager = Manager::of_environment();
        for server in &status.servers {
            output::say(&format!("{} server at {}", server.kind, server.url));
        }
        if let Some(manager) = &manager {
            manager.ready();
        }
        let turns = gateway.turns_reader();
        let running = async {
            if !args.watch {
                let end = Deadline::after(args.duration);
                while wait(end, &mut gateway, Some(&mut reloads)).await? == Waited::Reloaded {}
                return Ok(());
            }
            let title = format!("Resonance {}", args.file.display());
            let view = |gateway: &Gateway| LiveView::of(&gateway.context(), &title, "");
            watch::show(view, args.duration, &mut gateway, Some(&mut reloads)).await
        };
        tokio::select! {
            ended = running => ended?,
            () = watched(manager.as_ref(), turns) => {}
        }
        if let Some(manager) = &manager {
            manager.stopping();
        }
        let (summary, ended) = end(gateway).await;
        match args.format {
            Format::Json => output::print_json(&summary)?,
            Format::Text => output::print(&summary.to_string())?,
        }
        ended.map(|()| Exit::Done.into())
    })
}

/// Tells the service manager that the gateway lives; never returns.
async fn watched(manager: Option<&Manager>, turns: impl Fn() -> u64) {
    match manager {
        Some(manager) => manager.watch(turns).await,
        None => std::future::pending().await,
    }
}

/// Stops a gateway, delivering what is left. Says what it did, and whether it had failed.
pub(crate) async fn end(gateway: Gateway) -> (Summary, Result<(), CliError>) {
    let (mut summary, failed) = (Summary::of(&gateway), gateway.has_failed());
    let recording = gateway.recording();
    gateway.stop().await;
    summary.recorded = recording.map(|counters| counters.value());
    let failure = "the hub ended unexpectedly; its results were taken back and the spool is kept: \
                   start again, and report what is written above";
    (summary, if failed { Err(CliError::Internal(failure.into())) } else { Ok(()) })
}

/// The runtime of servers and sinks; sources and hub have threads of their own.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| CliError::Failed(format!("cannot start threads: {error}")))
}

/// Whether the warnings about a plant file are shown: its author can heed them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Warnings {
    /// They are.
    Shown,
    /// They are not: nobody wrote the file.
    Silent,
}

/// The plan of a plant file; says everything that is wrong with the file.
pub(crate) fn plan_of(plant: &PlantText, warnings: Warnings) -> Result<Plan, CliError> {
    let (plan, report) = plant.plan(Purpose::Run);
    let Some(plan) = plan else {
        output::say_report(&report);
        return Err(CliError::Refused("the plant file was refused; nothing was started".into()));
    };
    if warnings == Warnings::Shown {
        output::say_report(&report);
    }
    Ok(plan)
}

/// Starts the gateway of a plan.
pub(crate) async fn start_gateway(plan: Plan, wishes: Option<Wishes>) -> Result<Gateway, CliError> {
    let engine = OnnxRuntime::find().map(|engine| Arc::new(engine) as Arc<dyn Engine>);
    start_plan(plan, engine, wishes).await
}

async fn start_plan(
    plan: Plan,
    engine: Result<Arc<dyn Engine>, EngineError>,
    wishes: Option<Wishes>,
) -> Result<Gateway, CliError> {
    let clock = Arc::new(SystemClock);
    let options = Options { clock, engine, limits: Limits::default(), wishes };
    start(plan, options).await.map_err(|error| CliError::Failed(error.to_string()))
}

/// When a run ends by itself, if it does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<tokio::time::Instant>);

impl Deadline {
    /// After this time from now.
    pub(crate) fn after(duration: Option<Duration>) -> Self {
        Self(duration.map(|duration| tokio::time::Instant::now() + duration))
    }

    async fn passed(self) {
        match self.0 {
            Some(end) => tokio::time::sleep_until(end).await,
            None => std::future::pending().await,
        }
    }
}

/// Why a wait is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// The run is to end, or has.
    Ended,
    /// The gateway goes on with another plan.
    Reloaded,
}

/// Waits for Ctrl-C, SIGTERM, the end of a time, that of the gateway's hub, or another plan.
pub(crate) async fn wait(
    end: Deadline,
    gateway: &mut Gateway,
    mut reloads: Option<&mut Reloads>,
) -> Result<Waited, CliError> {
    loop {
        let wanted = async {
            match &mut reloads {
                Some(reloads) => reloads.wanted().await,
                None => std::future::pending().await,
            }
        };
        let wish = tokio::select! {
            asked = asked_to_end() => {
                asked.map_err(|error| CliError::Internal(format!("no signal handler: {error}")))?;
                return Ok(Waited::Ended);
            }
            () = end.passed() => return Ok(Waited::Ended),
            () = gateway.failed() => return Ok(Waited::Ended),
            wish = wanted => wish,
        };
        if let Some(reloads) = &mut reloads
            && reloads.grant(wish, gateway).await
        {
            return Ok(Waited::Reloaded);
        }
    }
}

#[cfg(test)]
mod tests;
