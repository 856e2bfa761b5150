//! `resonance run`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use resonance_gateway::plan::Plan;
use resonance_gateway::supervisor::{Gateway, Options, start};
use resonance_inference::engines::OnnxRuntime;
use resonance_inference::{Engine, EngineError, Limits};
use resonance_plant::SystemClock;

use super::duration::parse_duration;
use super::notify::Manager;
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

Exit codes: 0 it ran and ended as asked, 1 it could not start, 2 the plant file was refused,
3 it failed while it ran";

pub(crate) fn run(args: RunArgs) -> Result<ExitCode, CliError> {
    let plant = PlantText::read(&args.file)?;
    let runtime = runtime()?;
    runtime.block_on(async {
        let gateway = start_gateway(&plant, Warnings::Shown).await?;
        let status = gateway.status();
        let manager = Manager::of_environment();
        for server in &status.servers {
            output::say(&format!("{} server at {}", server.kind, server.url));
        }
        if let Some(manager) = &manager {
            manager.ready();
        }
        let running = async {
            if !args.watch {
                return wait(args.duration, &gateway).await;
            }
            let title = format!("Resonance {}", args.file.display());
            let view = LiveView::of(&gateway.context(), &title, "");
            watch::show(view, args.duration, &gateway).await
        };
        tokio::select! {
            ended = running => ended?,
            () = watched(manager.as_ref(), &gateway) => {}
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
async fn watched(manager: Option<&Manager>, gateway: &Gateway) {
    match manager {
        Some(manager) => manager.watch(gateway).await,
        None => std::future::pending().await,
    }
}

/// Stops a gateway, delivering what is left. Says what it did, and whether it had failed.
pub(crate) async fn end(gateway: Gateway) -> (Summary, Result<(), CliError>) {
    let (summary, failed) = (Summary::of(&gateway), gateway.has_failed());
    gateway.stop().await;
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

/// Starts the gateway of a plant file, or says everything that is wrong with the file.
pub(crate) async fn start_gateway(
    plant: &PlantText,
    warnings: Warnings,
) -> Result<Gateway, CliError> {
    let (plan, report) = plant.plan(Purpose::Run);
    let Some(plan) = plan else {
        output::say_report(&report);
        return Err(CliError::Refused("the plant file was refused; nothing was started".into()));
    };
    if warnings == Warnings::Shown {
        output::say_report(&report);
    }
    let engine = OnnxRuntime::find().map(|engine| Arc::new(engine) as Arc<dyn Engine>);
    start_plan(plan, engine).await
}

async fn start_plan(
    plan: Plan,
    engine: Result<Arc<dyn Engine>, EngineError>,
) -> Result<Gateway, CliError> {
    let options = Options { clock: Arc::new(SystemClock), engine, limits: Limits::default() };
    start(plan, options).await.map_err(|error| CliError::Failed(error.to_string()))
}

/// Waits for Ctrl-C, SIGTERM, the end of a time or that of the gateway's hub.
pub(crate) async fn wait(duration: Option<Duration>, gateway: &Gateway) -> Result<(), CliError> {
    let end = async {
        match duration {
            Some(duration) => tokio::time::sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        asked = asked_to_end() => {
            asked.map_err(|error| CliError::Internal(format!("no signal handler: {error}")))
        }
        () = end => Ok(()),
        () = gateway.failed() => Ok(()),
    }
}

#[cfg(test)]
mod tests;
