//! `resonance model compare`.

use std::fmt::Write;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use resonance_inference::EngineKind;
use resonance_inference::compare::{
    self, Comparison, EngineColumn, Job, Place, SetComparison, VectorSet,
};
use resonance_inference::json::JsonTensor;
use resonance_inference::package::VerifiedModel;
use resonance_inference::package::golden::GOLDEN_BYTES_MAX;
use resonance_inference::package::manifest::Tolerance;

use super::confined::{self, Bounds};
use super::inspect::columns;
use crate::cli::{CliError, Exit, Format, output};

pub(super) const EXAMPLES: &str = "\
Examples:
  resonance model compare models/wear
  resonance model compare foreign.onnx --data rows.csv
  resonance model compare *.onnx --format json | jq '.[].agree'

Every engine runs each model in a process of its own, with bounded memory and time. Golden vectors
are held against the package; other inputs against the first engine that runs the model. A lone
ONNX file has no golden vectors: without --data its inputs are made up.

A CSV file has one row of the model a line: the elements of all its inputs, in the model's order.
A first line that is not of numbers is a heading.

Exit codes: 0 all engines that know the model's operators agree, 1 they do not, or none ran it,
2 a model or the data was refused";

/// Rows taken from a file of data.
const ROWS_MAX: usize = 100_000;

/// The largest file of data, bytes.
const DATA_BYTES_MAX: u64 = 256 << 20;

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// Packages' folders, or ONNX files.
    #[arg(value_name = "DIR|FILE.onnx", required = true)]
    paths: Vec<PathBuf>,
    /// Inputs of your own: rows of numbers, or an inference request of the Open Inference
    /// Protocol v2.
    #[arg(long, value_name = "ROWS.csv|REQUEST.json")]
    data: Option<PathBuf>,
    /// How far numbers may lie apart, in their own scale. Default: the package's tolerance, or
    /// 1e-5.
    #[arg(long, value_name = "NUMBER", value_parser = tolerated)]
    absolute: Option<f64>,
    /// How far numbers may lie apart besides, as a share of the number. Default: the package's
    /// tolerance, or 1e-4.
    #[arg(long, value_name = "SHARE", value_parser = tolerated)]
    relative: Option<f64>,
    /// The memory of each engine's process, MiB of address space; the engines themselves take some.
    #[arg(long, default_value_t = 4_096, value_parser = clap::value_parser!(u64).range(512..=1 << 20))]
    memory_mib: u64,
    /// The time of each engine's process, seconds.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// For people or for programs.
    #[arg(long, default_value = "text")]
    format: Format,
}

fn tolerated(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number >= 0.0 => Ok(number),
        _ => Err("write a number that is not negative, such as 1e-4".into()),
    }
}

pub(super) fn compare(args: &CompareArgs) -> Result<ExitCode, CliError> {
    let mut found = Vec::new();
    for path in &args.paths {
        let compared = one(path, args)?;
        if args.format == Format::Text {
            output::print(&written(&compared))?;
        }
        found.push(compared);
    }
    if args.format == Format::Json {
        output::print_json(&found)?;
    }
    let agree = found.iter().all(|compared| compared.agree);
    Ok(if agree { Exit::Done } else { Exit::Failed }.into())
}

fn one(path: &Path, args: &CompareArgs) -> Result<Comparison, CliError> {
    let refused = |error: String| CliError::Refused(error);
    if !path.exists() {
        return Err(refused(format!("{}: no such folder and no such file", path.display())));
    }
    let model = compare::open(path).map_err(refused)?;
    let sets = sets(&model, args.data.as_deref())?;
    let mut answers = Vec::new();
    for engine in EngineKind::ALL {
        let job = Job {
            engine,
            path: path.to_owned(),
            digest: model.files.digest().to_string(),
            vectors: sets.iter().flat_map(|set| in_json(&model, set)).collect(),
        };
        let bounds = Bounds { memory_mib: args.memory_mib, seconds: args.seconds };
        answers.push((engine, confined::ask(&job, bounds)));
    }
    let known = model.manifest.tolerance;
    let tolerance = Tolerance {
        absolute: args.absolute.unwrap_or(known.absolute),
        relative: args.relative.unwrap_or(known.relative),
    };
    Ok(compare::compare(&model, &sets, answers, tolerance))
}

fn in_json(model: &VerifiedModel, set: &VectorSet) -> Vec<Vec<JsonTensor>> {
    let named = |tensors: &[resonance_plant::Tensor]| {
        let inputs = model.manifest.inputs.iter().zip(tensors);
        inputs.map(|(spec, tensor)| JsonTensor::of(&spec.name, tensor)).collect()
    };
    set.vectors.iter().map(|(_, inputs)| named(&inputs.tensors)).collect()
}

