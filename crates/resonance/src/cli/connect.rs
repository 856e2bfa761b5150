//! `resonance connect`.

use std::fs::OpenOptions;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use resonance_gateway::sources::survey::{Survey, SurveyError};
use resonance_gateway::sources::{mtconnect, opcua};
use resonance_inference::package::{self, VerifiedModel};
use resonance_plant::{Clock, SystemClock};
use resonance_proof::PackageLimits;

use super::{CliError, Exit, Format, output};
use crate::config::{PlantText, Purpose};
use crate::connect::{
    Candidate, Changes, Connection, Proposal, TagError, TagList, Way, changes, plant_file, propose,
    write_tags,
};

/// Ask a machine what it is, and propose a plant file for it.
///
/// Browses an OPC UA server, or reads the device model of an MTConnect agent: types, units, ranges,
/// states, dictionary entries and definitions; writes nothing to it. Semantic ids come from the
/// machine itself or from the companion specification or standard it follows, each with its
/// reason; what only looks alike is a comment to decide on. What becomes no point is listed.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ConnectArgs {
    /// The machine: `opc.tcp://host:port/path` for OPC UA, `http://host:port` or `https://host:port`
    /// for MTConnect.
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
    /// A list of tags, .csv or .xlsx: its points and no others, as it says or else as the machine
    /// does. Columns: asset, class, point, address, type, quantity, unit, low, high, interpolation,
    /// labels, semantic_id, qualifier, description; address alone is needed, `-` takes away.
    #[arg(long, value_name = "FILE", conflicts_with = "diff")]
    tags: Option<PathBuf>,
    /// Write the proposed points as such a list, .csv or .xlsx, to be edited and given to --tags; a
    /// file that is there is not overwritten.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["diff", "search"])]
    export_tags: Option<PathBuf>,
    /// Do not ask the machine: the list of tags says all.
    #[arg(long, requires = "tags")]
    offline: bool,
    /// OPC UA: the security policy, `none`, `basic256sha256`, `aes128_sha256_rsaoaep`,
    /// `aes256_sha256_rsapss`.
    #[arg(long, value_name = "POLICY", default_value = "basic256sha256")]
    security_policy: String,
    /// OPC UA: how messages are protected, `sign` or `sign_and_encrypt`.
    #[arg(long, value_name = "MODE", default_value = "sign_and_encrypt")]
    security_mode: String,
    /// The user. Default: anonymous.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Where the password is: `env:NAME` or `file:PATH`.
    #[arg(long, value_name = "REFERENCE", requires = "user")]
    password: Option<String>,
    /// OPC UA: SHA-256 fingerprint of the machine's certificate; trusts exactly this one.
    #[arg(long, value_name = "HEX")]
    server_fingerprint: Option<String>,
    /// OPC UA: trust whatever certificate the machine shows. For first contact in a closed network.
    #[arg(long)]
    trust_any_certificate: bool,
    /// OPC UA: wait here for the machine to connect, instead of connecting to it (reverse connect).
    /// URL is then what it says of itself.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<std::net::SocketAddr>,
    /// MTConnect: the name or uuid of the one device to ask about. Default: all of the agent's.
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    /// MTConnect over https: PEM file of the authorities to trust. Default: the system's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// For people or for programs.
    #[arg(long, default_value = "text")]
    format: Format,
}

const EXAMPLES: &str = "\
Examples:
  resonance connect opc.tcp://127.0.0.1:4840 --security-policy none --out plant.toml
  resonance connect http://127.0.0.1:5000 --out plant.toml          an MTConnect agent
  resonance connect opc.tcp://mill:4840 --trust-any-certificate --model models/tool-wear --out plant.toml
  resonance connect opc.tcp://mill:4840 --user resonance --password env:MILL_PASSWORD
  resonance connect opc.tcp://mill:4840 --listen 0.0.0.0:4843       it connects to us
  resonance connect opc.tcp://mill:4840 --search 'spindle speed'    a list to look through
  resonance connect opc.tcp://mill:4840 --diff plant.toml           after an update of the machine
  resonance connect opc.tcp://mill:4840 --export-tags tags.xlsx     a list to edit
  resonance connect opc.tcp://mill:4840 --tags tags.xlsx --out plant.toml

Exit codes: 0 done (with --diff: nothing changed), 1 the machine does not answer, or what was
proposed is no valid plant file (with --diff: it changed), 2 the command line or a file was refused";

/// How long a machine may take to connect.
const REVERSE_WITHIN_MS: i64 = 120_000;

pub(crate) fn run(args: ConnectArgs) -> Result<ExitCode, CliError> {
    let way = way(&args)?;
    let packages = args.model.iter().map(|folder| loaded(folder)).collect::<Result<Vec<_>, _>>()?;
    let candidates: Vec<Candidate<'_>> = packages
        .iter()
        .map(|(folder, package)| Candidate { folder: folder.clone(), manifest: &package.manifest })
        .collect();
    let tags = args.tags.as_deref().map(TagList::read).transpose().map_err(refused)?;
    let survey = if args.offline { Survey::empty(way.url()) } else { ask(&way)? };
    if let Some(file) = &args.diff {
        return diff(file, &survey, args.format);
    }
    let proposal = propose(&survey, tags.as_ref(), &candidates).map_err(refused)?;
    if let Some(words) = &args.search {
        return search(&proposal, words, args.format);
    }
    if let Some(file) = &args.export_tags {
        write_tags(file, &proposal).map_err(refused)?;
        if args.out.is_none() && args.format == Format::Text {
            output::say(&told(&proposal, &survey));
            output::print(&format!("{} is written\n", file.display()))?;
            return Ok(Exit::Done.into());
        }
    }
    let at = SystemClock.now().to_string();
    let text = plant_file(&proposal, &Connection { way: &way, nodes: survey.nodes, at });
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
            let next = if report.is_valid() { "run" } else { "plant check" };
            let watch = if report.is_valid() { " --watch" } else { "" };
            output::print(&format!(
                "\n{0} is written: resonance {next} {0}{watch}\n",
                out.display()
            ))?;
        }
        (Format::Text, None) => {
            output::print(&text)?;
            output::say(&told(&proposal, &survey));
        }
    }
    Ok(if report.is_valid() { Exit::Done } else { Exit::Failed }.into())
}

