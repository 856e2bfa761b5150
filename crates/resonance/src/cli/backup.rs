//! `resonance backup`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::{CliError, Exit, Format, output};
use crate::backup::{GatherError, Listing, gather, write};
use crate::config::PlantText;

/// Put what makes a plant what it is into one archive, while its gateway runs or not.
///
/// The archive has the plant file, the model packages, the certificates that are trusted, and the
/// result spool with the place of every sink and the sequence number of every deployment. Secrets
/// and private keys are left out and named; so are recordings and the file of events.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct BackupArgs {
    /// The plant file.
    #[arg(value_name = "PLANT.toml")]
    plant: PathBuf,
    /// The archive; it must not be there yet.
    #[arg(value_name = "OUT.tar.gz")]
    out: PathBuf,
    /// How what was done is printed.
    #[arg(long, default_value = "text")]
    format: Format,
}

const EXAMPLES: &str = "\
Examples:
  resonance backup plant.toml plant-2026-11-21.tar.gz
  resonance restore plant-2026-11-21.tar.gz /srv/plant

Results that a sink acknowledges after the backup come to it again after a restore, under the same
ids.

Exit codes: 0 done, 1 it could not be read or written, 2 the plant file was refused";

pub(crate) fn run(args: &BackupArgs) -> Result<ExitCode, CliError> {
    let plant =
        PlantText::read(&args.plant).map_err(|error| CliError::Refused(error.to_string()))?;
    let scratch = args.out.parent().filter(|folder| !folder.as_os_str().is_empty());
    let gathered =
        gather(&plant, scratch.unwrap_or(Path::new("."))).map_err(|error| match error {
            GatherError::Plant(_) | GatherError::SecretInside(_) => {
                CliError::Refused(error.to_string())
            }
            _ => CliError::Failed(error.to_string()),
        })?;
    let written =
        write(gathered, &args.out).map_err(|error| CliError::Failed(error.to_string()))?;
    let Listing { files, packages, left_out, moved, afterwards, .. } = &written.listing;
    match args.format {
        Format::Json => output::print_json(&json!({
            "archive": args.out,
            "bytes": written.bytes,
            "sha256": written.sha256,
            "listing": written.listing,
        }))?,
        Format::Text => {
            let mut text = format!(
                "{}: {} files, {} packages, {} bytes\nsha256 {}\n",
                args.out.display(),
                files.len(),
                packages.len(),
                written.bytes,
                written.sha256
            );
            for left_out in left_out {
                text += &format!("left out: {}: {}\n", left_out.what, left_out.why);
            }
            for moved in moved {
                text += &format!("{}: {} is {} in the backup\n", moved.key, moved.from, moved.to);
            }
            text.extend(afterwards.iter().map(|todo| format!("after a restore: {todo}\n")));
            output::print(&text)?;
        }
    }
    Ok(Exit::Done.into())
}
