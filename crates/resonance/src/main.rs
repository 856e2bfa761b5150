//! The `resonance` command.

fn main() -> std::process::ExitCode {
    resonance::main()
}
