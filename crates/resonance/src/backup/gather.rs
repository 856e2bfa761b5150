//! From a plant file to everything that belongs to it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use resonance_gateway::plan::{Plan, SourceKind};
use resonance_gateway::sources::opcua::pki_folder;
use resonance_gateway::spool::{self, SpoolError};
use resonance_inference::package::VerifiedModel;
use resonance_plant::{Clock, SystemClock};

use super::listing::{FILES_MAX, FORMAT, LISTING, LeftOut, Listing, Moved, Package, inside};
use crate::config::{NamedPath, PathRole, PlantText, Purpose};

/// The largest file besides packages and the spool, bytes: certificates are small.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// How deep folders of certificates may be.
const DEPTH_MAX: usize = 8;
/// Where paths go that led out of the plant file's folder.
const OUTSIDE: &str = "outside";
/// What a folder of certificates has besides, and why it is left out. A certificate without its key
/// would be of no use; where both are absent, they are made.
const NOT_TRUST: [(&str, &str); 5] = [
    ("own", "our own certificate: put it back with its key, or have machines trust a new one"),
    ("private", "our private key"),
    ("rejected", "what machines showed and nobody trusts"),
    ("shown", "what machines showed"),
    ("admitted", "whom the server let in, which it finds again"),
];

/// Why a plant cannot be backed up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GatherError {
    /// The plant file is wrong.
    #[error("{0}")]
    Plant(String),
    /// A secret would be in the archive.
    #[error(
        "{}: there are secrets in the plant file itself; put each into a file or a variable and \
         write file:PATH or env:NAME instead",
        .0.display()
    )]
    SecretInside(PathBuf),
    /// A file cannot be read.
    #[error("{}: {reason}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// The spool cannot be copied.
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

/// A file's content.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// In memory.
    Bytes(Arc<[u8]>),
    /// In a file that nobody else has.
    File(PathBuf),
}

/// What goes into a backup.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub(super) listing: Listing,
    /// By their path in the backup.
    pub(super) files: BTreeMap<String, Content>,
    /// Where copies are kept until they are in the archive.
    _copies: tempfile::TempDir,
}

/// Gathers what there is. A running gateway is not disturbed; copies are made in `scratch`.
///
/// # Errors
/// Where the plant file is wrong, holds secrets, or something it names cannot be read.
pub(crate) fn gather(plant: &PlantText, scratch: &Path) -> Result<Gathered, GatherError> {
    let (plan, report) = plant.plan(Purpose::Check);
    let plan = plan.ok_or_else(|| GatherError::Plant(report.render(false)))?;
    if !plant.secrets_inside().is_empty() {
        return Err(GatherError::SecretInside(plant.path().to_owned()));
    }
    let copies = tempfile::Builder::new().prefix(".resonance-backup-").tempdir_in(scratch);
    let copies = copies.map_err(|error| unreadable(scratch, &error))?;
    let name = plant.path().file_name().and_then(|name| name.to_str());
    let name = name.filter(|name| *name != LISTING).unwrap_or("plant.toml").to_owned();
    // A restored plant has such a folder already.
    let kept: Vec<String> =
        plant.named_paths().iter().filter_map(|named| inside(Path::new(&named.text))).collect();
    let is_used = |outside: &String| {
        let below = format!("{outside}/");
        kept.iter().any(|place| place == outside || place.starts_with(&below))
    };
    let numbered = (2..).map(|number| format!("{OUTSIDE}-{number}"));
    let outside = std::iter::once(OUTSIDE.to_owned()).chain(numbered).find(|it| !is_used(it));
    let mut gathering = Gathering {
        outside: outside.unwrap_or_default(),
        folder: plant.folder(),
        copies: copies.path(),
        files: BTreeMap::new(),
        places: BTreeMap::new(),
        packages: Vec::new(),
        left_out: Vec::new(),
        moved: Vec::new(),
        afterwards: Vec::new(),
    };
    let mut replaced = Vec::new();
    for named in plant.named_paths() {
        if let Some(place) = gathering.named(&named, &plan)? {
            replaced.push((named.span, place));
        }
    }
    gathering.unnamed(plant, &plan)?;
    for reference in plant.secret_references() {
        gathering.leave_out(&reference, "a secret: only where it is, is in the plant file");
    }
    let text = plant.with_replaced(replaced);
    gathering.add(name.clone(), Content::Bytes(text.into_bytes().into()));
    let Gathering { files, packages, left_out, moved, afterwards, .. } = gathering;
    if files.len() > FILES_MAX {
        let reason = format!("it names more than the {FILES_MAX} files that a backup may have");
        return Err(GatherError::Unreadable { path: plant.path().to_owned(), reason });
    }
    let listing = Listing {
        format: FORMAT,
        resonance: env!("CARGO_PKG_VERSION").into(),
        made_at: SystemClock.now(),
        plant: name,
        files: Vec::new(),
        packages,
        left_out,
        moved,
        afterwards,
    };
    Ok(Gathered { listing, files, _copies: copies })
}

