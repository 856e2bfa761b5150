//! The `resonance` command.

mod cli;
mod config;
mod render;

fn main() -> std::process::ExitCode {
    cli::main()
}
