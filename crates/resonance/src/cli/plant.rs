//! `resonance plant`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use resonance_plant::{EquipmentClass, definition::OWN_READING};

use super::{CliError, Exit, Format, output};
use crate::config::{self, PlantText, Purpose, ReadError};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Say everything that is wrong with a plant file.
    ///
    /// Every mistake is told at once, with file, line and column, the nearest valid name and what
    /// to do. Model packages are opened too, and their inputs bound to points.
    #[command(after_help = CHECK_EXAMPLES)]
    Check(CheckArgs),
    /// Print a commented plant file to begin with.
    #[command(after_help = EXAMPLE_EXAMPLES)]
    Example(ExampleArgs),
    /// List the equipment classes, or say what one expects of an asset.
    ///
    /// The classes and their points are Resonance's own reading: the standard's text is not public.
    #[command(after_help = CLASSES_EXAMPLES)]
    Classes(ClassesArgs),
    /// Print the JSON Schema of plant files, for editors.
    ///
    /// Editors with TOML support (taplo, Even Better TOML) complete and check a plant file whose
    /// first line is `#:schema plant.schema.json`.
    #[command(after_help = "Example:\n  resonance plant schema > plant.schema.json")]
    Schema,
}

const CHECK_EXAMPLES: &str = "\
Examples:
  resonance plant check plant.toml
  resonance plant check plant.toml --format json | jq '.diagnostics[].message'
  resonance plant check plant.toml --strict     warnings fail, too

Exit codes: 0 the plant may run, 1 it may not, 2 the file cannot be read";

const EXAMPLE_EXAMPLES: &str = "\
Examples:
  resonance plant example > plant.toml
  resonance plant example --source mtconnect > plant.toml";

const CLASSES_EXAMPLES: &str = "\
Examples:
  resonance plant classes
  resonance plant classes cnc_machine_tool
  resonance plant classes industrial_robot --format json | jq -r '.point[].semantic_id'";

#[derive(Debug, Args)]
pub(crate) struct ExampleArgs {
    /// How the machine is read.
    #[arg(long, value_name = "TYPE", default_value = "opcua")]
    source: ExampleSource,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ExampleSource {
    Opcua,
    Mtconnect,
}

#[derive(Debug, Args)]
pub(crate) struct ClassesArgs {
    /// The class to describe.
    #[arg(value_name = "CLASS")]
    name: Option<String>,
    /// For people or for programs.
    #[arg(long, default_value = "text")]
    format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The plant file.
    #[arg(value_name = "PLANT.toml")]
    file: PathBuf,
    /// For people or for programs.
    #[arg(long, default_value = "text")]
    format: Format,
    /// Warnings fail the check, too.
    #[arg(long)]
    strict: bool,
}

pub(crate) fn run(command: Command) -> Result<ExitCode, CliError> {
    match command {
        Command::Check(args) => return check(&args),
        Command::Classes(args) => classes(&args)?,
        Command::Example(args) => output::print(match args.source {
            ExampleSource::Opcua => config::EXAMPLE,
            ExampleSource::Mtconnect => config::EXAMPLE_MTCONNECT,
        })?,
        Command::Schema => output::print_json(&config::schema::plant_file())?,
    }
    Ok(Exit::Done.into())
}

fn check(args: &CheckArgs) -> Result<ExitCode, CliError> {
    let plant = PlantText::read(&args.file)?;
    let (_, report) = plant.plan(Purpose::Check);
    let fails = !report.is_valid() || (args.strict && report.warnings() > 0);
    match args.format {
        Format::Json => output::print_json(&report.to_json())?,
        Format::Text => {
            output::say_report(&report);
            if !fails {
                output::print(&format!("{} is valid\n", args.file.display()))?;
            }
        }
    }
    Ok(if fails { Exit::Failed } else { Exit::Done }.into())
}

fn classes(args: &ClassesArgs) -> Result<(), CliError> {
    let Some(name) = &args.name else {
        let all: Vec<_> = EquipmentClass::ALL.iter().map(|class| class.definition()).collect();
        return match args.format {
            Format::Json => {
                output::print_json(&serde_json::json!({ "note": OWN_READING, "classes": all }))
            }
            Format::Text => {
                let lines: String = all
                    .iter()
                    .map(|class| format!("{:26}{}\n", class.id.name(), class.title))
                    .collect();
                output::print(&format!("{lines}\n{OWN_READING}.\n"))
            }
        };
    };
    let class = EquipmentClass::from_name(name).ok_or_else(|| {
        let names = EquipmentClass::ALL.iter().map(|class| class.name());
        let near = config::nearest(name, names.clone())
            .map_or_else(String::new, |near| format!("; did you mean {near}?"));
        let names: Vec<&str> = names.collect();
        CliError::Refused(format!(
            "no class is called {name:?}{near} (classes: {})",
            names.join(", ")
        ))
    })?;
    match args.format {
        Format::Json => output::print_json(class.definition()),
        Format::Text => output::print(&described(class)),
    }
}

/// What a class expects, for people.
fn described(class: EquipmentClass) -> String {
    let class = class.definition();
    let mut text = format!(
        "{} ({})\n{}\nNames from: {}\n",
        class.title,
        class.id,
        class.source,
        class.follows.join(", ")
    );
    for point in &class.points {
        let need = if point.required { "required" } else { "optional" };
        let unit = match (point.quantity, point.unit) {
            (Some(quantity), Some(unit)) => {
                format!("{quantity}, {} ({})", unit.code(), unit.symbol())
            }
            (Some(quantity), None) => quantity.to_string(),
            (None, _) => format!("{:?}", point.kind).to_lowercase(),
        };
        let per = point.component.as_ref().map_or_else(String::new, |c| format!(", one per {c}"));
        let found = match point.found_in.as_slice() {
            [] => "name unverified".to_owned(),
            found => found.join(", "),
        };
        text += &format!(
            "\n{}  {need}\n    {}: {unit}{per}\n    {found}\n",
            point.semantic_id, point.meaning
        );
    }
    text + &format!("\n{OWN_READING}.\n")
}

impl From<ReadError> for CliError {
    fn from(error: ReadError) -> Self {
        Self::Refused(error.to_string())
    }
}
