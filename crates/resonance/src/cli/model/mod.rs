//! `resonance model`.

mod bench;
mod compare;
mod confined;
mod inspect;
mod run;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use resonance_inference::package::{self, PackageError, VerifiedModel};
use resonance_inference::{Engine, EngineError, EngineKind};
use resonance_proof::PackageLimits;

use super::{CliError, Exit, output};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Say what is in a model package or an ONNX file.
    #[command(after_help = inspect::EXAMPLES)]
    Inspect(inspect::InspectArgs),
    /// Compute the digests of a package's files and write them into its model.toml.
    #[command(after_help = PACK_EXAMPLES)]
    Pack(PackArgs),
    /// Run a model: on its golden vectors, or on an input of your own.
    #[command(after_help = run::EXAMPLES)]
    Run(run::RunArgs),
    /// Measure how fast a model answers on this machine.
    #[command(after_help = bench::EXAMPLES)]
    Bench(bench::BenchArgs),
    /// Run a model on every engine and say how far their answers lie apart.
    #[command(after_help = compare::EXAMPLES)]
    Compare(compare::CompareArgs),
    /// Do what `compare` asks for, in a process of its own.
    #[command(name = confined::COMMAND, hide = true)]
    AnswerConfined(confined::AnswerArgs),
}

const PACK_EXAMPLES: &str = "\
Examples:
  resonance model pack models/wear
  resonance model pack models/wear --add card.md --add LICENSE

Pinned are the model, golden.json, whatever [files] already lists, and what --add names. The rest
of model.toml keeps its text and comments. The package's digest is what
`LC_ALL=C sha256sum FILES... | sha256sum` prints, with model.toml among FILES, names in order.

Exit codes: 0 packed, 2 the package was refused";

#[derive(Debug, Args)]
pub(crate) struct PackArgs {
    /// The package's folder.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// A further file of the folder to pin; may be given several times.
    #[arg(long = "add", value_name = "FILE")]
    extra: Vec<String>,
}

pub(crate) fn run(command: Command) -> Result<ExitCode, CliError> {
    match command {
        Command::Inspect(args) => inspect::inspect(&args),
        Command::Pack(args) => pack(&args),
        Command::Run(args) => run::run(&args),
        Command::Bench(args) => bench::bench(&args),
        Command::Compare(args) => compare::compare(&args),
        Command::AnswerConfined(args) => confined::answer(&args),
    }
}

fn pack(args: &PackArgs) -> Result<ExitCode, CliError> {
    let packed = package::pack(&args.folder, &args.extra, &PackageLimits::default())?;
    for name in &packed.changed {
        output::print(&format!("pinned {name}\n"))?;
    }
    let manifest = &packed.model.manifest;
    output::print(&format!(
        "{} {} is {}\n",
        manifest.name,
        manifest.version,
        packed.model.files.digest()
    ))?;
    Ok(Exit::Done.into())
}

pub(super) fn open(folder: &Path) -> Result<VerifiedModel, CliError> {
    Ok(package::load(folder, &PackageLimits::default())?)
}

/// The engine that `--engine` names.
#[derive(Debug, Args)]
pub(super) struct EngineChoice {
    /// Which engine runs the model: onnxruntime or tract.
    #[arg(long, default_value = "onnxruntime", value_name = "NAME", value_parser = engine_kind)]
    engine: EngineKind,
}

impl EngineChoice {
    pub(super) fn find(&self) -> Result<Arc<dyn Engine>, CliError> {
        Ok(self.engine.find()?)
    }
}

fn engine_kind(name: &str) -> Result<EngineKind, String> {
    EngineKind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
        let names: Vec<&str> = EngineKind::ALL.iter().map(|kind| kind.name()).collect();
        format!("there are: {}", names.join(", "))
    })
}

impl From<PackageError> for CliError {
    fn from(error: PackageError) -> Self {
        match error {
            PackageError::Write { .. } => Self::Failed(error.to_string()),
            _ => Self::Refused(error.to_string()),
        }
    }
}

impl From<EngineError> for CliError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Unavailable { .. } | EngineError::Failed(_) => {
                Self::Failed(error.to_string())
            }
            _ => Self::Refused(error.to_string()),
        }
    }
}
