//! Writes channels of a simulated machine as CSV to standard output, for the scripts in `models/`.
//!
//! Usage: `export_machine injection-molding|coating-line HOURS PERIOD_S SEED`

use std::process::ExitCode;

use resonance_simulate::coating::{self, CoatingPhysics};
use resonance_simulate::machine::{MachineSpec, Physics, write_table};
use resonance_simulate::molding::{self, MoldingPhysics};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<f64> = arguments.iter().filter_map(|text| text.parse().ok()).collect();
    let machine = arguments.first().map(String::as_str);
    let ([hours, period_s, seed], Some(machine)) = (&numbers[..], machine) else {
        return usage();
    };
    let rows = ((hours * 3600.0 / period_s) as u64, *period_s);
    let seed = *seed as u64;
    let written = match machine {
        "injection-molding" => write(&molding::spec(seed), &mut MoldingPhysics::new(seed), rows),
        "coating-line" => write(&coating::spec(seed), &mut CoatingPhysics::new(seed), rows),
        _ => return usage(),
    };
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the table cannot be written: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write(
    spec: &MachineSpec,
    physics: &mut impl Physics,
    rows: (u64, f64),
) -> Result<(), Box<dyn std::error::Error>> {
    let paths: Vec<String> = spec.channels.iter().map(|channel| channel.path()).collect();
    let names = paths.iter().map(String::as_str);
    write_table(std::io::stdout().lock(), names, physics, rows)?;
    Ok(())
}

fn usage() -> ExitCode {
    eprintln!("usage: export_machine injection-molding|coating-line HOURS PERIOD_S SEED");
    ExitCode::from(2)
}
