//! `resonance model inspect`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use resonance_inference::Limits;
use resonance_inference::onnx::{self, OnnxSummary};
use resonance_inference::package::VerifiedModel;
use resonance_inference::package::manifest::{FeatureSpec, Manifest, OutputElement};
use resonance_plant::tensor::Meaning;
use resonance_proof::{file_digest, read_file};
use serde::Serialize;

use crate::cli::{CliError, Exit, Format, output};

pub(super) const EXAMPLES: &str = "\
Examples:
  resonance model inspect models/wear
  resonance model inspect models/wear --format json | jq .manifest.input
  resonance model inspect foreign.onnx

Nothing is run: digests, manifest, golden vectors and the ONNX file are read and checked.

Exit codes: 0 sound, 2 the package or file was refused";

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// A package's folder, or an ONNX file.
    #[arg(value_name = "DIR|FILE.onnx")]
    path: PathBuf,
    /// For people or for programs.
    #[arg(long, default_value = "text")]
    format: Format,
}

pub(super) fn inspect(args: &InspectArgs) -> Result<ExitCode, CliError> {
    if args.path.is_dir() {
        package(&args.path, args.format)?;
    } else {
        file(&args.path, args.format)?;
    }
    Ok(Exit::Done.into())
}

fn file(path: &Path, format: Format) -> Result<(), CliError> {
    let limits = Limits::default();
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if !path.exists() {
        let what = "no such folder and no such file";
        return Err(CliError::Refused(format!("{}: {what}", path.display())));
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let bytes = read_file(folder, name, limits.model_bytes_max)
        .map_err(|error| CliError::Refused(error.to_string()))?;
    let summary = onnx::inspect(name, &bytes, &limits)?;
    match format {
        Format::Json => output::print_json(&summary),
        Format::Text => output::print(&written_onnx(&summary)),
    }
}

/// A package as JSON.
#[derive(Serialize)]
struct Inspection<'a> {
    manifest: &'a Manifest,
    digest: &'a str,
    signed: bool,
    files: BTreeMap<&'a str, File>,
    ignored: Vec<&'a str>,
    golden_vectors: usize,
    onnx: &'a OnnxSummary,
}

#[derive(Serialize)]
struct File {
    bytes: usize,
    digest: String,
}

fn package(folder: &Path, format: Format) -> Result<(), CliError> {
    let model = super::open(folder)?;
    let file = &model.manifest.model;
    let bytes = model.files.file(file).map_or(&[][..], |bytes| bytes);
    let summary = onnx::inspect(file, bytes, &Limits::default())?;
    match format {
        Format::Text => output::print(&written(&model, &summary)),
        Format::Json => output::print_json(&Inspection {
            manifest: &model.manifest,
            digest: model.files.digest(),
            signed: model.files.is_signed(),
            files: model
                .files
                .names()
                .filter_map(|name| {
                    let bytes = model.files.file(name)?;
                    Some((name, File { bytes: bytes.len(), digest: file_digest(bytes) }))
                })
                .collect(),
            ignored: model.files.ignored().collect(),
            golden_vectors: model.golden.len(),
            onnx: &summary,
        }),
    }
}

fn written(model: &VerifiedModel, summary: &OnnxSummary) -> String {
    let manifest = &model.manifest;
    let training = &manifest.training;
    let mut rows = vec![
        row("model", format!("{} {}, {}", manifest.name, manifest.version, manifest.category)),
        row("digest", model.files.digest().to_string()),
        row("signed", if model.files.is_signed() { "yes" } else { "no" }.into()),
        row("trained on", trained_on(&training.data, &training.dataset)),
    ];
    if !manifest.description.is_empty() {
        rows.insert(1, row("", manifest.description.clone()));
    }
    if !manifest.licence.is_empty() {
        rows.push(row("licence", manifest.licence.clone()));
    }
    rows.extend(training.figures.iter().map(|(name, figure)| row(name, figure.to_string())));
    if let Some(window) = manifest.window {
        let by = window
            .period_ms
            .map_or_else(|| "as they are observed".into(), |period| format!("every {period} ms"));
        rows.push(row("window", format!("{} samples {by}", window.samples)));
    }
    if let Some(budget) = manifest.latency_budget_us {
        rows.push(row("budget", format!("{budget} us")));
    }
    rows.push(row("valid for", format!("{} ms", manifest.valid_for_ms)));
    let tolerance = manifest.tolerance;
    rows.push(row(
        "golden",
        format!(
            "{} vectors, to {:e} and {:e} of the value",
            model.golden.len(),
            tolerance.absolute,
            tolerance.relative
        ),
    ));
    let mut text = columns(&rows);
    text += &tensors(manifest);
    text += "\nfiles\n";
    let files: Vec<Vec<String>> = model
        .files
        .names()
        .filter_map(|name| {
            let bytes = model.files.file(name)?;
            Some(vec![format!("  {name}"), format!("{} bytes", bytes.len()), file_digest(bytes)])
        })
        .collect();
    text += &columns(&files);
    for name in model.files.ignored() {
        let _ = writeln!(text, "  {name}  not pinned, not read");
    }
    text.push('\n');
    text + &written_onnx(summary)
}