struct Gathering<'p> {
    /// The folder of what was outside.
    outside: String,
    folder: &'p Path,
    copies: &'p Path,
    files: BTreeMap<String, Content>,
    /// Where what was outside went.
    places: BTreeMap<PathBuf, String>,
    packages: Vec<Package>,
    left_out: Vec<LeftOut>,
    moved: Vec<Moved>,
    afterwards: Vec<String>,
}

impl Gathering<'_> {
    /// Takes what the plant file names; returns the path it has now, where that is another.
    fn named(&mut self, named: &NamedPath, plan: &Plan) -> Result<Option<String>, GatherError> {
        let path = self.folder.join(&named.text);
        if let Some(why) = named.role.left_out() {
            self.leave_out(&named.text, why);
            if named.role == PathRole::Recording {
                self.afterwards.push(format!("put {} where {} says", named.text, named.key));
            }
            // What is written anew must not be written where the original is.
            return Ok(None);
        }
        let place = self.place(&named.text);
        match named.role {
            PathRole::Package => self.package(&path, &place, plan)?,
            PathRole::Trust => self.trust(&path, &place, 0)?,
            PathRole::Spool => self.spool(&path, &place)?,
            _ => self.certificate(&path, &place)?,
        }
        if inside(Path::new(&named.text)).is_some() {
            return Ok(None);
        }
        self.moved.push(Moved {
            key: named.key.clone(),
            from: named.text.clone(),
            to: place.clone(),
        });
        Ok(Some(place))
    }

    /// What the plant uses without naming it: the spool and folders of certificates.
    fn unnamed(&mut self, plant: &PlantText, plan: &Plan) -> Result<(), GatherError> {
        let names = |role| plant.named_paths().iter().any(|named| named.role == role);
        if !names(PathRole::Spool) {
            self.spool(&plan.spool.path, "spool.sqlite")?;
        }
        if let Some(server) = &plan.servers.opcua
            && let Ok(below) = server.pki.strip_prefix(self.folder)
            && let Some(place) = inside(below)
        {
            self.trust(&server.pki, &place, 0)?;
        }
        let shared = plan.sources.iter().find_map(|source| match &source.kind {
            SourceKind::Opcua(config) if config.pki.is_none() => Some(pki_folder(config)),
            _ => None,
        });
        if let Some(folder) = shared.filter(|folder| folder.is_dir()) {
            let place = format!("{}/pki", self.outside);
            self.trust(&folder, &place, 0)?;
            self.afterwards.push(format!(
                "the sources' certificates were in {}; start with RESONANCE_PKI={place}, or put \
                 them there",
                folder.display()
            ));
        }
        Ok(())
    }

    /// Where a path of the plant file goes.
    fn place(&mut self, text: &str) -> String {
        if let Some(place) = inside(Path::new(text)) {
            return place;
        }
        let path = self.folder.join(text);
        let (taken, name) = (self.places.len(), path.file_name().and_then(|name| name.to_str()));
        let name = name.and_then(|name| inside(Path::new(name))).unwrap_or_else(|| "it".into());
        let new = || format!("{}/{taken}-{name}", self.outside);
        self.places.entry(path).or_insert_with(new).clone()
    }

    fn add(&mut self, place: String, content: Content) {
        self.files.insert(place, content);
    }

    fn leave_out(&mut self, what: &str, why: &str) {
        let left_out = LeftOut { what: what.to_owned(), why: why.to_owned() };
        if !self.left_out.contains(&left_out) {
            self.left_out.push(left_out);
        }
    }

    fn package(&mut self, path: &Path, place: &str, plan: &Plan) -> Result<(), GatherError> {
        if self.packages.iter().any(|package| package.folder == place) {
            return Ok(());
        }
        let model = models(plan).find(|model| model.files.folder() == path);
        let loaded;
        let model = match model {
            Some(model) => model,
            // One that stands in for another, or that only another server runs.
            None => {
                let limits = resonance_proof::PackageLimits::default();
                loaded = resonance_inference::package::load(path, &limits)
                    .map_err(|error| unreadable(path, &error))?;
                &loaded
            }
        };
        for name in model.files.names() {
            let bytes = model.files.file(name).map(Arc::clone).unwrap_or_default();
            self.add(format!("{place}/{name}"), Content::Bytes(bytes));
        }
        for name in model.files.ignored() {
            self.leave_out(&format!("{place}/{name}"), "the package's manifest does not list it");
        }
        self.packages.push(Package {
            folder: place.to_owned(),
            model: format!("{} {}", model.manifest.name, model.manifest.version),
            digest: model.files.digest().to_string(),
        });
        Ok(())
    }

    /// A folder of certificates; none is no error, for it is made when it is needed.
    fn trust(&mut self, folder: &Path, place: &str, depth: usize) -> Result<(), GatherError> {
        let entries = match fs::read_dir(folder).and_then(Iterator::collect) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            entries => entries,
        };
        let mut entries: Vec<fs::DirEntry> =
            entries.map_err(|error: std::io::Error| unreadable(folder, &error))?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (path, name) = (entry.path(), entry.file_name());
            let kept = name.to_str().and_then(|name| inside(Path::new(name)));
            let kind = fs::metadata(&path).ok();
            match (kept, kind) {
                (Some(name), Some(kind)) if kind.is_dir() => {
                    let not_trust = NOT_TRUST.iter().find(|(not, _)| depth == 0 && *not == name);
                    if let Some((_, why)) = not_trust {
                        self.leave_out(&format!("{place}/{name}"), why);
                    } else if depth < DEPTH_MAX {
                        self.trust(&path, &format!("{place}/{name}"), depth + 1)?;
                    } else {
                        self.leave_out(&path.display().to_string(), "it lies too deep");
                    }
                }
                (Some(name), Some(kind)) if kind.is_file() => {
                    self.certificate(&path, &format!("{place}/{name}"))?;
                }
                _ => self.leave_out(&path.display().to_string(), "it is no file"),
            }
        }
        Ok(())
    }

    fn certificate(&mut self, path: &Path, place: &str) -> Result<(), GatherError> {
        let mut bytes = Vec::new();
        let file = fs::File::open(path).map_err(|error| unreadable(path, &error))?;
        let read = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
        read.map_err(|error| unreadable(path, &error))?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            let reason = format!("it is larger than {FILE_BYTES_MAX} bytes; is it a certificate?");
            return Err(GatherError::Unreadable { path: path.to_owned(), reason });
        }
        if is_private_key(path, &bytes) {
            self.leave_out(&path.display().to_string(), "a private key");
            return Ok(());
        }
        self.add(place.to_owned(), Content::Bytes(bytes.into()));
        Ok(())
    }

    /// The spool as it is at one moment, while a gateway writes on.
    fn spool(&mut self, path: &Path, place: &str) -> Result<(), GatherError> {
        let copy = self.copies.join("spool.sqlite");
        match spool::copy(path, &copy) {
            Ok(()) => self.add(place.to_owned(), Content::File(copy)),
            Err(SpoolError::Absent(_)) => {
                self.leave_out(&path.display().to_string(), "there is none: no sink had a result");
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

fn models(plan: &Plan) -> impl Iterator<Item = &VerifiedModel> {
    let deployed = plan.deployments.iter().map(|deployment| &*deployment.model);
    plan.models.iter().map(|model| &**model).chain(deployed)
}

/// Whether a file holds a key that only its owner should have.
fn is_private_key(path: &Path, bytes: &[u8]) -> bool {
    let named = path.extension().is_some_and(|extension| {
        ["key", "p12", "pfx"].iter().any(|key| extension.eq_ignore_ascii_case(key))
    });
    named || bytes.windows(11).any(|at| at == b"PRIVATE KEY")
}

fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> GatherError {
    GatherError::Unreadable { path: path.to_owned(), reason: error.to_string() }
}
