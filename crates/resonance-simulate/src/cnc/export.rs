//! The machine's channels as a table: what the tool wear model is trained on.

use std::io::Write;

use super::channels::CHANNELS;
use super::physics::CncPhysics;
use super::relations::Relations;
use crate::machine::write_table;

/// What is exported.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExportPlan {
    /// Virtual hours of the shift.
    pub hours: f64,
    /// Virtual seconds between two rows, above 0.
    pub period_s: f64,
    /// Which machine.
    pub seed: u64,
    /// How many times as fast tools wear; 1 is what the relations say.
    pub wear_acceleration: f64,
}

/// Why an export fails.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The plan makes no sense.
    #[error("{name} is {value}; it must be above 0, and at most {limit}")]
    Plan {
        /// What is wrong.
        name: &'static str,
        /// Its value.
        value: f64,
        /// The most it may be.
        limit: f64,
    },
    /// The table cannot be written.
    #[error("the table cannot be written: {0}")]
    Write(#[from] csv::Error),
}

/// Writes a CSV table: a header with `time_s` and the channels' names, then one row a period.
/// Returns the number of rows.
///
/// # Errors
/// Where the plan makes no sense or writing fails.
pub fn export_csv(writer: impl Write, plan: &ExportPlan) -> Result<u64, ExportError> {
    let bounds = [
        ("hours", plan.hours, 10_000.0),
        ("period_s", plan.period_s, 3600.0),
        ("wear_acceleration", plan.wear_acceleration, 1e6),
    ];
    for (name, value, limit) in bounds {
        if !(value > 0.0 && value <= limit) {
            return Err(ExportError::Plan { name, value, limit });
        }
    }
    let mut machine = CncPhysics::new(Relations::stated(), plan.seed);
    machine.set_wear_acceleration(plan.wear_acceleration);
    let rows = (plan.hours * 3600.0 / plan.period_s) as u64;
    let names = CHANNELS.iter().map(|channel| channel.name);
    write_table(writer, names, &mut machine, (rows, plan.period_s))?;
    Ok(rows)
}
