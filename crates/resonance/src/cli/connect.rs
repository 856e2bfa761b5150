//! `resonance connect`.

use std::fs::OpenOptions;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use resonance_gateway::sources::opcua::OpcUaConfig;
use resonance_gateway::sources::opcua::survey::{self, Survey};
use resonance_inference::package::{self, VerifiedModel};
use resonance_plant::{Clock, SystemClock};
use resonance_proof::PackageLimits;

use super::{CliError, Exit, Format, output};
use crate::config::{PlantText, Purpose};
use crate::connect::{Candidate, Changes, Connection, Proposal, changes, plant_file, propose};

/// Ask a machine what it is, and propose a plant file for it.
///
/// Browses an OPC UA server and reads types, units, ranges, states and dictionary entries; writes
/// nothing to it. Semantic ids come from the machine itself or from the companion specification it
/// follows, each with its reason; what only looks alike is a comment to decide on. What becomes no
/// point is listed.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ConnectArgs {
    /// The machine: `opc.tcp://host:port/path`.
    #[arg(value_name = "URL")]
    url: String,
    /// Where the plant file goes; a file that is there is not overwritten. Default: standard
    /// output.
    #[arg(long, value_name = "PLANT.toml", conflicts_with_all = ["diff", "search"])]
    out: Option<PathBuf>,
    /// A model package to deploy at every asset that has its inputs; may be repeated.
    #[arg(long, value_name = "FOLDER")]
    model: Vec<PathBuf>,
    /// Say what the machine has that this plant file has not, and the other way round.
    #[arg(long, value_name = "PLANT.toml")]
    diff: Option<PathBuf>,
    /// List only what has all of these words in its path, name, unit or meaning.
    #[arg(long, value_name = "WORDS", conflicts_with = "diff")]
    search: Option<String>,
    /// The security policy: `none`, `basic256sha256`, `aes128_sha256_rsaoaep`,
    /// `aes256_sha256_rsapss`.
    #[arg(long, value_name = "POLICY", default_value = "basic256sha256")]
    security_policy: String,
    /// How messages are protected: `sign` or `sign_and_encrypt`.
    #[arg(long, value_name = "MODE", default_value = "sign_and_encrypt")]
    security_mode: String,
    /// The user. Default: anonymous.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Where the password is: `env:NAME` or `file:PATH`.
    #[arg(long, value_name = "REFERENCE", requires = "user")]
    password: Option<String>,
    /// SHA-256 fingerprint of the machine's certificate: trusts exactly this one.
    #[arg(long, value_name = "HEX")]
    server_fingerprint: Option<String>,
    /// Trust whatever certificate the machine shows. For first contact in a closed network.
    #[arg(long)]
    trust_any_certificate: bool,
    /// For people or for programs.
    #[arg(long, default_value = "text")]
    format: Format,
}

const EXAMPLES: &str = "\
Examples:
  resonance connect opc.tcp://127.0.0.1:4840 --security-policy none --out plant.toml
  resonance connect opc.tcp://mill:4840 --trust-any-certificate --model models/tool-wear --out plant.toml
  resonance connect opc.tcp://mill:4840 --user resonance --password env:MILL_PASSWORD
  resonance connect opc.tcp://mill:4840 --search 'spindle speed'    a list to look through
  resonance connect opc.tcp://mill:4840 --diff plant.toml           after an update of the machine

Exit codes: 0 done (with --diff: nothing changed), 1 the machine does not answer (with --diff: it
changed), 2 the command line or a file was refused";

pub(crate) fn run(args: ConnectArgs) -> Result<ExitCode, CliError> {
    let config = config(&args)?;
    let packages = args.model.iter().map(|folder| loaded(folder)).collect::<Result<Vec<_>, _>>()?;
    let candidates: Vec<Candidate<'_>> = packages
        .iter()
        .map(|(folder, package)| Candidate { folder: folder.clone(), manifest: &package.manifest })
        .collect();
    let survey = ask(&config)?;
    if let Some(file) = &args.diff {
        return diff(file, &survey, args.format);
    }
    let proposal = propose(&survey, &candidates);
    if let Some(words) = &args.search {
        return search(&proposal, words, args.format);
    }
    let at = SystemClock.now().to_string();
    let text = plant_file(&proposal, &Connection { config: &config, nodes: survey.nodes, at });
    let target = args.out.as_deref().unwrap_or(Path::new("plant.toml"));
    let (_, report) = PlantText::from_memory(target, text.clone()).plan(Purpose::Check);
    match (args.format, &args.out) {
        (Format::Json, out) => {
            if let Some(out) = out {
                write_new(out, &text)?;
            }
            output::print_json(&serde_json::json!({
                "proposal": proposal, "plant": text, "check": report.to_json(),
            }))?;
        }
        (Format::Text, Some(out)) => {
            write_new(out, &text)?;
            output::print(&told(&proposal, &survey))?;
            output::say_report(&report);
            output::print(&format!(
                "\n{0} is written: resonance run {0} --watch\n",
                out.display()
            ))?;
        }
        (Format::Text, None) => {
            output::print(&text)?;
            output::say(&told(&proposal, &survey));
        }
    }
    Ok(Exit::Done.into())
}

