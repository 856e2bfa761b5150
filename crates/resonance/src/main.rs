//! The `resonance` command.

mod cli;
mod config;

fn main() -> std::process::ExitCode {
    cli::main()
}
