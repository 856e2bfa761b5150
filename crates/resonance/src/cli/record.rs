//! `resonance record`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use resonance_gateway::recording::RecordingPlan;

use super::duration::parse_duration;
use super::{CliError, run};

/// Run the plant of a plant file, and keep what it serves.
///
/// As `resonance run`, and besides every window that a model sees is written with what the model
/// answers, and every observation as the machines sent it: Parquet files, which pandas, DuckDB and
/// `resonance replay` read. A file is whole once it bears its name; what is under way ends in
/// `.part`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RecordArgs {
    #[command(flatten)]
    run: run::RunArgs,
    /// The folder of the recording; made if absent, gone on with if not.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The most that the recording may hold, MiB; its oldest files give way.
    #[arg(long, value_name = "MIB", default_value_t = 10_240)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1 << 30))]
    max_mib: u64,
    /// A file is finished after this time: what a crash can take.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    file_time: Duration,
    /// A file is finished at about this size, MiB.
    #[arg(long, value_name = "MIB", default_value_t = 128)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=4096))]
    file_mib: u64,
    /// Leaves the observations out.
    #[arg(long)]
    windows_only: bool,
}

const EXAMPLES: &str = "\
Examples:
  resonance record plant.toml --out shift-07            until Ctrl-C or SIGTERM
  resonance record plant.toml --out shift-07 --duration 8h --max-mib 2048
  resonance replay shift-07                             the same windows give the same answers
  duckdb -c \"select * from 'shift-07/windows-*.parquet' limit 5\"

Exit codes: 0 it ran and ended as asked, 1 it could not start, 2 the plant file was refused,
3 it failed while it ran";

pub(crate) fn run(args: RecordArgs) -> Result<ExitCode, CliError> {
    let plan = RecordingPlan {
        bytes_max: args.max_mib << 20,
        file_bytes_max: args.file_mib << 20,
        file_age_max: args.file_time,
        observations: !args.windows_only,
        ..RecordingPlan::into_folder(args.out)
    };
    run::serve(&args.run, Some(plan))
}