fn trained_on(data: &str, dataset: &str) -> String {
    match (data, dataset) {
        ("none", "") => "nothing".into(),
        (data, "") => format!("{data} data"),
        (data, dataset) => format!("{data} data: {dataset}"),
    }
}

fn tensors(manifest: &Manifest) -> String {
    let mut text = String::new();
    for input in &manifest.inputs {
        let _ = writeln!(text, "\ninput {} {}", input.name, input.tensor());
        let features: Vec<Vec<String>> = input.features.iter().map(feature).collect();
        text += &columns(&features);
    }
    for output in &manifest.outputs {
        let _ = writeln!(text, "\noutput {} {}", output.name, output.tensor());
        let values: Vec<Vec<String>> = output.values.iter().map(value).collect();
        text += &columns(&values);
    }
    text
}

fn feature(feature: &FeatureSpec) -> Vec<String> {
    let statistics: Vec<String> = feature
        .statistics
        .iter()
        .filter_map(|statistic| serde_json::to_value(statistic).ok()?.as_str().map(str::to_owned))
        .collect();
    let mut cells = meaning(&feature.meaning);
    cells.push(statistics.join(" "));
    cells
}

fn value(value: &OutputElement) -> Vec<String> {
    let mut cells = meaning(&value.meaning);
    cells.insert(0, format!("  {}[{}]", value.name, value.element));
    cells.push(value.range.map_or_else(String::new, |[low, high]| format!("{low} to {high}")));
    cells.push(value.interval.map_or_else(String::new, |interval| {
        format!("±{} in {} %", interval.half_width, interval.coverage * 100.0)
    }));
    cells.push(value.labels.join(" | "));
    cells
}

fn meaning(meaning: &Meaning) -> Vec<String> {
    vec![
        format!("  {}", meaning.semantic_id),
        meaning.qualifier.to_string(),
        meaning.quantity.map_or_else(String::new, |quantity| quantity.to_string()),
        meaning
            .unit
            .map_or_else(String::new, |unit| format!("{} ({})", unit.code(), unit.symbol())),
    ]
}

fn written_onnx(summary: &OnnxSummary) -> String {
    let counted = |(name, number): (&String, String)| format!("{name} {number}");
    let opsets = summary.opsets.iter().map(|(name, version)| (name, version.to_string()));
    let operators = summary.operators.iter().map(|(name, count)| (name, format!("x{count}")));
    let mut rows = vec![
        row("onnx", format!("IR version {} {}", summary.ir_version, summary.producer)),
        row("operator sets", opsets.map(counted).collect::<Vec<_>>().join(", ")),
        row("operators", operators.map(counted).collect::<Vec<_>>().join(", ")),
        row("weights", format!("{} numbers in {} tensors", summary.parameters, summary.weights)),
    ];
    for (what, values) in [("takes", &summary.inputs), ("gives", &summary.outputs)] {
        rows.extend(values.iter().map(|value| row(what, format!("{} {}", value.name, value.kind))));
    }
    rows.extend(summary.external.keys().map(|path| row("refers to", format!("the file {path:?}"))));
    rows.extend(summary.metadata.iter().map(|(key, value)| row(key, value.clone())));
    columns(&rows)
}

fn row(name: &str, text: String) -> Vec<String> {
    vec![name.to_owned(), text]
}

/// Rows of cells, each column as wide as its widest cell. What a package says about itself may
/// hold anything: control characters do not reach the terminal.
pub(super) fn columns(rows: &[Vec<String>]) -> String {
    let shown = |cell: &String| -> String {
        cell.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
    };
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(shown).collect()).collect();
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..count).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            if *width > 0 {
                let _ = write!(line, "{cell:width$}  ");
            }
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}
