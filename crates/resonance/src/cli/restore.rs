//! `resonance restore`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::{CliError, Exit, Format, output};
use crate::backup::{RestoreError, Terms, restore};
use crate::config::{PlantText, Purpose};

/// Make a plant's folder of a backup, each file checked by its digest.
///
/// The folder must be empty or not there yet; it has all of the backup afterwards, or nothing.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RestoreArgs {
    /// The archive, as `resonance backup` wrote it.
    #[arg(value_name = "BACKUP.tar.gz")]
    archive: PathBuf,
    /// The folder.
    #[arg(value_name = "DIR")]
    into: PathBuf,
    /// The SHA-256 that `resonance backup` printed: another archive is refused.
    #[arg(long, value_name = "HEX")]
    sha256: Option<String>,
    /// The most that the files may take, MiB.
    #[arg(long, value_name = "MIB", default_value_t = 16_384)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1 << 30))]
    max_mib: u64,
    /// How what was done is printed.
    #[arg(long, default_value = "text")]
    format: Format,
}

const EXAMPLES: &str = "\
Examples:
  resonance restore plant-2026-11-21.tar.gz /srv/plant
  resonance restore plant.tar.gz plant --sha256 9f86d081884c7d65...
  resonance run /srv/plant/plant.toml

Exit codes: 0 done, 1 the archive or the folder was refused, nothing was restored";

pub(crate) fn run(args: &RestoreArgs) -> Result<ExitCode, CliError> {
    let terms = Terms { bytes_max: args.max_mib << 20, sha256: args.sha256.clone() };
    let listing = restore(&args.archive, &args.into, &terms, |_| {}).map_err(|error| {
        let about = match error {
            RestoreError::NotEmpty(_) | RestoreError::System { .. } => error.to_string(),
            _ => format!("{}: {error}", args.archive.display()),
        };
        CliError::Failed(about)
    })?;
    let path = args.into.join(&listing.plant);
    let plant = PlantText::read(&path).map_err(|error| CliError::Failed(error.to_string()))?;
    let (_, report) = plant.plan(Purpose::Run);
    match args.format {
        Format::Json => output::print_json(&json!({
            "plant": path,
            "listing": listing,
            "check": report.to_json(),
        }))?,
        Format::Text => {
            let (files, packages) = (listing.files.len(), listing.packages.len());
            let mut text = format!(
                "{}: {files} files, {packages} packages, as of {}\n",
                args.into.display(),
                listing.made_at
            );
            for left_out in &listing.left_out {
                text += &format!("not in the backup: {}: {}\n", left_out.what, left_out.why);
            }
            text.extend(listing.afterwards.iter().map(|todo| format!("to do: {todo}\n")));
            // An archive is from elsewhere: its texts give a terminal no orders.
            output::print(&text.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}"))?;
            output::say(&report.render(output::colored(&std::io::stderr())));
        }
    }
    Ok(Exit::Done.into())
}
