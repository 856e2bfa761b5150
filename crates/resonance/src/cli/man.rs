//! `resonance man`.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use super::{Cli, CliError, Exit, output};

/// Print the manual page of a command, or write the pages of all commands.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ManArgs {
    /// The command; without it, the page of `resonance` itself.
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
    /// Writes every page into this folder instead, as `resonance-run.1`.
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    out: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  resonance man | man -l -
  resonance man model compare | man -l -
  resonance man --out /usr/local/share/man/man1";

pub(crate) fn run(args: ManArgs) -> Result<ExitCode, CliError> {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    if let Some(folder) = args.out {
        std::fs::create_dir_all(&folder).and_then(|()| write_all(&root, &folder)).map_err(
            |error| CliError::Failed(format!("cannot write to {}: {error}", folder.display())),
        )?;
    } else {
        let page = page(chosen(&root, &args.command)?)
            .map_err(|error| CliError::Internal(format!("a manual page: {error}")))?;
        output::print(&String::from_utf8_lossy(&page))?;
    }
    Ok(Exit::Done.into())
}

fn chosen<'c>(root: &'c Command, words: &[String]) -> Result<&'c Command, CliError> {
    words.iter().try_fold(root, |command, word| {
        command.find_subcommand(word).ok_or_else(|| {
            let known: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
            CliError::Refused(match known.as_slice() {
                [] => format!("`{}` has no commands below it", command.get_name()),
                known => format!(
                    "`{}` has no command {word:?}; it has {}",
                    command.get_name(),
                    known.join(", ")
                ),
            })
        })
    })
}

fn write_all(command: &Command, folder: &Path) -> io::Result<()> {
    let name = Man::new(command.clone()).get_filename();
    std::fs::write(folder.join(name), page(command)?)?;
    let mut below = command.get_subcommands().filter(|command| !command.is_hide_set());
    below.try_for_each(|command| write_all(command, folder))
}

/// A page. The examples and exit codes below a command's help are sections of their own, their
/// lines left as they are.
fn page(command: &Command) -> io::Result<Vec<u8>> {
    let man = Man::new(command.clone());
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let mut roff = Roff::default();
    let below = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    for section in below.split("\n\n") {
        let (title, lines) = match section.split_once(':') {
            Some((title, lines)) if !title.contains('\n') => {
                (title, lines.trim_start_matches('\n'))
            }
            _ => ("Notes", section),
        };
        if lines.is_empty() {
            continue;
        }
        roff.control("SH", [title.to_uppercase().as_str()]);
        roff.control("nf", []);
        for line in lines.lines() {
            roff.text([roman(line.strip_prefix("  ").unwrap_or(line).trim_start_matches(' '))]);
        }
        roff.control("fi", []);
    }
    roff.to_writer(&mut page)?;
    Ok(page)
}