/// How the machine is reached; a run reaches it so, too.
fn way(args: &ConnectArgs) -> Result<Way, CliError> {
    match args.url.split_once("://").map(|(scheme, _)| scheme) {
        Some("opc.tcp") => over_opcua(args),
        Some("http" | "https") => over_mtconnect(args),
        _ => Err(CliError::Refused(format!(
            "{:?}: write the address of an OPC UA server, opc.tcp://host:port/path, or of an \
             MTConnect agent, http://host:port",
            args.url
        ))),
    }
}

fn over_opcua(args: &ConnectArgs) -> Result<Way, CliError> {
    let given = [("--device", args.device.is_some()), ("--ca-file", args.ca_file.is_some())];
    foreign(args, "MTConnect", &given)?;
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
    if let Some(fingerprint) = &args.server_fingerprint {
        set("server_fingerprint", fingerprint.as_str().into());
    }
    if let Some(listen) = args.listen {
        if listen.port() == 0 {
            return Err(CliError::Refused(
                "--listen: write the port to which the machine connects".into(),
            ));
        }
        output::say(&format!(
            "awaiting {} at {listen}; the machine may take a minute to connect",
            args.url
        ));
        set("listen", listen.to_string().into());
        set("silence_ms_max", REVERSE_WITHIN_MS.into());
    }
    user(args, &mut table);
    table.try_into().map(Way::Opcua).map_err(|error| options(&error))
}

fn over_mtconnect(args: &ConnectArgs) -> Result<Way, CliError> {
    let given = [
        ("--trust-any-certificate", args.trust_any_certificate),
        ("--server-fingerprint", args.server_fingerprint.is_some()),
        ("--listen", args.listen.is_some()),
    ];
    foreign(args, "OPC UA", &given)?;
    let mut table = toml::Table::new();
    // Without a slash at the end, as `--diff` compares addresses.
    table.insert("url".into(), args.url.trim_end_matches('/').into());
    if let Some(device) = &args.device {
        table.insert("device".into(), device.as_str().into());
    }
    if let Some(file) = &args.ca_file {
        let absolute = file.canonicalize().unwrap_or_else(|_| file.clone());
        table.insert("ca_file".into(), absolute.to_string_lossy().into_owned().into());
    }
    user(args, &mut table);
    table.try_into().map(Way::Mtconnect).map_err(|error| options(&error))
}

fn user(args: &ConnectArgs, table: &mut toml::Table) {
    for (key, value) in [("user", &args.user), ("password", &args.password)] {
        if let Some(value) = value {
            table.insert(key.into(), value.as_str().into());
        }
    }
}

/// Refuses options that have no meaning for the machine's protocol.
fn foreign(args: &ConnectArgs, of: &str, given: &[(&str, bool)]) -> Result<(), CliError> {
    match given.iter().find(|(_, is_given)| *is_given) {
        None => Ok(()),
        Some((option, _)) => {
            Err(CliError::Refused(format!("{option} is for {of}, and {} is not", args.url)))
        }
    }
}

fn refused(error: TagError) -> CliError {
    CliError::Refused(error.to_string())
}

fn options(error: &toml::de::Error) -> CliError {
    CliError::Refused(format!("the options: {error}"))
}

fn loaded(folder: &Path) -> Result<(String, VerifiedModel), CliError> {
    let package = package::load(folder, &PackageLimits::default())
        .map_err(|error| CliError::Refused(format!("--model {}: {error}", folder.display())))?;
    let absolute = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    Ok((absolute.to_string_lossy().into_owned(), package))
}

fn ask(way: &Way) -> Result<Survey, CliError> {
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
            found = survey(way, progress) => Some(found),
            _ = tokio::signal::ctrl_c() => None,
        }
    });
    if shows {
        eprint!("\r\x1b[K");
    }
    match found {
        Some(Ok(survey)) => Ok(survey),
        Some(Err(error)) => {
            let options = match way {
                Way::Mtconnect(_) => "--device, --user, --ca-file",
                Way::Opcua(_) => {
                    "--security-policy, --security-mode, --user, --trust-any-certificate"
                }
            };
            Err(CliError::Failed(format!("{error} (options: {options})")))
        }
        None => Err(CliError::Failed("stopped".into())),
    }
}

async fn survey(way: &Way, progress: impl FnMut(usize)) -> Result<Survey, SurveyError> {
    match way {
        Way::Mtconnect(config) => mtconnect::survey::survey(config, progress).await,
        Way::Opcua(config) => opcua::survey::survey(config, progress).await,
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
