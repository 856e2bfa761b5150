//! `resonance reload`, and what a running gateway does about it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use resonance_gateway::plan::Plan;
use resonance_gateway::recording::RecordingPlan;
use resonance_gateway::supervisor::{Changes, Gateway as Running};
use resonance_gateway::wish::{Wanted, Wish};
use resonance_plant::Principal;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::http::GatewayArgs;
use super::{CliError, Exit, Format, output};
use crate::config::{PlantText, Purpose};

/// Have a running gateway go on with its plant file as it is now; what the file does not change
/// runs on.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ReloadArgs {
    /// Changes nothing: prints what would start, stop and change.
    #[arg(long)]
    dry_run: bool,
    /// Goes back to what ran before the last reload. The plant file is left as it is.
    #[arg(long, conflicts_with = "dry_run")]
    rollback: bool,
    #[command(flatten)]
    gateway: GatewayArgs,
    /// How the changes are printed.
    #[arg(long, default_value = "text")]
    format: Format,
}

const EXAMPLES: &str = "\
Examples:
  resonance reload --dry-run --user anna       what would change
  resonance reload --user anna                 starts, stops and changes what the file asks for
  resonance reload --rollback --user anna      back to what ran before
  kill -HUP PID                                the same as the second, on the gateway's computer

Needs a user with the role engineer. Sources, models, deployments, sinks and servers that the file
does not change run on: no observation is lost, and a deployment with another model goes on with
the past of its inputs. Where the file cannot be gone over to, nothing is changed, and the reason
is printed.

Exit codes: 0 done, 1 refused, nothing was changed";

/// A change waits for models to be loaded and checked.
const ANSWER_WITHIN: Duration = Duration::from_secs(120);

pub(crate) fn run(args: ReloadArgs) -> Result<ExitCode, CliError> {
    let wanted = match (args.dry_run, args.rollback) {
        (true, _) => "preview",
        (_, true) => "rollback",
        _ => "reload",
    };
    let runtime = super::run::runtime()?;
    let gateway = args.gateway.gateway()?;
    let path = format!("/api/v1/plant/reload?wanted={wanted}");
    let changes = runtime.block_on(gateway.post(&path, ANSWER_WITHIN))?;
    match args.format {
        Format::Json => output::print_json(&changes)?,
        Format::Text => {
            let changes: Changes = serde_json::from_value(changes)
                .map_err(|error| CliError::Failed(format!("the gateway's answer: {error}")))?;
            output::print(&told(&changes))?;
        }
    }
    Ok(Exit::Done.into())
}

/// What changes, or that nothing does.
fn told(changes: &Changes) -> String {
    if changes.is_empty() { "nothing changes\n".into() } else { changes.to_string() }
}

/// Grants wishes for another plan: reads the plant file anew, and remembers what ran before.
#[derive(Debug)]
pub(crate) struct Reloads {
    file: PathBuf,
    hung_up: Signal,
    wished: mpsc::Receiver<Wish>,
    before: Option<Plan>,
    /// What the file said of a recording when the gateway started.
    recording: Option<RecordingPlan>,
}

impl Reloads {
    /// Of this plant file, which says this now, for these wishes and for SIGHUP.
    ///
    /// # Errors
    /// Where the system lets the process not listen for signals.
    pub(crate) fn new(
        file: PathBuf,
        wished: mpsc::Receiver<Wish>,
        plan: &Plan,
    ) -> Result<Self, CliError> {
        let hung_up = signal(SignalKind::hangup())
            .map_err(|error| CliError::Internal(format!("no signal handler: {error}")))?;
        let recording = plan.recording.clone();
        Ok(Self { file, hung_up, wished, before: None, recording })
    }

    /// The next wish; `None`: SIGHUP, which is a wish for a reload.
    pub(crate) async fn wanted(&mut self) -> Option<Wish> {
        tokio::select! {
            _ = self.hung_up.recv() => None,
            Some(wish) = self.wished.recv() => Some(wish),
        }
    }

    /// Does what is wished for and says so. Returns whether the gateway goes on with another plan.
    pub(crate) async fn grant(&mut self, wish: Option<Wish>, gateway: &mut Running) -> bool {
        let (wanted, principal, answer) = match wish {
            Some(Wish { wanted, principal, answer }) => (wanted, principal, Some(answer)),
            None => (Wanted::Reload, Principal::system(), None),
        };
        let outcome = self.change(wanted, principal, gateway).await;
        let changed =
            wanted != Wanted::Preview && outcome.as_ref().is_ok_and(|changes| !changes.is_empty());
        if wanted != Wanted::Preview {
            match &outcome {
                Ok(changes) => {
                    output::say(&format!("{}:\n{}", self.file.display(), told(changes)));
                }
                Err(problem) => {
                    output::say(&format!("{}: not reloaded: {problem}", self.file.display()));
                }
            }
        }
        // Who asked may be gone; it was told on standard error and as an event.
        if let Some(answer) = answer {
            let _ = answer.send(outcome);
        }
        changed
    }

    async fn change(
        &mut self,
        wanted: Wanted,
        principal: Principal,
        gateway: &mut Running,
    ) -> Result<Changes, String> {
        let plan = match wanted {
            Wanted::Preview | Wanted::Reload => tokio::task::block_in_place(|| self.read())?,
            Wanted::Rollback => {
                let none = "there is nothing to go back to: the plan was not changed since the \
                            gateway started";
                self.before.clone().ok_or(none)?
            }
        };
        if wanted == Wanted::Preview {
            return Ok(gateway.changes_to(&plan));
        }
        let before = gateway.plan().clone();
        let changes = gateway.reload(plan, principal).await.map_err(|error| error.to_string())?;
        if !changes.is_empty() {
            self.before = Some(before);
        }
        Ok(changes)
    }

    /// The plant file as it is now, or everything that is wrong with it.
    fn read(&self) -> Result<Plan, String> {
        let plant = PlantText::read(&self.file).map_err(|error| error.to_string())?;
        let (plan, report) = plant.plan(Purpose::Run);
        let plan = plan.ok_or_else(|| report.render(false))?;
        if plan.recording != self.recording {
            return Err(
                "[record]: only a restart changes what is kept and where; restart, or put it \
                        back"
                    .into(),
            );
        }
        Ok(plan)
    }
}
