//! `resonance plant`.

use std::process::ExitCode;

use clap::Subcommand;

use super::{CliError, Exit, output};
use crate::config;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print the JSON Schema of plant files, for editors.
    ///
    /// Editors with TOML support (taplo, Even Better TOML) complete and check a plant file whose
    /// first line is `#:schema plant.schema.json`.
    #[command(after_help = "Example:\n  resonance plant schema > plant.schema.json")]
    Schema,
}

pub(crate) fn run(command: Command) -> Result<ExitCode, CliError> {
    match command {
        Command::Schema => output::print_json(&config::schema::plant_file())?,
    }
    Ok(Exit::Done.into())
}