fn config(args: &ConnectArgs) -> Result<OpcUaConfig, CliError> {
    if !args.url.starts_with("opc.tcp://") {
        return Err(CliError::Refused(format!(
            "{:?}: write the address of an OPC UA server, opc.tcp://host:port/path",
            args.url
        )));
    }
    let is_open = args.security_policy == "none";
    let weak = ["none", "basic128rsa15", "basic256"].contains(&args.security_policy.as_str());
    let mode = if is_open { "none" } else { args.security_mode.as_str() };
    let mut table = toml::Table::new();
    let mut set = |key: &str, value: toml::Value| table.insert(key.to_owned(), value);
    set("url", args.url.as_str().into());
    set("security_policy", args.security_policy.as_str().into());
    set("security_mode", mode.into());
    set("allow_weak_security", weak.into());
    set("trust_any_certificate", args.trust_any_certificate.into());
    let texts = [
        ("user", &args.user),
        ("password", &args.password),
        ("server_fingerprint", &args.server_fingerprint),
    ];
    for (key, value) in texts {
        if let Some(value) = value {
            set(key, value.as_str().into());
        }
    }
    table.try_into().map_err(|error| CliError::Refused(format!("the options: {error}")))
}

fn loaded(folder: &Path) -> Result<(String, VerifiedModel), CliError> {
    let package = package::load(folder, &PackageLimits::default())
        .map_err(|error| CliError::Refused(format!("--model {}: {error}", folder.display())))?;
    let absolute = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    Ok((absolute.to_string_lossy().into_owned(), package))
}

fn ask(config: &OpcUaConfig) -> Result<Survey, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::Internal(format!("no runtime: {error}")))?;
    let shows = std::io::stderr().is_terminal();
    let progress = |nodes: usize| {
        if shows {
            eprint!("\r{nodes} nodes looked at ");
        }
    };
    let found = runtime.block_on(async {
        tokio::select! {
            found = survey::survey(config, progress) => Some(found),
            _ = tokio::signal::ctrl_c() => None,
        }
    });
    if shows {
        eprint!("\r\x1b[K");
    }
    match found {
        Some(Ok(survey)) => Ok(survey),
        Some(Err(error)) => Err(CliError::Failed(format!(
            "{error} (options: --security-policy, --security-mode, --user, \
             --trust-any-certificate)"
        ))),
        None => Err(CliError::Failed("stopped".into())),
    }
}

/// A file that was not there.
fn write_new(path: &Path, text: &str) -> Result<(), CliError> {
    let refused = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => CliError::Refused(format!(
            "{} is there already; name another file, or see what changed with --diff",
            path.display()
        )),
        _ => CliError::Failed(format!("{}: {error}", path.display())),
    };
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(refused)?;
    file.write_all(text.as_bytes()).map_err(refused)
}

/// What was found, for people.
fn told(proposal: &Proposal, survey: &Survey) -> String {
    let mut text = format!("{} nodes, {} variables\n", survey.nodes, survey.variables.len());
    for asset in &proposal.assets {
        let meant = asset.points.iter().filter(|point| point.semantic_id.is_some()).count();
        let class = asset.class.map_or("no class", |class| class.name());
        text += &format!(
            "asset {}: {class} ({}); {} points, {meant} with a semantic id, {} with candidates\n",
            asset.id,
            asset.class_reason,
            asset.points.len(),
            asset.points.iter().filter(|point| !point.candidates.is_empty()).count(),
        );
    }
    for deployment in &proposal.deployments {
        text += &format!("deployment {}: {}\n", deployment.id, deployment.model);
    }
    if !proposal.left_out.is_empty() {
        text += &format!("{} variables became no point\n", proposal.left_out.len());
    }
    for warning in &proposal.warnings {
        text += &format!("warning: {warning}\n");
    }
    text
}

/// Points with all the words, one a line.
fn search(proposal: &Proposal, words: &str, format: Format) -> Result<ExitCode, CliError> {
    let words: Vec<String> = words.split_whitespace().map(str::to_lowercase).collect();
    let mut found = Vec::new();
    for asset in &proposal.assets {
        for point in &asset.points {
            let unit = point.unit.map_or("", |unit| unit.code());
            let meaning = point.semantic_id.as_ref().map_or("", |id| id.as_str());
            let all = format!(
                "{}.{} {} {unit} {meaning} {}",
                asset.id, point.name, point.browse_path, point.description
            );
            let all = all.to_lowercase();
            if words.iter().all(|word| all.contains(word.as_str())) {
                found.push((asset, point));
            }
        }
    }
    match format {
        Format::Json => {
            let points: Vec<_> = found.iter().map(|(_, point)| point).collect();
            output::print_json(&points)?;
        }
        Format::Text => {
            let lines: String = found
                .iter()
                .map(|(asset, point)| {
                    let unit = point.unit.map_or("", |unit| unit.code());
                    let meaning = match (&point.semantic_id, point.candidates.first()) {
                        (Some(id), _) => id.to_string(),
                        (None, Some(id)) => format!("{id} ?"),
                        (None, None) => String::new(),
                    };
                    format!(
                        "{}.{}  {} {unit}  {meaning}\n    {}  {}\n",
                        asset.id,
                        point.name,
                        point.data_type.name(),
                        point.browse_path,
                        point.address
                    )
                })
                .collect();
            output::print(&lines)?;
        }
    }
    Ok(if found.is_empty() { Exit::Failed } else { Exit::Done }.into())
}

fn diff(file: &Path, survey: &Survey, format: Format) -> Result<ExitCode, CliError> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| CliError::Refused(format!("{}: {error}", file.display())))?;
    let table: toml::Table =
        text.parse().map_err(|error| CliError::Refused(format!("{}: {error}", file.display())))?;
    let Changes { lines } = changes(&table, survey);
    match format {
        Format::Json => output::print_json(&lines)?,
        Format::Text if lines.is_empty() => output::print("nothing changed\n")?,
        Format::Text => {
            let lines: String = lines.iter().map(|change| format!("{change}\n")).collect();
            output::print(&lines)?;
        }
    }
    Ok(if lines.is_empty() { Exit::Done } else { Exit::Failed }.into())
}
