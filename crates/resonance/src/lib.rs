//! What the `resonance` command is made of. The command is all that is offered: nobody else should
//! depend on this crate, whose public functions serve the program and its fuzz targets.

mod backup;
mod cli;
mod config;
mod connect;
mod demo;
mod doctor;
mod render;
mod summary;

use std::path::Path;
use std::process::ExitCode;

use resonance_inference::engines::onnxruntime::{TELEMETRY_VARIABLE, disable_telemetry};

/// Runs the command line. To be called before any thread is started.
pub fn main() -> ExitCode {
    if !disable_telemetry() {
        eprintln!("ONNX Runtime may gather usage data; set {TELEMETRY_VARIABLE}=1 to forbid it");
    }
    cli::main()
}

/// Reads a list of tags, `.csv` or `.xlsx`. Returns the number of its tags.
///
/// # Errors
/// Why it is refused, as text.
pub fn check_tags(file: &Path) -> Result<usize, String> {
    let list = connect::TagList::read(file).map_err(|error| error.to_string())?;
    Ok(list.len())
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
