//! The `resonance` command.

mod cli;
mod config;
mod demo;
mod render;
mod summary;

fn main() -> std::process::ExitCode {
    cli::main()
}
