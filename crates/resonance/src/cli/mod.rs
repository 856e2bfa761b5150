//! The command line: one command a file, one line a command in [`Command`] and [`dispatch`].
//!
//! A command is `Args` (clap, with examples in its help) and
//! `pub(crate) fn run(args: Args) -> Result<ExitCode, CliError>`; one that needs tokio builds its
//! own runtime. What a command finds goes to standard output, what it says about itself to
//! standard error.

mod backup;
mod certificate;
mod completions;
mod connect;
mod dead_letters;
mod demo;
mod doctor;
mod duration;
mod error;
pub(crate) mod http;
mod man;
mod model;
mod notify;
mod output;
mod plant;
mod record;
mod reload;
mod replay;
mod restore;
mod run;
mod signal;
mod simulate;
mod status;
mod user;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub(crate) use error::{CliError, Exit};
pub(crate) use output::{ColorChoice, Format, colored};

/// Connects factory equipment, AI models and MES/SCADA systems, and proves that they work
/// together.
#[derive(Debug, Parser)]
#[command(name = "resonance", version, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    /// What is written about the run itself: a level (error, warn, info, debug, trace) or a
    /// filter such as `warn,resonance_gateway=debug`. Default: warnings of the product itself.
    #[arg(
        long,
        global = true,
        env = "RESONANCE_LOG",
        default_value = DEFAULT_LOG,
        hide_default_value = true,
        value_name = "FILTER",
        help_heading = "Messages"
    )]
    log: String,
    /// The form of these messages: `text`, or `json` for one object a line, whatever is said on
    /// standard error included.
    #[arg(
        long,
        global = true,
        env = "RESONANCE_LOG_FORMAT",
        default_value = "text",
        value_name = "FORMAT",
        hide_possible_values = true,
        hide_default_value = true,
        help_heading = "Messages"
    )]
    log_format: Format,
    /// Whether output is coloured: `always`, `never`, or `auto`, the default, on terminals unless
    /// NO_COLOR is set.
    #[arg(
        long,
        global = true,
        default_value = "auto",
        value_name = "WHEN",
        hide_possible_values = true,
        hide_default_value = true,
        help_heading = "Messages"
    )]
    color: ColorChoice,
    #[command(subcommand)]
    command: Command,
}

/// What the OPC UA stack logs is told by the gateway's events, in words for its user. What a
/// command says about itself is logged only where standard error is for programs.
const DEFAULT_LOG: &str = "warn,resonance::said=info,\
    opcua_client=off,opcua_core=off,opcua_crypto=off,opcua_server=off,opcua_types=off";

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  the check or the job failed
  2  the command line, the plant file or a model package was refused
  3  an internal error";

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the whole chain at work: a simulated machine, a model, a MES.
    Demo(demo::DemoArgs),
    /// Run the plant of a plant file.
    Run(run::RunArgs),
    Record(record::RecordArgs),
    Replay(replay::ReplayArgs),
    Connect(connect::ConnectArgs),
    /// Check a plant file, print an example of one, or print its JSON Schema.
    #[command(subcommand)]
    Plant(plant::Command),
    /// Run a simulated machine: a CNC, a recording, or load to measure with.
    #[command(subcommand)]
    Simulate(simulate::Command),
    /// Inspect, pack, run and measure model packages.
    #[command(subcommand)]
    Model(model::Command),
    Status(status::StatusArgs),
    Reload(reload::ReloadArgs),
    #[command(subcommand)]
    Certificate(certificate::Command),
    #[command(subcommand)]
    DeadLetters(dead_letters::Command),
    /// Make what a plant file says about users.
    #[command(subcommand)]
    User(user::Command),
    Doctor(doctor::DoctorArgs),
    Backup(backup::BackupArgs),
    Restore(restore::RestoreArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

fn dispatch(command: Command) -> Result<ExitCode, CliError> {
    match command {
        Command::Demo(args) => demo::run(args),
        Command::Run(args) => run::run(args),
        Command::Record(args) => record::run(args),
        Command::Replay(args) => replay::run(&args),
        Command::Connect(args) => connect::run(args),
        Command::Plant(command) => plant::run(command),
        Command::Simulate(command) => simulate::run(command),
        Command::Model(command) => model::run(command),
        Command::Status(args) => status::run(args),
        Command::Reload(args) => reload::run(args),
        Command::Certificate(command) => certificate::run(command),
        Command::DeadLetters(command) => dead_letters::run(command),
        Command::User(command) => user::run(command),
        Command::Doctor(args) => doctor::run(args),
        Command::Backup(args) => backup::run(&args),
        Command::Restore(args) => restore::run(&args),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args),
    }
}

/// Runs the command line of this process.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    output::set_color(cli.color);
    if let Err(error) = output::log_to_stderr(&cli.log, cli.log_format) {
        return error.report();
    }
    dispatch(cli.command).unwrap_or_else(|error| error.report())
}

#[cfg(test)]
mod tests;
