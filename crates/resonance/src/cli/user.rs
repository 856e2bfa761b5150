//! `resonance user`.

use std::io::{IsTerminal, Read};
use std::process::ExitCode;

use clap::Subcommand;
use resonance_gateway::access::{PASSWORD_BYTES_MAX, hash_password};

use super::{CliError, Exit, output};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Read a password from standard input and print its hash for a plant file.
    ///
    /// The password is what comes before the first line end. The hash (Argon2id) goes into
    /// `password_hash` of a user.
    #[command(after_help = "Example:\n  resonance user hash < password.txt")]
    Hash,
}

pub(crate) fn run(command: Command) -> Result<ExitCode, CliError> {
    match command {
        Command::Hash => hash(std::io::stdin().lock())?,
    }
    Ok(Exit::Done.into())
}

fn hash(input: impl Read + IsTerminal) -> Result<(), CliError> {
    if input.is_terminal() {
        eprintln!("resonance: type the password (it is shown), then Enter and Ctrl-D");
    }
    let mut text = Vec::new();
    // One byte and a line end more than may be: enough to see that it is too long.
    let most = PASSWORD_BYTES_MAX as u64 + 3;
    input
        .take(most)
        .read_to_end(&mut text)
        .map_err(|error| CliError::Failed(format!("standard input: {error}")))?;
    let hash =
        hash_password(first_line(&text)).map_err(|error| CliError::Refused(error.to_string()))?;
    output::print(&format!("{hash}\n"))
}

fn first_line(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len());
    let line = text.get(..end).unwrap_or(text);
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_ends_at_the_first_line_end() {
        assert_eq!(first_line(b"secret\r\nmore"), b"secret");
        assert_eq!(first_line(b" two words \n"), b" two words ");
        assert_eq!(first_line(b"bare"), b"bare");
    }
}
