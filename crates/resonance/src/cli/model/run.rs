//! `resonance model run`.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use resonance_inference::json::JsonTensor;
use resonance_inference::outputs::{OutputPlan, Soundness};
use resonance_inference::package::VerifiedModel;
use resonance_inference::package::golden::{GOLDEN_BYTES_MAX, parse_request};
use resonance_inference::{GoldenMismatch, Limits, Program, verify_golden};
use resonance_plant::TensorBuf;
use serde::Serialize;

use super::inspect::columns;
use crate::cli::{CliError, Exit, Format, output};

pub(super) const EXAMPLES: &str = "\
Examples:
  resonance model run models/wear                      reproduce the golden vectors
  resonance model run models/wear --input request.json
  echo '{\"inputs\": [...]}' | resonance model run models/wear --input - --format json

An input is an inference request of the Open Inference Protocol v2; with --format json, so is the
answer a response.

Exit codes: 0 done, 1 a golden vector was not reproduced or the engine failed, 2 the package or
the input was refused";

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The package's folder.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The input to run on; `-` is standard input. Without it, the golden vectors are run.
    #[arg(long, value_name = "FILE.json")]
    input: Option<PathBuf>,
    #[command(flatten)]
    engine: super::EngineChoice,
    /// For people or for programs.
    #[arg(long, default_value = "text")]
    format: Format,
}

pub(super) fn run(args: &RunArgs) -> Result<ExitCode, CliError> {
    let model = super::open(&args.folder)?;
    let engine = args.engine.find()?;
    let program = engine.load(&model, &Limits::default())?;
    match &args.input {
        None => golden(&model, engine.identity(), &*program, args.format),
        Some(input) => {
            // A model that does not reproduce its golden vectors answers nothing else either.
            verify_golden(&*program, &model)?;
            answer(&model, &*program, input, args.format)
        }
    }
}

/// What running the golden vectors showed, as JSON.
#[derive(Serialize)]
struct GoldenRun<'a> {
    model: &'a str,
    version: &'a str,
    digest: &'a str,
    engine: &'a str,
    reproduced: bool,
    vectors: usize,
    elements: usize,
    worst_deviation: f64,
    worst_share_of_tolerance: f64,
    reason: Option<String>,
}

fn golden(
    model: &VerifiedModel,
    engine: &str,
    program: &dyn Program,
    format: Format,
) -> Result<ExitCode, CliError> {
    let outcome = verify_golden(program, model);
    let report = outcome.as_ref().copied().unwrap_or_default();
    let manifest = &model.manifest;
    match format {
        Format::Json => output::print_json(&GoldenRun {
            model: &manifest.name,
            version: &manifest.version,
            digest: model.files.digest(),
            engine,
            reproduced: outcome.is_ok(),
            vectors: report.vectors,
            elements: report.elements,
            worst_deviation: report.worst_deviation,
            worst_share_of_tolerance: report.worst_share,
            reason: outcome.as_ref().err().map(ToString::to_string),
        })?,
        Format::Text if outcome.is_ok() => output::print(&format!(
            "{} {} on {engine}: {} golden vectors reproduced, {} elements, worst deviation \
             {:.3e} ({:.1} % of the tolerance)\n",
            manifest.name,
            manifest.version,
            report.vectors,
            report.elements,
            report.worst_deviation,
            report.worst_share * 100.0
        ))?,
        Format::Text => {}
    }
    outcome?;
    Ok(Exit::Done.into())
}

/// An inference response of the Open Inference Protocol v2.
#[derive(Serialize)]
struct Response<'a> {
    model_name: &'a str,
    model_version: &'a str,
    outputs: Vec<JsonTensor>,
}

fn answer(
    model: &VerifiedModel,
    program: &dyn Program,
    input: &Path,
    format: Format,
) -> Result<ExitCode, CliError> {
    let bytes = read(input)?;
    let inputs = parse_request(&bytes, &model.manifest)
        .map_err(|error| CliError::Refused(format!("{}: {error}", input.display())))?;
    let mut outputs = TensorBuf::default();
    program.session()?.infer(&inputs, &mut outputs)?;
    let manifest = &model.manifest;
    match format {
        Format::Json => {
            let named = manifest.outputs.iter().zip(&outputs.tensors);
            output::print_json(&Response {
                model_name: &manifest.name,
                model_version: &manifest.version,
                outputs: named.map(|(spec, tensor)| JsonTensor::of(&spec.name, tensor)).collect(),
            })?;
        }
        Format::Text => output::print(&written(model, &outputs))?,
    }
    Ok(Exit::Done.into())
}

fn read(input: &Path) -> Result<Vec<u8>, CliError> {
    let refused =
        |error: std::io::Error| CliError::Refused(format!("{}: {error}", input.display()));
    let mut bytes = Vec::new();
    let limit = GOLDEN_BYTES_MAX as u64 + 1;
    if input == Path::new("-") {
        std::io::stdin().take(limit).read_to_end(&mut bytes).map_err(refused)?;
    } else {
        let file = std::fs::File::open(input).map_err(refused)?;
        file.take(limit).read_to_end(&mut bytes).map_err(refused)?;
    }
    Ok(bytes)
}

/// The values of each row where the manifest says what they are, the tensors otherwise.
fn written(model: &VerifiedModel, outputs: &TensorBuf) -> String {
    let plan = OutputPlan::new(&model.manifest);
    let mut rows = Vec::new();
    let batch = outputs.tensors.first().and_then(|tensor| tensor.shape.first());
    for row in 0..batch.copied().unwrap_or(0) {
        for (number, element) in plan.elements().enumerate() {
            let Some(found) = plan.extract(outputs, number, row) else { continue };
            let unit = element.meaning.unit.map_or("", |unit| unit.symbol());
            let label = found.label.map_or_else(String::new, |label| format!("({label})"));
            let interval = found.uncertainty.map_or_else(String::new, |around| {
                format!("{} to {}, {} %", around.low, around.high, around.coverage * 100.0)
            });
            let remark = match found.soundness {
                Soundness::Sound => "",
                Soundness::OutOfRange => "outside the package's range",
                Soundness::Unusable => "no usable value",
            };
            let value = format!("{} {unit}{label}", found.value);
            rows.push(vec![
                format!("{row}"),
                element.name.to_string(),
                value,
                interval,
                remark.into(),
            ]);
        }
    }
    if plan.is_empty() {
        for (spec, tensor) in model.manifest.outputs.iter().zip(&outputs.tensors) {
            let json = JsonTensor::of(&spec.name, tensor);
            rows.push(vec![
                spec.name.to_string(),
                format!("{}{:?}", tensor.element, tensor.shape),
                json.data.to_string(),
            ]);
        }
    }
    columns(&rows)
}

impl From<GoldenMismatch> for CliError {
    fn from(error: GoldenMismatch) -> Self {
        Self::Failed(format!("the golden vectors are not reproduced: {error}"))
    }
}
