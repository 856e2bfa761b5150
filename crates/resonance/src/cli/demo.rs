//! `resonance demo`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use resonance_gateway::supervisor::Gateway;

use super::duration::parse_duration;
use super::run::{Deadline, Warnings, end, plan_of, runtime, start_gateway, wait};
use super::{CliError, Exit, Format, output, watch};
use crate::demo::{Readers, Recorded, Scene, SceneError};
use crate::render::live::LiveView;
use crate::summary::Summary;

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DemoArgs {
    /// Ends by itself after this time: `30s`, `10m`. Absent: q or Ctrl-C ends it.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    duration: Option<Duration>,
    /// `text` shows a live view, or one line a second where standard output is no terminal;
    /// `json` shows nothing live. Both print a summary at the end.
    #[arg(long, default_value = "text")]
    format: Format,
    /// Also replays recorded machines: a folder with `turbofan/train_FD001.txt` and
    /// `cnc-mill/experiment_03.csv` (NASA C-MAPSS and the University of Michigan's CNC mill).
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Keeps plant file, packages, events and spool in this folder. Absent: a folder that is
    /// removed at the end.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  resonance demo                                     a live view, until q or Ctrl-C
  resonance demo --duration 30s --format json        one JSON summary
  resonance demo --data data --keep demo             with recorded machines; look at demo/plant.toml

The CNC and the MES are simulated; what they speak, OPC UA and MQTT 5, crosses real sockets. The
demo also reads its results back as a client would, from the gateway's OPC UA and HTTP servers.

Exit codes: 0 every stage moved data, 1 one did not, 2 the command line was refused";

pub(crate) fn run(args: DemoArgs) -> Result<ExitCode, CliError> {
    let recorded = args.data.as_deref().map(Recorded::find).transpose()?;
    let removed = match &args.keep {
        Some(folder) => {
            std::fs::create_dir_all(folder)
                .map_err(|error| CliError::Refused(format!("{}: {error}", folder.display())))?;
            None
        }
        None => Some(tempfile::tempdir().map_err(|error| {
            CliError::Failed(format!("no folder for the demo's files: {error}"))
        })?),
    };
    let folder = match (&args.keep, &removed) {
        (Some(folder), _) => folder.clone(),
        (None, Some(folder)) => folder.path().to_owned(),
        (None, None) => PathBuf::from("."),
    };
    runtime()?.block_on(async {
        let scene = Scene::start(&folder, recorded.as_ref()).await?;
        let mut gateway = start_gateway(plan_of(&scene.plant, Warnings::Silent)?, None).await?;
        announce(&scene, &gateway);
        let readers = Readers::start(&gateway, folder.join("reader-pki"));
        let first_result_s = show(&mut gateway, &args).await?;
        let served = readers.finish(&gateway).await;
        let (summary, ended) = end(gateway).await;
        let summary = Summary { first_result_s, served, ..summary };
        let taken = scene.taken();
        scene.stop().await;
        ended.and(finish(&summary, taken, args.format))
    })
}

fn announce(scene: &Scene, gateway: &Gateway) {
    for url in scene.urls() {
        output::say(&format!("machine (simulated or replayed) at {url}"));
    }
    for server in gateway.status().servers {
        output::say(&format!("{} server at {}", server.kind, server.url));
    }
}

/// What tells most about a milling machine; the view shows these first.
const TELLING: [&str; 8] = [
    "execution",
    "spindle_power",
    "spindle_load",
    "spindle_speed",
    "spindle_torque",
    "spindle_vibration",
    "spindle_bearing_temperature",
    "feed_rate",
];

/// Shows what happens until it ends. Returns the seconds to the first result.
async fn show(gateway: &mut Gateway, args: &DemoArgs) -> Result<Option<f64>, CliError> {
    let started = gateway.status().started_at;
    let mut results = gateway.results().subscribe();
    let first = tokio::spawn(async move { results.recv().await.ok().map(|r| r.computed_at) });
    match args.format {
        Format::Json => {
            wait(Deadline::after(args.duration), gateway, None).await?;
        }
        Format::Text => {
            let notice = match args.data {
                None => SIMULATED,
                Some(_) => RECORDED,
            };
            let view = |gateway: &Gateway| {
                LiveView::of(&gateway.context(), "Resonance demo", notice).first(&TELLING)
            };
            watch::show(view, args.duration, gateway, None).await?;
        }
    }
    first.abort();
    Ok(first.await.ok().flatten().map(|at| at.since(started) as f64 / 1e9))
}

const SIMULATED: &str = "The CNC and the MES are simulated, and the model knows only that CNC.";

const RECORDED: &str = "The CNC and the MES are simulated, the other machines are recordings; \
    each model knows only what it was trained on.";

fn finish(summary: &Summary, taken: u64, format: Format) -> Result<ExitCode, CliError> {
    match format {
        Format::Json => output::print_json(summary)?,
        Format::Text => output::print(&summary.to_string())?,
    }
    let mut idle = summary.idle_stages();
    if taken == 0 {
        idle.push("the MES took no message".into());
    }
    for stage in &idle {
        output::say(&format!("broken: {stage}"));
    }
    Ok(if idle.is_empty() { Exit::Done } else { Exit::Failed }.into())
}

impl From<SceneError> for CliError {
    fn from(error: SceneError) -> Self {
        match error {
            SceneError::NoData { .. } => Self::Refused(error.to_string()),
            SceneError::Folder { .. } | SceneError::Start { .. } => Self::Failed(error.to_string()),
        }
    }
}
