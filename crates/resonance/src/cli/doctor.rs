//! `resonance doctor`.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{CliError, Exit, Format, output};
use crate::config::PlantText;
use crate::doctor::{Bundle, Findings, State, examine};

/// Say whether this computer, and what a plant file names, are fit to run.
///
/// Looks at the clock, ONNX Runtime and limits; with a plant file also at disks, ports,
/// certificates, models, and whether each source and sink answers. Each line that is not ok says
/// what to do. No look takes more than 10 seconds. Changes nothing, but for the gateway's own OPC
/// UA certificate, which is made where there is none yet.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DoctorArgs {
    /// The plant file.
    #[arg(value_name = "PLANT.toml")]
    file: Option<PathBuf>,
    /// For people or for programs.
    #[arg(long, default_value = "text")]
    format: Format,
    /// Also writes what others need to help into this file: findings, versions, the plant file
    /// without comments and secrets, the last events and, of a running gateway, its status.
    #[arg(long, value_name = "FILE.tar.gz")]
    bundle: Option<PathBuf>,
    /// Who asks a running gateway for its status, where it wants a user; the password is read from
    /// RESONANCE_PASSWORD.
    #[arg(long, env = "RESONANCE_USER", value_name = "NAME")]
    user: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  resonance doctor
  resonance doctor plant.toml
  resonance doctor plant.toml --format json | jq '.checks[] | select(.state != \"ok\")'
  resonance doctor plant.toml --bundle support.tar.gz

Exit codes: 0 nothing fails, 1 something does, 2 the plant file cannot be read";

pub(crate) fn run(args: DoctorArgs) -> Result<ExitCode, CliError> {
    let plant = args.file.as_deref().map(PlantText::read).transpose()?;
    let user = match args.user.filter(|_| args.bundle.is_some()) {
        None => None,
        Some(name) => {
            let password = std::env::var("RESONANCE_PASSWORD").map_err(|_| {
                CliError::Refused("--user needs the password in RESONANCE_PASSWORD".to_owned())
            })?;
            Some((name, password))
        }
    };
    let runtime = super::run::runtime()?;
    let (findings, bundle) = runtime.block_on(async {
        let findings = examine(plant.as_ref()).await;
        let bundle = match &args.bundle {
            Some(_) => Some(Bundle::gather(plant.as_ref(), &findings, user).await),
            None => None,
        };
        (findings, bundle)
    });
    // A look that hangs in the system is left behind.
    runtime.shutdown_background();
    match args.format {
        Format::Json => output::print_json(&findings)?,
        Format::Text => output::print(&lines(&findings, output::colored(&std::io::stdout())))?,
    }
    if let (Some(path), Some(bundle)) = (&args.bundle, bundle) {
        bundle.write(path).map_err(|error| {
            CliError::Failed(format!("cannot write the bundle {}: {error}", path.display()))
        })?;
        let names: Vec<&str> = bundle.names().collect();
        output::say(&format!("{} holds {}", path.display(), names.join(", ")));
    }
    Ok(if findings.verdict == State::Fail { Exit::Failed } else { Exit::Done }.into())
}

fn lines(findings: &Findings, color: bool) -> String {
    let width = findings.checks.iter().map(|check| check.check.len()).max().unwrap_or(0);
    let mut out = String::new();
    for check in &findings.checks {
        let paint = match check.state {
            State::Ok => "32",
            State::Warn => "33",
            State::Fail => "31",
        };
        let word = match color {
            true => format!("\x1b[{paint}m{}\x1b[0m", check.state.word()),
            false => check.state.word().to_owned(),
        };
        let subject = match check.subject.as_str() {
            "" => String::new(),
            subject => format!("{}: ", clean(subject)),
        };
        // Writing to a text cannot fail.
        let _ = writeln!(out, "{word}  {:width$}  {subject}{}", check.check, clean(&check.said));
        if !check.remedy.is_empty() {
            let _ = writeln!(out, "      {:width$}  = {}", "", clean(&check.remedy));
        }
    }
    let count = |state| findings.checks.iter().filter(|check| check.state == state).count();
    let _ = writeln!(
        out,
        "{} ok, {} warn, {} fail in {:.1} s",
        count(State::Ok),
        count(State::Warn),
        count(State::Fail),
        findings.took_s
    );
    out
}

/// What others said may move no cursor.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
