//! Writes channels of the simulated CNC as CSV to standard output, for `models/tool-wear`.
//!
//! Usage: `export_cnc HOURS PERIOD_S SEED WEAR_ACCELERATION`

use std::process::ExitCode;

use resonance_simulate::cnc::{ExportPlan, export_csv};

fn main() -> ExitCode {
    let numbers: Vec<f64> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let [hours, period_s, seed, wear_acceleration] = numbers[..] else {
        eprintln!("usage: export_cnc HOURS PERIOD_S SEED WEAR_ACCELERATION, four numbers");
        return ExitCode::from(2);
    };
    let plan = ExportPlan { hours, period_s, seed: seed as u64, wear_acceleration };
    match export_csv(std::io::stdout().lock(), &plan) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
