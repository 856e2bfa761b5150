//! How fast a model answers on this machine: cold, warm, against its latency budget.

mod histogram;
mod machine;

use std::time::{Duration, Instant};

use resonance_plant::{ElementType, Tensor, TensorBuf};
use serde::Serialize;

use crate::package::VerifiedModel;
use crate::{Engine, EngineError, GoldenMismatch, Limits, verify_golden};

pub use histogram::Histogram;
pub use machine::Machine;

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BenchPlan {
    /// How long, the warm-up of a tenth of it not counted.
    pub duration: Duration,
    /// Rows of one inference.
    pub batch: usize,
}

/// What was measured. All times are those of whole calls, as a caller sees them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BenchReport {
    /// The engine and its version.
    pub engine: String,
    /// Rows of one inference.
    pub batch: usize,
    /// From the package in memory to a program, microseconds.
    pub load_us: f64,
    /// The first inference of a fresh session, microseconds.
    pub first_us: f64,
    /// Inferences counted.
    pub inferences: u64,
    /// Time they took together, seconds.
    pub seconds: f64,
    /// Rows answered in a second.
    pub rows_per_second: f64,
    /// Warm inferences, microseconds.
    pub warm_us: Percentiles,
    /// The package's budget for one inference, microseconds.
    pub budget_us: Option<u32>,
    /// Inferences that took longer than the budget; every row of a batch waits for the whole.
    pub misses: u64,
    /// What it was measured on.
    pub machine: Machine,
}

/// Times below which a share of all inferences stays, microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Percentiles {
    /// Half of them.
    pub p50: f64,
    /// 90 %.
    pub p90: f64,
    /// 99 %.
    pub p99: f64,
    /// 99.9 %.
    pub p999: f64,
    /// All of them.
    pub max: f64,
    /// The arithmetic mean.
    pub mean: f64,
}

/// Why nothing was measured.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BenchError {
    /// The engine refuses the model or fails.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The model does not answer as its package says; how fast it is does not matter.
    #[error(transparent)]
    Golden(#[from] GoldenMismatch),
    /// The model takes a fixed number of rows.
    #[error("input {input:?} takes {rows} rows at once, not {batch}; ask for --batch {rows}")]
    Batch {
        /// Which input.
        input: String,
        /// Rows it takes.
        rows: usize,
        /// Rows asked for.
        batch: usize,
    },
    /// Nothing to measure.
    #[error("a batch has at least one row")]
    NoRows,
}

/// Loads a model, checks its golden vectors and runs their rows again and again.
///
/// # Errors
/// Where the engine refuses the model, it does not reproduce its golden vectors, or it cannot
/// take so many rows.
pub fn bench(
    engine: &dyn Engine,
    model: &VerifiedModel,
    limits: &Limits,
    plan: BenchPlan,
) -> Result<BenchReport, BenchError> {
    let inputs = rows(model, plan.batch)?;
    let began = Instant::now();
    let program = engine.load(model, limits)?;
    let load_us = micros(began.elapsed());
    // Before the golden vectors warm the program up.
    let mut session = program.session()?;
    let mut outputs = TensorBuf::default();
    let began = Instant::now();
    session.infer(&inputs, &mut outputs)?;
    let first_us = micros(began.elapsed());
    verify_golden(&*program, model)?;
    let warm_up = Instant::now();
    while warm_up.elapsed() < plan.duration / 10 {
        session.infer(&inputs, &mut outputs)?;
    }
    let budget_us = model.manifest.latency_budget_us;
    let budget = budget_us.map(|budget| Duration::from_micros(budget.into()));
    let (mut times, mut misses) = (Histogram::new(), 0);
    let began = Instant::now();
    let mut before = began;
    while before - began < plan.duration {
        session.infer(&inputs, &mut outputs)?;
        let now = Instant::now();
        times.add(now - before);
        misses += u64::from(budget.is_some_and(|budget| now - before > budget));
        before = now;
    }
    let seconds = (before - began).as_secs_f64();
    let percentile = |share| micros(times.below(share));
    Ok(BenchReport {
        engine: engine.identity().to_owned(),
        batch: plan.batch,
        load_us,
        first_us,
        inferences: times.count(),
        seconds,
        rows_per_second: times.count() as f64 * plan.batch as f64 / seconds.max(f64::EPSILON),
        warm_us: Percentiles {
            p50: percentile(0.5),
            p90: percentile(0.9),
            p99: percentile(0.99),
            p999: percentile(0.999),
            max: micros(times.max()),
            mean: seconds * 1e6 / times.count().max(1) as f64,
        },
        budget_us,
        misses,
        machine: Machine::describe(),
    })
}

