//! `resonance model bench`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use resonance_inference::Limits;
use resonance_inference::bench::{self, BenchError, BenchPlan, BenchReport};

use super::inspect::columns;
use crate::cli::{CliError, Exit, Format, output};

pub(super) const EXAMPLES: &str = "\
Examples:
  resonance model bench models/wear
  resonance model bench models/wear --seconds 30 --batch 16 --format json

The rows of the golden vectors are run again and again, on one thread. Times are those of whole
calls; a tenth of the time warms up and is not counted.

Exit codes: 0 within the package's latency budget at p99 (or it has none), 1 beyond it, or the
engine failed, 2 the package was refused";

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// The package's folder.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// How long to measure, seconds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// Rows of one inference.
    #[arg(long, default_value_t = 1, value_name = "ROWS")]
    batch: usize,
    #[command(flatten)]
    engine: super::EngineChoice,
    /// For people or for programs.
    #[arg(long, default_value = "text")]
    format: Format,
}

pub(super) fn bench(args: &BenchArgs) -> Result<ExitCode, CliError> {
    let model = super::open(&args.folder)?;
    let engine = args.engine.find()?;
    let plan = BenchPlan { duration: Duration::from_secs(args.seconds), batch: args.batch };
    let report = bench::bench(&*engine, &model, &Limits::default(), plan)?;
    match args.format {
        Format::Json => output::print_json(&report)?,
        Format::Text => output::print(&written(&report))?,
    }
    let within = report.budget_us.is_none_or(|budget| report.warm_us.p99 <= f64::from(budget));
    Ok(if within { Exit::Done } else { Exit::Failed }.into())
}

fn written(report: &BenchReport) -> String {
    let machine = &report.machine;
    let micros = |name: &str, micros: f64| vec![name.to_owned(), format!("{micros:.1} us")];
    let warm = report.warm_us;
    let budget = report.budget_us.map_or_else(
        || "none".to_owned(),
        |budget| {
            let share = report.misses as f64 / report.inferences.max(1) as f64 * 100.0;
            format!("{budget} us, missed by {} ({share:.3} %)", report.misses)
        },
    );
    columns(&[
        vec!["engine".into(), report.engine.clone()],
        vec![
            "machine".into(),
            format!(
                "{}, {}, {} threads, {} MiB, {}",
                machine.processor,
                machine.architecture,
                machine.threads,
                machine.memory_mib,
                machine.system
            ),
        ],
        vec!["rows at once".into(), report.batch.to_string()],
        micros("cold: load", report.load_us),
        micros("cold: first", report.first_us),
        micros("warm: p50", warm.p50),
        micros("warm: p90", warm.p90),
        micros("warm: p99", warm.p99),
        micros("warm: p99.9", warm.p999),
        micros("warm: max", warm.max),
        micros("warm: mean", warm.mean),
        vec!["budget".into(), budget],
        vec![
            "rate".into(),
            format!(
                "{:.0} rows/s ({} inferences in {:.2} s)",
                report.rows_per_second, report.inferences, report.seconds
            ),
        ],
    ])
}

impl From<BenchError> for CliError {
    fn from(error: BenchError) -> Self {
        match error {
            BenchError::Engine(error) => error.into(),
            BenchError::Golden(error) => error.into(),
            BenchError::Batch { .. } | BenchError::NoRows => Self::Refused(error.to_string()),
        }
    }
}
