//! `resonance completions`.

use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, CliError, Exit, output};

/// Print the completion of commands and options for a shell.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CompletionsArgs {
    /// For which shell.
    shell: Shell,
}

const EXAMPLES: &str = "\
Examples:
  source <(resonance completions bash)            for this bash; in ~/.bashrc, for every one
  resonance completions bash > /usr/share/bash-completion/completions/resonance
  resonance completions zsh > ~/.zfunc/_resonance
  resonance completions fish > ~/.config/fish/completions/resonance.fish";

pub(crate) fn run(args: CompletionsArgs) -> Result<ExitCode, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "resonance", &mut script);
    // The generators write text.
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done.into())
}
