//! `resonance certificate`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use resonance_gateway::plan::{Plan, SourceKind};
use resonance_gateway::sources::opcua::pki_folder;
use resonance_opcua::trust::{
    Certificate, Entry, Expected, Folder, FolderError, Item, Peer, Place, Refusal, TrustList,
};
use resonance_plant::{Clock, SystemClock, Timestamp};
use serde_json::{Value, json};

use super::{CliError, Exit, Format, output};
use crate::config::{PlantText, Purpose};
use crate::render::status::certificates;

/// Look at, trust and reject certificates of OPC UA machines and clients.
///
/// What is changed takes effect while a gateway runs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List ours, those that are trusted, authorities, and who was refused and why.
    #[command(after_help = EXAMPLES)]
    List(Listed),
    /// Trust an application, or an authority and with it every application that it signed.
    ///
    /// Compare the whole fingerprint with the one that the machine or client shows of itself.
    #[command(after_help = EXAMPLES)]
    Trust(Which),
    /// No longer trust, and keep it among the rejected.
    #[command(after_help = EXAMPLES)]
    Reject(Which),
    /// Add a revocation list, or an authority between the trusted one and the applications.
    #[command(after_help = EXAMPLES)]
    Add(Added),
    /// Delete it, wherever it is but in our own place.
    #[command(after_help = EXAMPLES)]
    Remove(Which),
}

const EXAMPLES: &str = "\
Examples:
  resonance certificate list plant.toml
  resonance certificate trust plant.toml --thumbprint 3fa27c51
  resonance certificate trust plant.toml --file plant-ca.der --for mill
  resonance certificate add plant.toml --file plant-ca.crl
  resonance certificate reject --pki pki --thumbprint 3fa27c51
  resonance certificate list plant.toml --format json | jq '.[] | select(.days < 30)'

Exit codes: 0 done, 1 there is none such or more than one, 2 the plant file or a file cannot be used";

