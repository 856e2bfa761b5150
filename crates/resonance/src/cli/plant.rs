//! `resonance plant`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{CliError, Exit, Format, output};
use crate::config::{self, PlantText, Purpose, ReadError};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Say everything that is wrong with a plant file.
    ///
    /// Every mistake is told at once, with file, line and column, the nearest valid name and what
    /// to do. Model packages are opened too, and their inputs bound to points.
    #[command(after_help = CHECK_EXAMPLES)]
    Check(CheckArgs),
    /// Print a commented plant file to begin with.
    #[command(after_help = "Example:\n  resonance plant example > plant.toml")]
    Example,
    /// Print the JSON Schema of plant files, for editors.
    ///
    /// Editors with TOML support (taplo, Even Better TOML) complete and check a plant file whose
    /// first line is `#:schema plant.schema.json`.
    #[command(after_help = "Example:\n  resonance plant schema > plant.schema.json")]
    Schema,
}

const CHECK_EXAMPLES: &str = "\
Examples:
  resonance plant check plant.toml
  resonance plant check plant.toml --format json | jq '.diagnostics[].message'
  resonance plant check plant.toml --strict     warnings fail, too

Exit codes: 0 the plant may run, 1 it may not, 2 the file cannot be read";

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The plant file.
    #[arg(value_name = "PLANT.toml")]
    file: PathBuf,
    /// For people or for programs.
    #[arg(long, default_value = "text")]
    format: Format,
    /// Warnings fail the check, too.
    #[arg(long)]
    strict: bool,
}

pub(crate) fn run(command: Command) -> Result<ExitCode, CliError> {
    match command {
        Command::Check(args) => return check(&args),
        Command::Example => output::print(config::EXAMPLE)?,
        Command::Schema => output::print_json(&config::schema::plant_file())?,
    }
    Ok(Exit::Done.into())
}

fn check(args: &CheckArgs) -> Result<ExitCode, CliError> {
    let plant = PlantText::read(&args.file)?;
    let (_, report) = plant.plan(Purpose::Check);
    let fails = !report.is_valid() || (args.strict && report.warnings() > 0);
    match args.format {
        Format::Json => output::print_json(&report.to_json())?,
        Format::Text => {
            eprint!("{}", report.render(output::colored(&std::io::stderr())));
            if !fails {
                output::print(&format!("{} is valid\n", args.file.display()))?;
            }
        }
    }
    Ok(if fails { Exit::Failed } else { Exit::Done }.into())
}

impl From<ReadError> for CliError {
    fn from(error: ReadError) -> Self {
        Self::Refused(error.to_string())
    }
}
