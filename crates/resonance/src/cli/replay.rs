//! `resonance replay`.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use resonance_gateway::models::ServedModel;
use resonance_gateway::recording::{
    Difference, RecordingError, Replayed, WindowsHeader, files_of_windows, replay,
};
use resonance_inference::Limits;
use serde::Serialize;

use super::model::{EngineChoice, open};
use super::{CliError, Exit, Format, output};

/// Run recorded windows again, and compare every answer bit for bit.
///
/// The packages are the recording's own copies, so that it does not matter what became of those
/// that served. With `--model`, another package runs them: what would it have answered?
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ReplayArgs {
    /// Folders that `resonance record` wrote, or files of windows in them.
    #[arg(value_name = "DIR|FILE.parquet", required = true)]
    paths: Vec<PathBuf>,
    /// The package that runs the windows, instead of the one that served them.
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    #[command(flatten)]
    engine: EngineChoice,
    /// Differences shown; all are counted.
    #[arg(long, value_name = "N", default_value_t = 10)]
    show: usize,
    /// For people or for programs.
    #[arg(long, default_value = "text")]
    format: Format,
}

const EXAMPLES: &str = "\
Examples:
  resonance replay shift-07
  resonance replay shift-07 --model models/tool-wear-2 --show 100
  resonance replay shift-07/windows-000001-tool-wear.parquet --format json | jq .identical

Exit codes: 0 every answer is the same, 1 at least one is not, 2 a file or a package was refused";

/// What came of it.
#[derive(Serialize)]
struct Report {
    /// Whether every answer is the same.
    identical: bool,
    windows: usize,
    different: usize,
    files: Vec<FileReport>,
}

#[derive(Serialize)]
struct FileReport {
    file: String,
    replayed: Replayed,
    /// The first ones.
    differences: Vec<Difference>,
}

pub(crate) fn run(args: &ReplayArgs) -> Result<ExitCode, CliError> {
    let mut files = Vec::new();
    for path in &args.paths {
        if path.is_dir() {
            let found = files_of_windows(path)?;
            if found.is_empty() {
                let shown = path.display();
                let problem = "no finished windows; name a folder that `resonance record` wrote";
                return Err(CliError::Refused(format!("{shown} holds {problem}")));
            }
            files.extend(found);
        } else {
            files.push(path.clone());
        }
    }
    let mut packages = Packages { args, known: HashMap::new() };
    let mut report = Report { identical: true, windows: 0, different: 0, files: Vec::new() };
    let mut left = args.show;
    for file in &files {
        let one = one(file, &mut packages, &mut left)?;
        report.windows += one.replayed.windows;
        report.different += one.replayed.different;
        if args.format == Format::Text {
            output::print(&told(&one))?;
        }
        report.files.push(one);
    }
    report.identical = report.different == 0;
    match args.format {
        Format::Json => output::print_json(&report)?,
        Format::Text => output::print(&match report.different {
            0 => format!("{} windows, every answer the same\n", report.windows),
            count => format!("{count} of {} windows are answered otherwise\n", report.windows),
        })?,
    }
    Ok(if report.identical { Exit::Done } else { Exit::Failed }.into())
}

fn one(file: &Path, packages: &mut Packages<'_>, left: &mut usize) -> Result<FileReport, CliError> {
    let header = WindowsHeader::read(file)?;
    let served = packages.of(file, &header)?;
    let mut differences = Vec::new();
    let mut differs = |difference| {
        if *left > 0 {
            *left -= 1;
            differences.push(difference);
        }
    };
    let watched = std::io::stderr().is_terminal();
    let mut progress = |rows: usize| {
        if watched {
            eprint!("\r\x1b[K{}: {rows} windows", file.display());
        }
    };
    let replayed = replay(file, &served, &mut differs, &mut progress);
    if watched {
        eprint!("\r\x1b[K");
    }
    Ok(FileReport { file: file.display().to_string(), replayed: replayed?, differences })
}

fn told(report: &FileReport) -> String {
    let Replayed { header, digest, engine, windows, batches, different } = &report.replayed;
    let mut text = format!(
        "{}: {windows} windows of {} {} in {batches} batches, {}\n",
        report.file,
        header.model,
        header.version,
        match different {
            0 => "every answer the same".to_owned(),
            count => format!("{count} answered otherwise"),
        }
    );
    if header.digest != **digest {
        text += &format!("  served by {}\n  run by    {digest}\n", header.digest);
    }
    if header.engine != **engine {
        text += &format!("  served on {}, run on {engine}\n", header.engine);
    }
    for difference in &report.differences {
        let Difference { row, deployment, output, element, recorded, replayed, .. } = difference;
        text += &format!(
            "  row {row} of {deployment}: {output}[{element}] was {recorded}, is {replayed}\n"
        );
    }
    text
}

/// The packages that run windows, each loaded once.
struct Packages<'a> {
    args: &'a ReplayArgs,
    known: HashMap<PathBuf, Arc<ServedModel>>,
}

impl Packages<'_> {
    fn of(&mut self, file: &Path, header: &WindowsHeader) -> Result<Arc<ServedModel>, CliError> {
        let recording = file.parent().unwrap_or(Path::new(""));
        let own = self.args.model.is_none();
        let folder = self.args.model.clone().unwrap_or_else(|| header.package_in(recording));
        if let Some(known) = self.known.get(&folder) {
            return Ok(Arc::clone(known));
        }
        if !folder.exists() {
            return Err(CliError::Refused(format!(
                "{}: no such package; name the one of {} {} with --model",
                folder.display(),
                header.model,
                header.version
            )));
        }
        let model = open(&folder)?;
        if own {
            let pinned = model.files.expect_digest(&header.digest);
            pinned.map_err(|error| CliError::Refused(error.to_string()))?;
        }
        let engine = self.args.engine.find()?;
        let served = ServedModel::load(Arc::new(model), engine.as_ref(), &Limits::default());
        let refused = |error| CliError::Refused(format!("{}: {error}", folder.display()));
        let served = Arc::new(served.map_err(refused)?);
        self.known.insert(folder, Arc::clone(&served));
        Ok(served)
    }
}

impl From<RecordingError> for CliError {
    fn from(error: RecordingError) -> Self {
        match error {
            RecordingError::Write { .. } => Self::Failed(error.to_string()),
            _ => Self::Refused(error.to_string()),
        }
    }
}
