//! Whether a manifest makes sense in itself. All problems at once.

use std::collections::BTreeSet;

use resonance_plant::tensor::{Dim, Meaning};
use resonance_plant::{ElementType, Unit};

use super::manifest::{InputSpec, Manifest, OutputElement, OutputSpec};
use super::{GOLDEN, MANIFEST};
use crate::preprocessing::{RowPlan, row_elements};

/// Most samples a window may have.
const SAMPLES_MAX: u32 = 1 << 16;

/// Longest name, characters.
const NAME_MAX: usize = 64;

/// Checks a manifest; `packed` says whether it must list its files already.
pub(super) fn validate(manifest: &Manifest, packed: bool) -> Result<(), Vec<String>> {
    let mut problems = Vec::new();
    identity(manifest, &mut problems);
    if packed {
        files(manifest, &mut problems);
    }
    window(manifest, &mut problems);
    unique("input", manifest.inputs.iter().map(|input| &*input.name), &mut problems);
    unique("output", manifest.outputs.iter().map(|output| &*output.name), &mut problems);
    unique("value", manifest.values().map(|(_, value)| &*value.name), &mut problems);
    let fed = manifest.inputs.iter().filter(|input| !input.features.is_empty()).count();
    if fed > 0 && fed < manifest.inputs.len() {
        problems.push("either every [[input]] has features or none has".into());
    }
    if fed > 0 && manifest.values().next().is_none() {
        problems.push("the inputs have features, but no [[output]] has a [[output.value]]".into());
    }
    for input in &manifest.inputs {
        check_input(input, manifest, &mut problems);
    }
    for output in &manifest.outputs {
        for value in &output.values {
            check_value(output, value, &mut problems);
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

fn identity(manifest: &Manifest, problems: &mut Vec<String>) {
    if manifest.format != 1 {
        problems.push(format!("format {} is not known; write format = 1", manifest.format));
    }
    let name_ok = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    let name = &manifest.name;
    if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(name_ok) {
        problems.push(format!(
            "name {name:?} must have 1 to {NAME_MAX} lower-case letters, digits, `-`, `_` or `.`"
        ));
    }
    let version = &manifest.version;
    let version_ok = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
    if version.is_empty() || version.len() > NAME_MAX || !version.chars().all(version_ok) {
        problems.push(format!(
            "version {version:?} must have 1 to {NAME_MAX} letters, digits, `-`, `_`, `.` or `+`"
        ));
    }
    let data = &*manifest.training.data;
    if !["recorded", "simulated", "none"].contains(&data) {
        problems.push(format!(
            "training.data {data:?} is not known; write \"recorded\", \"simulated\" or \"none\""
        ));
    }
    let tolerance = manifest.tolerance;
    if [tolerance.absolute, tolerance.relative].iter().any(|t| !t.is_finite() || *t < 0.0) {
        problems.push("tolerance must be finite and not negative".into());
    }
    if manifest.latency_budget_us == Some(0) {
        problems.push("latency_budget_us must be at least 1; leave it out for no budget".into());
    }
    if manifest.valid_for_ms == 0 {
        problems.push("valid_for_ms must be at least 1".into());
    }
}

fn files(manifest: &Manifest, problems: &mut Vec<String>) {
    for name in [manifest.model.as_str(), GOLDEN] {
        if !manifest.files.contains_key(name) {
            problems.push(format!(
                "[files] does not list {name:?}; run `resonance model pack` in the folder"
            ));
        }
    }
    if manifest.files.contains_key(MANIFEST) {
        problems.push(format!("[files] lists {MANIFEST:?}, which cannot hold its own digest"));
    }
}

fn window(manifest: &Manifest, problems: &mut Vec<String>) {
    let Some(window) = manifest.window else {
        if manifest.inputs.iter().any(|input| !input.features.is_empty()) {
            problems
                .push("inputs have features, but there is no [window] they are taken of".into());
        }
        return;
    };
    if window.samples == 0 || window.samples > SAMPLES_MAX {
        problems.push(format!(
            "window.samples is {}; it must be from 1 to {SAMPLES_MAX}",
            window.samples
        ));
    }
    if window.period_ms == Some(0) {
        problems
            .push("window.period_ms must be at least 1; leave it out for windows by count".into());
    }
}

fn unique<'a>(what: &str, names: impl Iterator<Item = &'a str>, problems: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    let mut any = false;
    for name in names {
        any = true;
        if name.is_empty() {
            problems.push(format!("an {what} has an empty name"));
        }
        if !seen.insert(name) {
            problems.push(format!("two {what}s have the name {name:?}"));
        }
    }
    if !any && what != "value" {
        problems.push(format!("there is no [[{what}]]; a model has at least one"));
    }
}

fn check_input(input: &InputSpec, manifest: &Manifest, problems: &mut Vec<String>) {
    if input.features.is_empty() {
        return;
    }
    let name = &input.name;
    if let Some(window) = manifest.window.filter(|window| window.samples <= SAMPLES_MAX)
        && let Err(error) = RowPlan::new(input, &window)
    {
        problems.push(error.to_string());
    }
    if matches!(input.shape.first(), Some(Dim::Fixed(rows)) if *rows != 1) {
        problems.push(format!(
            "input {name:?} takes a fixed number of rows; the first dimension must be -1 or 1"
        ));
    }
    for feature in &input.features {
        let of = format!("feature {} of input {name:?}", feature.meaning.semantic_id);
        check_meaning(&of, &feature.meaning, problems);
        if !feature.scale.is_finite() || !feature.offset.is_finite() || feature.scale == 0.0 {
            problems.push(format!("{of}: scale and offset must be finite, scale not zero"));
        }
    }
}

fn check_value(output: &OutputSpec, value: &OutputElement, problems: &mut Vec<String>) {
    let of = format!("value {:?} of output {:?}", value.name, output.name);
    check_meaning(&of, &value.meaning, problems);
    match row_elements(&output.shape) {
        None => problems.push(format!(
            "{of}: the output needs a batch dimension first and fixed dimensions after it"
        )),
        Some(elements) if value.element >= elements => problems
            .push(format!("{of}: element {} does not exist; a row has {elements}", value.element)),
        Some(_) => {}
    }
    if let Some([low, high]) = value.range
        && !(low.is_finite() && high.is_finite() && low < high)
    {
        problems.push(format!("{of}: range [{low}, {high}] must be finite, the least first"));
    }
    if let Some(interval) = value.interval
        && !(interval.half_width >= 0.0
            && interval.half_width.is_finite()
            && (0.0..=1.0).contains(&interval.coverage))
    {
        problems.push(format!(
            "{of}: an interval's half_width is not negative and its coverage from 0 to 1"
        ));
    }
    if value.labels.len() == 1 {
        problems.push(format!("{of}: one label says nothing; name every class, or none"));
    }
    if output.element == ElementType::Bytes && (value.range.is_some() || value.interval.is_some()) {
        problems.push(format!("{of} is text, which has no range and no interval"));
    }
}

fn check_meaning(of: &str, meaning: &Meaning, problems: &mut Vec<String>) {
    let (Some(quantity), Some(unit)) = (meaning.quantity, meaning.unit) else { return };
    if !unit.measures(quantity) {
        let fitting: Vec<&str> =
            Unit::all().filter(|unit| unit.measures(quantity)).map(Unit::code).take(6).collect();
        problems.push(format!(
            "{of}: unit {} ({}) does not measure {quantity}; one of {} does",
            unit.code(),
            unit.name(),
            fitting.join(", ")
        ));
    }
}
