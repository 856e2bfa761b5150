//! What the `resonance` command is made of. The command is all that is offered: nobody else should
//! depend on this crate, whose two public functions serve the program and its fuzz target.

mod cli;
mod config;
mod demo;
mod render;
mod summary;

use std::path::Path;
use std::process::ExitCode;

/// Runs the command line.
pub fn main() -> ExitCode {
    cli::main()
}

/// What `resonance plant check` says of a plant file's text whose paths are relative to `folder`:
/// whether the plant may run, and every mistake as text.
pub fn check_plant(folder: &Path, text: &str) -> (bool, String) {
    let plant = config::PlantText::from_memory(&folder.join("plant.toml"), text);
    let (_, report) = plant.plan(config::Purpose::Check);
    // Programs read the JSON, people the text: both must hold for any file.
    let _ = report.to_json();
    (report.is_valid(), report.render(false))
}