/// Where they are.
#[derive(Debug, Args)]
#[group(id = "place", required = true, multiple = false)]
pub(crate) struct Where {
    /// The plant file, which names the folders of its OPC UA sources and server.
    #[arg(value_name = "PLANT.toml")]
    plant: Option<PathBuf>,
    /// The folder itself, instead of a plant file.
    #[arg(long, value_name = "DIR")]
    pki: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Listed {
    #[command(flatten)]
    place: Where,
    /// For people or for programs.
    #[arg(long, default_value = "text")]
    format: Format,
}

#[derive(Debug, Args)]
#[group(id = "which", required = true, multiple = false, args = ["thumbprint", "file"])]
pub(crate) struct Which {
    #[command(flatten)]
    place: Where,
    /// The first digits of its SHA-256 fingerprint or SHA-1 thumbprint, eight at least.
    #[arg(long, value_name = "HEX", value_parser = thumbprint)]
    thumbprint: Option<String>,
    /// A file with it, DER or PEM.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Only for this source, or `server`; needed with --file where several folders are used.
    #[arg(long = "for", value_name = "SOURCE")]
    user: Option<String>,
    /// For people or for programs.
    #[arg(long, default_value = "text")]
    format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Added {
    #[command(flatten)]
    place: Where,
    /// A file with the revocation list or the authority's certificate, DER or PEM.
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// Only for this source, or `server`; needed where several folders are used.
    #[arg(long = "for", value_name = "SOURCE")]
    user: Option<String>,
    /// For people or for programs.
    #[arg(long, default_value = "text")]
    format: Format,
}

/// A folder, and who uses it.
struct Used {
    folder: Folder,
    by: Vec<User>,
}

/// Who uses a folder, and what its peers' certificates are judged by.
struct User {
    /// A source's id, or `server`.
    name: String,
    /// What a peer's certificate has to fit: one of these.
    peers: &'static [Peer],
    allow_unknown_revocation: bool,
}

impl Used {
    fn names(&self) -> String {
        self.by.iter().map(|user| user.name.as_str()).collect::<Vec<_>>().join(", ")
    }
}

impl User {
    /// Why it refuses a peer with this certificate.
    fn refusal(&self, list: &TrustList, it: &Certificate, now: Timestamp) -> Option<Refusal> {
        let judge = |peer: &Peer| {
            let expected = Expected {
                peer: *peer,
                host: None,
                application_uri: None,
                allow_unknown_revocation: self.allow_unknown_revocation,
            };
            list.judge(it.der(), expected, now).err()
        };
        let mut refusals = self.peers.iter().map(judge);
        refusals.next().flatten().filter(|_| refusals.all(|refusal| refusal.is_some()))
    }
}

pub(crate) fn run(command: Command) -> Result<ExitCode, CliError> {
    match command {
        Command::List(args) => list(&args),
        Command::Trust(args) => change(&args, "trusted", trust),
        Command::Reject(args) => {
            change(&args, "rejected", |folder, it| folder.reject(it).map(|_| ()))
        }
        Command::Add(args) => add(&args),
        Command::Remove(args) => change(&args, "removed", |folder, it| {
            [Place::Trusted, Place::Issuers, Place::Rejected]
                .into_iter()
                .try_for_each(|place| folder.take_away(place, it))
        }),
    }
}

fn trust(folder: &Folder, it: &Certificate) -> Result<(), FolderError> {
    folder.trust(it).map(|_| ())
}

fn list(args: &Listed) -> Result<ExitCode, CliError> {
    let mut rows = Vec::new();
    for used in used(&args.place)? {
        let list = used.folder.trust_list();
        rows.extend(used.folder.entries().iter().map(|entry| row(&used, &list, entry)));
    }
    match args.format {
        Format::Json => output::print_json(&rows)?,
        Format::Text if rows.is_empty() => output::print("no certificates yet\n")?,
        Format::Text => output::print(&certificates(&rows))?,
    }
    Ok(Exit::Done.into())
}

fn row(used: &Used, list: &TrustList, entry: &Entry) -> Value {
    let mut row = json!({
        "place": entry.place.name(),
        "used_by": used.names(),
        "file": entry.file,
    });
    match &entry.item {
        Item::Certificate(it) => {
            let (state, reason) = state(used, list, entry.place, it);
            let days = it.not_after().since(SystemClock.now()).div_euclid(86_400_000_000_000);
            let more = json!({
                "state": state,
                "reason": reason,
                "subject": it.subject(),
                "issuer": it.issuer(),
                "application_uri": it.application_uri(),
                "hosts": it.hosts(),
                "fingerprint": it.fingerprint(),
                "short": it.fingerprint().get(..16),
                "thumbprint": it.thumbprint(),
                "from": it.not_before().to_string(),
                "until": it.not_after().to_string(),
                "days": days,
            });
            merge(&mut row, more);
        }
        Item::Crl(_) => merge(&mut row, json!({ "state": "revocation list" })),
        Item::Unreadable(problem) => {
            merge(&mut row, json!({ "state": "unreadable", "reason": problem }));
        }
    }
    row
}

fn merge(row: &mut Value, more: Value) {
    if let (Some(row), Value::Object(more)) = (row.as_object_mut(), more) {
        row.extend(more);
    }
}

/// In a word what becomes of a certificate, and why.
fn state(
    used: &Used,
    list: &TrustList,
    place: Place,
    it: &Certificate,
) -> (&'static str, Option<String>) {
    let now = SystemClock.now();
    let holds = it.not_before() <= now && now <= it.not_after();
    match place {
        _ if (place == Place::Own || it.is_authority()) && !holds => ("out of date", None),
        Place::Own => ("ours", None),
        Place::Issuers => ("issuer", None),
        _ if it.is_authority() && place == Place::Trusted => ("trusted authority", None),
        _ => {
            let refusals: Vec<_> =
                used.by.iter().filter_map(|by| Some((by, by.refusal(list, it, now)?))).collect();
            let is_trusted = refusals.len() < used.by.len();
            let reason = match &refusals[..] {
                [] => None,
                [(_, why)] if !is_trusted => Some(why.to_string()),
                several => {
                    let each =
                        several.iter().map(|(by, why)| format!("not for {}: {why}", by.name));
                    Some(each.collect::<Vec<_>>().join("; "))
                }
            };
            (if is_trusted { "trusted" } else { "refused" }, reason)
        }
    }
}

fn change(
    args: &Which,
    what: &str,
    change: impl Fn(&Folder, &Certificate) -> Result<(), FolderError>,
) -> Result<ExitCode, CliError> {
    let folders = of_user(used(&args.place)?, args.user.as_deref())?;
    let chosen: Vec<(&Used, Certificate)> = match (&args.file, &args.thumbprint) {
        (Some(file), _) => {
            let Item::Certificate(it) = read(file)? else {
                let problem = format!("{}: it is no certificate", file.display());
                return Err(CliError::Refused(problem));
            };
            let only = only(&folders)?;
            if what == "removed" && found(&only.folder, &it.fingerprint()).is_empty() {
                let (file, folder) = (file.display(), only.folder.path().display());
                let problem = format!("{file}: {folder} has no such certificate");
                return Err(CliError::Failed(problem));
            }
            vec![(only, *it)]
        }
        (None, Some(print)) => folders
            .iter()
            .flat_map(|used| found(&used.folder, print).into_iter().map(move |it| (used, it)))
            .collect(),
        // clap lets nobody come here.
        (None, None) => Vec::new(),
    };
    let mut prints: Vec<String> = chosen.iter().map(|(_, it)| it.fingerprint()).collect();
    prints.sort();
    prints.dedup();
    match prints.as_slice() {
        [] => return Err(CliError::Failed("there is no such certificate; see `list`".into())),
        [_] => {}
        several => {
            let several = several.join(", ");
            return Err(CliError::Failed(format!("several begin so: {several}; give more digits")));
        }
    }
    for (used, it) in &chosen {
        change(&used.folder, it).map_err(refused)?;
    }
    let done: Vec<Value> = chosen.iter().map(|(used, it)| told(used, what, it)).collect();
    match args.format {
        Format::Json => output::print_json(&done)?,
        Format::Text => {
            for (used, it) in &chosen {
                let (name, print) = (it.subject(), it.fingerprint());
                let by = used.names();
                output::print(&format!("{what} for {by}: {name}\n  fingerprint {print}\n"))?;
            }
        }
    }
    Ok(Exit::Done.into())
}

fn told(used: &Used, what: &str, it: &Certificate) -> Value {
    json!({
        "done": what,
        "used_by": used.names(),
        "subject": it.subject(),
        "fingerprint": it.fingerprint(),
    })
}

fn add(args: &Added) -> Result<ExitCode, CliError> {
    let folders = of_user(used(&args.place)?, args.user.as_deref())?;
    let used = only(&folders)?;
    let added = match read(&args.file)? {
        Item::Certificate(it) if !it.is_authority() => {
            let file = args.file.display();
            let problem = format!("{file}: it is an application's; trust it with `trust --file`");
            return Err(CliError::Refused(problem));
        }
        Item::Certificate(it) => used.folder.add_issuer(&it),
        Item::Crl(der) => used.folder.add_crl(&der),
        Item::Unreadable(problem) => {
            return Err(CliError::Refused(format!("{}: {problem}", args.file.display())));
        }
    };
    let file = added.map_err(refused)?;
    match args.format {
        Format::Json => output::print_json(&json!({ "done": "added", "file": file }))?,
        Format::Text => output::print(&format!("added as {}\n", file.display()))?,
    }
    Ok(Exit::Done.into())
}

/// Certificates of a folder, but ours, whose fingerprint or thumbprint begins so; each once.
fn found(folder: &Folder, print: &str) -> Vec<Certificate> {
    let mut found = BTreeMap::new();
    for entry in folder.entries() {
        if let Item::Certificate(it) = entry.item
            && entry.place != Place::Own
            && (it.fingerprint().starts_with(print) || it.thumbprint().starts_with(print))
        {
            found.insert(it.fingerprint(), *it);
        }
    }
    found.into_values().collect()
}

fn used(place: &Where) -> Result<Vec<Used>, CliError> {
    let plan = match (&place.pki, &place.plant) {
        (Some(folder), _) => {
            if !folder.is_dir() {
                let problem = format!("{}: there is no such folder", folder.display());
                return Err(CliError::Refused(problem));
            }
            // For whom it is, nobody says.
            let user = User {
                name: folder.display().to_string(),
                peers: &[Peer::Server, Peer::Client],
                allow_unknown_revocation: false,
            };
            return Ok(vec![Used { folder: Folder::at(folder), by: vec![user] }]);
        }
        (None, Some(plant)) => {
            let text = PlantText::read(plant)?;
            text.plan(Purpose::Check).0.ok_or_else(|| {
                let check = format!("resonance plant check {}", plant.display());
                CliError::Refused(format!("the plant file has mistakes: {check}"))
            })?
        }
        // clap lets nobody come here.
        (None, None) => return Err(CliError::Refused("name a plant file or --pki".into())),
    };
    let used = of_plan(&plan);
    match used.is_empty() {
        true => Err(CliError::Refused("the plant has neither OPC UA sources nor server".into())),
        false => Ok(used),
    }
}

fn of_plan(plan: &Plan) -> Vec<Used> {
    let mut by: BTreeMap<Folder, Vec<User>> = BTreeMap::new();
    for source in &plan.sources {
        if let SourceKind::Opcua(config) = &source.kind {
            by.entry(Folder::at(pki_folder(config))).or_default().push(User {
                name: source.id.to_string(),
                peers: &[Peer::Server],
                allow_unknown_revocation: config.allow_unknown_revocation,
            });
        }
    }
    if let Some(server) = &plan.servers.opcua {
        by.entry(Folder::at(&server.pki)).or_default().push(User {
            name: "server".into(),
            peers: &[Peer::Client],
            allow_unknown_revocation: server.allow_unknown_revocation,
        });
    }
    by.into_iter().map(|(folder, by)| Used { folder, by }).collect()
}

fn of_user(folders: Vec<Used>, user: Option<&str>) -> Result<Vec<Used>, CliError> {
    let Some(user) = user else { return Ok(folders) };
    let known = names(&folders);
    let of_it: Vec<Used> =
        folders.into_iter().filter(|used| used.by.iter().any(|by| by.name == user)).collect();
    match of_it.is_empty() {
        true => Err(CliError::Refused(format!("--for {user}: there are {known}"))),
        false => Ok(of_it),
    }
}

fn names(folders: &[Used]) -> String {
    folders.iter().map(Used::names).collect::<Vec<_>>().join(", ")
}

fn only(folders: &[Used]) -> Result<&Used, CliError> {
    match folders {
        [only] => Ok(only),
        several => {
            let known = names(several);
            Err(CliError::Refused(format!("say for whom with --for; there are {known}")))
        }
    }
}

fn read(file: &Path) -> Result<Item, CliError> {
    let bytes = std::fs::read(file)
        .map_err(|error| CliError::Refused(format!("{}: {error}", file.display())))?;
    Ok(Item::of_file(&bytes))
}

fn refused(error: FolderError) -> CliError {
    CliError::Refused(error.to_string())
}

/// As people write fingerprints: with colons or spaces, in capitals.
fn thumbprint(text: &str) -> Result<String, String> {
    let digits: String = text.chars().filter(|c| !matches!(c, ':' | ' ')).collect();
    let digits = digits.to_ascii_lowercase();
    match digits.len() >= 8 && digits.chars().all(|c| c.is_ascii_hexdigit()) {
        true => Ok(digits),
        false => Err("give at least eight hexadecimal digits".into()),
    }
}