/// The package's golden vectors and the user's data; what is made up where there is neither.
fn sets(model: &VerifiedModel, data: Option<&Path>) -> Result<Vec<VectorSet>, CliError> {
    let mut sets = Vec::new();
    if !model.golden.is_empty() {
        sets.push(compare::golden(model));
    }
    if let Some(path) = data {
        let shown = path.display();
        let refused =
            |error: &dyn std::fmt::Display| CliError::Refused(format!("{shown}: {error}"));
        let bytes = read(path)?;
        let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        let is_request = path.extension().is_some_and(|extension| extension == "json");
        let set = if is_request {
            compare::of_request(&name, &bytes, &model.manifest)
        } else {
            let rows = rows(&bytes).map_err(|problem| refused(&problem))?;
            compare::from_rows(&name, &rows, &model.manifest)
        };
        sets.push(set.map_err(|error| refused(&error))?);
    }
    if sets.is_empty() {
        let made = compare::generated(&model.manifest);
        sets.push(made.map_err(|error| CliError::Refused(error.to_string()))?);
    }
    Ok(sets)
}

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    let refused =
        |error: &dyn std::fmt::Display| CliError::Refused(format!("{}: {error}", path.display()));
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| refused(&error))?;
    file.take(DATA_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| refused(&error))?;
    let most = match path.extension() {
        Some(extension) if extension == "json" => GOLDEN_BYTES_MAX as u64,
        _ => DATA_BYTES_MAX,
    };
    if bytes.len() as u64 > most {
        return Err(refused(&format!("larger than the {most} bytes allowed; take fewer rows")));
    }
    Ok(bytes)
}

/// The rows of a CSV file. A first line with anything that is no number is a heading.
fn rows(bytes: &[u8]) -> Result<Vec<Vec<f64>>, String> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(bytes);
    let mut rows = Vec::new();
    for (at, record) in reader.records().enumerate() {
        let record = record.map_err(|error| error.to_string())?;
        let line = record.position().map_or(at as u64 + 1, csv::Position::line);
        let mut row = Vec::with_capacity(record.len());
        for (column, cell) in record.iter().enumerate() {
            match cell.parse::<f64>() {
                Ok(number) => row.push(number),
                Err(_) if at == 0 => break,
                Err(_) => {
                    let cell: String = cell.chars().take(40).collect();
                    return Err(format!(
                        "line {line}, column {}: {cell:?} is no number",
                        column + 1
                    ));
                }
            }
        }
        if at == 0 && row.len() < record.len() {
            continue;
        }
        if rows.len() == ROWS_MAX {
            return Err(format!("more than {ROWS_MAX} rows; take fewer"));
        }
        rows.push(row);
    }
    Ok(rows)
}

fn written(compared: &Comparison) -> String {
    let mut text = format!("{} {}, {}\n", compared.model, compared.version, compared.digest);
    let engine = |engine: &EngineColumn| {
        let what = match (&engine.problem, engine.ran) {
            (Some(problem), _) if engine.absent => format!("absent: {problem}"),
            (Some(problem), _) => format!("DID NOT RUN IT: {problem}"),
            (None, true) => "ran it".into(),
            (None, false) => format!("lacks {}", engine.lacks.join(", ")),
        };
        let speed = engine.median_us.map(|us| format!("{us:.1} us an inference"));
        vec![format!("  {}", engine.engine), what, speed.unwrap_or_default()]
    };
    text += &columns(&compared.engines.iter().map(engine).collect::<Vec<_>>());
    for set in &compared.sets {
        let _ = writeln!(
            text,
            "\n{}: {} against {}, {} inferences",
            set.inputs, set.engine, set.reference, set.vectors
        );
        text += &of_set(set);
    }
    let tolerance = compared.tolerance;
    let verdict = if compared.agree { "agree" } else { "DO NOT AGREE" };
    let ran = compared.engines.iter().filter(|engine| engine.ran).count();
    let alone = if ran == 1 { " (only one ran it)" } else { "" };
    let _ = writeln!(
        text,
        "\nthe engines {verdict}{alone}, within {:e} and {:e} of the value\n",
        tolerance.absolute, tolerance.relative
    );
    text
}

fn of_set(set: &SetComparison) -> String {
    let mut rows = Vec::new();
    for output in &set.outputs {
        let beyond = match output.deviating {
            0 => "within the tolerance".to_owned(),
            some => format!("{some} of {} BEYOND", output.elements),
        };
        rows.push(vec![format!("  {}", output.output), beyond]);
        for (what, place) in
            [("absolute", &output.greatest), ("relative", &output.greatest_relative)]
        {
            if let Some(place) = place {
                rows.push(vec![String::new(), format!("greatest {what} {}", at(place))]);
            }
        }
        for label in &output.labels {
            rows.push(vec![
                String::new(),
                format!(
                    "{} instead of {}, {}, element {}",
                    label.actual, label.expected, label.vector, label.element
                ),
            ]);
        }
    }
    for problem in &set.problems {
        rows.push(vec![format!("  {}", problem.vector), problem.reason.clone()]);
    }
    columns(&rows)
}

fn at(place: &Place) -> String {
    let Place { by, vector, element, expected, actual } = place;
    format!("{by:.3e}: {actual} instead of {expected}, {vector}, element {element}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heading_is_skipped_and_what_is_no_number_named() {
        assert_eq!(rows(b"a,b\n1, 2\n3,-4e1\n").unwrap(), [[1.0, 2.0], [3.0, -40.0]]);
        assert_eq!(rows(b"1,2\n").unwrap(), [[1.0, 2.0]]);
        let error = rows(b"a,b\n1,2\n1,x\n").unwrap_err();
        assert_eq!(error, "line 3, column 2: \"x\" is no number");
        assert!(rows(b"").unwrap().is_empty());
    }
}