fn micros(duration: Duration) -> f64 {
    // Nanoseconds are the clock's own grain; more digits would only look exact.
    duration.as_nanos() as f64 / 1e3
}

/// The rows of all golden vectors, repeated in turn until there are `batch`.
fn rows(model: &VerifiedModel, batch: usize) -> Result<TensorBuf, BenchError> {
    if batch == 0 {
        return Err(BenchError::NoRows);
    }
    let specs = model.manifest.inputs.iter().enumerate();
    let tensors = specs.map(|(number, spec)| {
        let golden: Vec<&Tensor> =
            model.golden.iter().filter_map(|vector| vector.inputs.tensors.get(number)).collect();
        let mut shape = golden.first().map_or(Vec::new(), |tensor| tensor.shape.clone());
        let own_rows = shape.first().copied().unwrap_or(1);
        if let Some(rows) = shape.first_mut() {
            *rows = batch;
        }
        if own_rows != batch && (shape.is_empty() || !spec.tensor().accepts_shape(&shape)) {
            let input = spec.name.to_string();
            return Err(BenchError::Batch { input, rows: own_rows, batch });
        }
        let mut tensor = Tensor::zeros(spec.element, &shape)
            .map_err(|error| EngineError::Failed(error.to_string()))?;
        fill(&mut tensor, &golden, batch);
        Ok(tensor)
    });
    Ok(TensorBuf { tensors: tensors.collect::<Result<_, BenchError>>()? })
}

/// Copies rows in turn; every golden tensor has rows of the same length as `tensor`, or, where
/// the model leaves more than the batch open, as many elements as both have.
fn fill(tensor: &mut Tensor, golden: &[&Tensor], batch: usize) {
    if tensor.element == ElementType::Bytes {
        let texts: Vec<Vec<u8>> =
            golden.iter().flat_map(|tensor| tensor.strings().iter().cloned()).collect();
        for (slot, text) in tensor.strings_mut().iter_mut().zip(texts.iter().cycle()) {
            slot.clone_from(text);
        }
        return;
    }
    let length = tensor.bytes().len() / batch;
    let rows = |golden: &Tensor| golden.bytes().len().checked_div(length).unwrap_or(0);
    let all: Vec<(usize, usize)> = golden
        .iter()
        .enumerate()
        .flat_map(|(at, tensor)| (0..rows(tensor)).map(move |row| (at, row)))
        .collect();
    if length == 0 {
        return;
    }
    for (slot, (at, row)) in tensor.bytes_mut().chunks_exact_mut(length).zip(all.iter().cycle()) {
        slot.copy_from_slice(&golden[*at].bytes()[row * length..(row + 1) * length]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(rows: &[[f32; 2]]) -> Tensor {
        let flat: Vec<f32> = rows.concat();
        Tensor::from_bytes(ElementType::Fp32, &[rows.len(), 2], bytemuck::cast_slice(&flat))
            .unwrap()
    }

    #[test]
    fn golden_rows_are_repeated_in_turn() {
        let golden = [numbers(&[[1.0, 2.0], [3.0, 4.0]]), numbers(&[[5.0, 6.0]])];
        let golden: Vec<&Tensor> = golden.iter().collect();
        let mut tensor = Tensor::zeros(ElementType::Fp32, &[5, 2]).unwrap();
        fill(&mut tensor, &golden, 5);
        let expected = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [1.0, 2.0], [3.0, 4.0]];
        assert_eq!(tensor, numbers(&expected));
    }

    #[test]
    fn texts_are_repeated_in_turn() {
        let golden = Tensor::from_strings(&[2], vec!["a".into(), "b".into()]).unwrap();
        let mut tensor = Tensor::zeros(ElementType::Bytes, &[3]).unwrap();
        fill(&mut tensor, &[&golden], 3);
        assert_eq!(tensor.strings(), [b"a", b"b", b"a"]);
    }

    #[test]
    fn tensors_without_elements_are_left_alone() {
        let golden = Tensor::zeros(ElementType::Fp32, &[1, 0]).unwrap();
        let mut tensor = Tensor::zeros(ElementType::Fp32, &[3, 0]).unwrap();
        fill(&mut tensor, &[&golden], 3);
        assert!(tensor.is_empty());
    }
}
