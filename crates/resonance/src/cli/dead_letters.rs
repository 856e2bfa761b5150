//! `resonance dead-letters`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use resonance_gateway::spool::{DeadLetter, DeadLetters, Selection};
use resonance_plant::ResultId;
use resonance_plant::result::NotAResultId;
use serde_json::{Value, json};

use super::{CliError, Exit, Format, output};
use crate::config::PlantText;
use crate::render::status::letters;

/// Look at, replay and drop results that a sink's system refused for good.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List them, the oldest first.
    #[command(after_help = EXAMPLES)]
    List(Which),
    /// Show one, whole: who refused it, why, and the result itself.
    #[command(after_help = EXAMPLES)]
    Show(One),
    /// Send them again, in their order and under the same ids, to the sink that refused them.
    ///
    /// A running gateway does it at once; otherwise the next run of it does. What is refused
    /// again becomes a dead letter again.
    #[command(after_help = EXAMPLES)]
    Replay(Several),
    /// Delete them for good.
    #[command(after_help = EXAMPLES)]
    Drop(Several),
}

const EXAMPLES: &str = "\
Examples:
  resonance dead-letters list plant.toml
  resonance dead-letters list plant.toml --sink mes --format json | jq '.[].reason'
  resonance dead-letters show plant.toml --id 34161a4d95c40d1d3d9872dcca554160
  resonance dead-letters replay plant.toml --sink mes
  resonance dead-letters drop --spool spool.sqlite --id 34161a4d95c40d1d3d9872dcca554160

Exit codes: 0 done, 1 there is none such, 2 the plant file or the spool cannot be used";

/// Where they are.
#[derive(Debug, Args)]
#[group(id = "place", required = true, multiple = false)]
pub(crate) struct Place {
    /// The plant file, which names the spool.
    #[arg(value_name = "PLANT.toml")]
    plant: Option<PathBuf>,
    /// The spool itself, instead of a plant file.
    #[arg(long, value_name = "FILE")]
    spool: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Which {
    #[command(flatten)]
    place: Place,
    /// Only those of this sink.
    #[arg(long, value_name = "ID")]
    sink: Option<String>,
    /// For people or for programs.
    #[arg(long, default_value = "text")]
    format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct One {
    #[command(flatten)]
    place: Place,
    /// The result's id: 32 hexadecimal digits, as `list` shows it.
    #[arg(long, value_name = "RESULT", value_parser = result_id)]
    id: ResultId,
    /// For people or for programs.
    #[arg(long, default_value = "text")]
    format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Several {
    #[command(flatten)]
    place: Place,
    /// Only those of this sink.
    #[arg(long, value_name = "ID")]
    sink: Option<String>,
    /// Only this result.
    #[arg(long, value_name = "RESULT", value_parser = result_id)]
    id: Option<ResultId>,
    /// All of them.
    #[arg(long, conflicts_with_all = ["sink", "id"], required_unless_present_any = ["sink", "id"])]
    all: bool,
    /// For people or for programs.
    #[arg(long, default_value = "text")]
    format: Format,
}

pub(crate) fn run(command: Command) -> Result<ExitCode, CliError> {
    match command {
        Command::List(args) => list(&args),
        Command::Show(args) => show(&args),
        Command::Replay(args) => change(&args, "marked to be sent again", DeadLetters::replay),
        Command::Drop(args) => change(&args, "dropped", DeadLetters::discard),
    }
}

fn list(args: &Which) -> Result<ExitCode, CliError> {
    let which = Selection { sink: args.sink.clone(), id: None };
    let found = open(&args.place)?.list(&which).map_err(refused)?;
    let rows: Vec<Value> = found.iter().map(summary).collect();
    match args.format {
        Format::Json => output::print_json(&rows)?,
        Format::Text if rows.is_empty() => output::print("no dead letters\n")?,
        Format::Text => output::print(&letters(&rows))?,
    }
    Ok(Exit::Done.into())
}

fn show(args: &One) -> Result<ExitCode, CliError> {
    let which = Selection { sink: None, id: Some(args.id) };
    let found = open(&args.place)?.list(&which).map_err(refused)?;
    if found.is_empty() {
        return Err(CliError::Failed(format!("there is no dead letter {}", args.id)));
    }
    let whole = |letter: &DeadLetter| {
        let mut shown = summary(letter);
        shown["result"] = serde_json::from_slice(&letter.payload)
            .unwrap_or_else(|_| String::from_utf8_lossy(&letter.payload).into());
        shown
    };
    let shown: Vec<Value> = found.iter().map(whole).collect();
    match args.format {
        Format::Json => output::print_json(&shown)?,
        Format::Text => {
            for letter in &shown {
                let reason = letter["reason"].as_str().unwrap_or_default();
                let sink = letter["sink"].as_str().unwrap_or_default();
                let head = format!("refused by {sink}: {reason}\n");
                output::print(&head.replace(|c: char| c.is_control() && c != '\n', " "))?;
                output::print_json(&letter["result"])?;
            }
        }
    }
    Ok(Exit::Done.into())
}

fn change(
    args: &Several,
    what: &str,
    change: fn(&mut DeadLetters, &Selection) -> Result<u64, resonance_gateway::spool::SpoolError>,
) -> Result<ExitCode, CliError> {
    let which = Selection { sink: args.sink.clone(), id: args.id };
    let count = change(&mut open(&args.place)?, &which).map_err(refused)?;
    match args.format {
        Format::Json => output::print_json(&json!({ "count": count }))?,
        Format::Text => output::print(&format!("{count} {what}\n"))?,
    }
    let found = if count == 0 && !args.all { Exit::Failed } else { Exit::Done };
    Ok(found.into())
}

fn open(place: &Place) -> Result<DeadLetters, CliError> {
    let path = match (&place.spool, &place.plant) {
        (Some(spool), _) => spool.clone(),
        (None, Some(plant)) => PlantText::read(plant)?.spool()?,
        // clap lets nobody come here.
        (None, None) => return Err(CliError::Refused("name a plant file or --spool".into())),
    };
    DeadLetters::open(&path).map_err(refused)
}

fn refused(error: resonance_gateway::spool::SpoolError) -> CliError {
    CliError::Refused(error.to_string())
}

fn summary(letter: &DeadLetter) -> Value {
    json!({
        "sink": letter.sink,
        "id": letter.id,
        "deployment": letter.deployment,
        "asset": letter.asset,
        "model": letter.model,
        "refused_at": letter.refused_at.map(|at| at.to_string()),
        "state": if letter.replaying { "replaying" } else { "refused" },
        "reason": letter.reason,
    })
}

fn result_id(text: &str) -> Result<ResultId, String> {
    text.parse().map_err(|error: NotAResultId| error.to_string())
}
