//! Reads an archive, of which nothing is believed before it was checked, into an empty folder.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};

use super::archive::{Broken, Hashing, copy, hex};
use super::listing::{Entry, FILES_MAX, FORMAT, LISTING, Listing, inside};

/// The longest listing, bytes.
const LISTING_BYTES_MAX: u64 = 32 << 20;

/// What a restore insists on.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// The most that all files may take, bytes.
    pub(crate) bytes_max: u64,
    /// The archive's SHA-256, hexadecimal, where it is known.
    pub(crate) sha256: Option<String>,
}

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestoreError {
    /// The folder has something in it.
    #[error("{}: there is something here already; name a folder that is empty or not there yet",
            .0.display())]
    NotEmpty(PathBuf),
    /// The system refuses.
    #[error("{}: {source}", path.display())]
    System {
        /// What.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is another archive than expected.
    #[error("the archive's SHA-256 is {found}, not {expected}; it is another backup, or damaged")]
    OtherArchive {
        /// What was expected.
        expected: String,
        /// What it has.
        found: String,
    },
    /// It is no backup.
    #[error("this is no backup: {0}")]
    Foreign(String),
    /// A newer version wrote it.
    #[error("this backup has format {0}, this version knows {FORMAT}; use the newer version")]
    Newer(u32),
    /// A path leads out of the folder, or is none.
    #[error("refused: {0:?} is no path below the folder")]
    Path(String),
    /// A path is listed twice, or is both file and folder.
    #[error("refused: {0:?} is listed twice")]
    Twice(String),
    /// It would take too much room.
    #[error(
        "refused: its files take {bytes} bytes, more than the {bytes_max} allowed; --max-mib \
             allows more"
    )]
    TooLarge {
        /// What it would take.
        bytes: u64,
        /// What is allowed.
        bytes_max: u64,
    },
    /// What follows is not what the listing says.
    #[error("refused: {expected} is listed and {found} is there")]
    NotListed {
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A file is not the one that was backed up.
    #[error("refused: {path} is not as it was backed up: its {what} differs")]
    Changed {
        /// Which.
        path: String,
        /// What differs.
        what: &'static str,
    },
    /// The archive ends early or cannot be unpacked.
    #[error("the archive is damaged: {0}")]
    Damaged(String),
    /// A package is not the one that was backed up.
    #[error("refused: the package {folder} is not the one that was backed up: {problem}")]
    Package {
        /// Which.
        folder: String,
        /// What is wrong.
        problem: String,
    },
}

/// Restores a backup into a folder that is empty or not there yet. The folder has all of it or
/// nothing.
///
/// # Errors
/// Names what is wrong with the archive or the folder.
pub(crate) fn restore(
    archive: &Path,
    into: &Path,
    terms: &Terms,
    mut progress: impl FnMut(&Entry),
) -> Result<Listing, RestoreError> {
    if fs::read_dir(into).map_or(into.exists(), |mut entries| entries.next().is_some()) {
        return Err(RestoreError::NotEmpty(into.to_owned()));
    }
    let mut file = File::open(archive).map_err(|error| system(archive, error))?;
    if let Some(expected) = &terms.sha256 {
        expect_digest(archive, &mut file, expected)?;
    }
    let parent = into.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(|error| system(parent, error))?;
    let scratch = tempfile::Builder::new()
        .prefix(".resonance-restore-")
        .permissions(fs::Permissions::from_mode(0o700))
        .tempdir_in(parent);
    let scratch = scratch.map_err(|error| system(parent, error))?;
    let listing = unpack(file, scratch.path(), terms, &mut progress)?;
    check_packages(&listing, scratch.path())?;
    // What is there is an empty folder, of which the new one takes the place.
    fs::rename(scratch.path(), into).map_err(|error| system(into, error))?;
    Ok(listing)
}

fn unpack(
    file: File,
    folder: &Path,
    terms: &Terms,
    progress: &mut dyn FnMut(&Entry),
) -> Result<Listing, RestoreError> {
    let mut unpacked = tar::Archive::new(GzDecoder::new(BufReader::new(file)));
    // Raw: extensions, which may name any file and take any room, are not looked at.
    let entries = unpacked.entries().map_err(|error| damaged(&error))?.raw(true);
    let mut entries = entries.map(|entry| entry.map_err(|error| damaged(&error)));
    let listing = match entries.next() {
        None => return Err(RestoreError::Foreign("it is empty".into())),
        Some(entry) => read_listing(entry.map_err(foreign)?)?,
    };
    check_listing(&listing, terms)?;
    for expected in &listing.files {
        let Some(entry) = entries.next() else {
            let found = "its end".into();
            return Err(RestoreError::NotListed { expected: expected.path.clone(), found });
        };
        take(entry?, expected, folder)?;
        progress(expected);
    }
    match entries.next() {
        None => Ok(listing),
        Some(entry) => {
            let found = name(&entry?);
            Err(RestoreError::NotListed { expected: "nothing more".into(), found })
        }
    }
}

fn read_listing(entry: tar::Entry<'_, impl Read>) -> Result<Listing, RestoreError> {
    if !entry.header().entry_type().is_file() || name(&entry) != LISTING {
        let text = format!("it begins with {} instead of {LISTING}", name(&entry));
        return Err(RestoreError::Foreign(text));
    }
    if entry.size() > LISTING_BYTES_MAX {
        let text = format!("{LISTING} is longer than {LISTING_BYTES_MAX} bytes");
        return Err(RestoreError::Foreign(text));
    }
    let mut bytes = Vec::new();
    entry.take(LISTING_BYTES_MAX).read_to_end(&mut bytes).map_err(|error| damaged(&error))?;
    #[derive(serde::Deserialize)]
    struct OnlyFormat {
        format: u32,
    }
    let foreign = |error: serde_json::Error| RestoreError::Foreign(format!("{LISTING}: {error}"));
    let OnlyFormat { format } = serde_json::from_slice(&bytes).map_err(foreign)?;
    if format != FORMAT {
        return Err(RestoreError::Newer(format));
    }
    serde_json::from_slice(&bytes).map_err(foreign)
}

/// Whether a listing can be what we wrote.
fn check_listing(listing: &Listing, terms: &Terms) -> Result<(), RestoreError> {
    if listing.files.len() > FILES_MAX {
        let text = format!("it lists more than {FILES_MAX} files");
        return Err(RestoreError::Foreign(text));
    }
    let (bytes, bytes_max) = (listing.bytes(), terms.bytes_max);
    if bytes > bytes_max {
        return Err(RestoreError::TooLarge { bytes, bytes_max });
    }
    let (mut files, mut folders) = (BTreeSet::new(), BTreeSet::new());
    for entry in &listing.files {
        let path = Path::new(&entry.path);
        if inside(path).as_ref() != Some(&entry.path) || entry.path == LISTING {
            return Err(RestoreError::Path(entry.path.clone()));
        }
        folders.extend(path.ancestors().skip(1).filter(|folder| *folder != Path::new("")));
        if !files.insert(path) {
            return Err(RestoreError::Twice(entry.path.clone()));
        }
    }
    if let Some(both) = files.intersection(&folders).next() {
        return Err(RestoreError::Twice(both.display().to_string()));
    }
    if !files.contains(Path::new(&listing.plant)) {
        return Err(RestoreError::Foreign("it has no plant file".into()));
    }
    let is_listed =
        |package: &&super::listing::Package| folders.contains(Path::new(&package.folder));
    match listing.packages.iter().find(|package| !is_listed(package)) {
        None => Ok(()),
        Some(package) => Err(RestoreError::Path(package.folder.clone())),
    }
}

/// Takes the next file, which must be this one.
fn take(
    mut entry: tar::Entry<'_, impl Read>,
    expected: &Entry,
    folder: &Path,
) -> Result<(), RestoreError> {
    let found = name(&entry);
    let kind = entry.header().entry_type();
    if found != expected.path || !kind.is_file() {
        let found = if kind.is_file() { found } else { format!("{found} ({kind:?})") };
        return Err(RestoreError::NotListed { expected: expected.path.clone(), found });
    }
    let changed = |what| RestoreError::Changed { path: expected.path.clone(), what };
    if entry.size() != expected.bytes {
        return Err(changed("length"));
    }
    let path = folder.join(&expected.path);
    let failed = |error| system(Path::new(&expected.path), error);
    if let Some(parent) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(failed)?;
    }
    let file = File::options().write(true).create_new(true).mode(0o600).open(&path);
    let mut hashing = Hashing { file: file.map_err(failed)?, sha256: Sha256::new(), bytes: 0 };
    copy(&mut entry, &mut hashing).map_err(|broken| match broken {
        Broken::Read(error) => damaged(&error),
        Broken::Written(error) => failed(error),
    })?;
    hashing.file.sync_all().map_err(failed)?;
    if hashing.bytes != expected.bytes {
        return Err(changed("length"));
    }
    if hex(&hashing.sha256.finalize()) != expected.sha256.to_lowercase() {
        return Err(changed("SHA-256"));
    }
    Ok(())
}

/// Each package is whole, and the one that was backed up.
fn check_packages(listing: &Listing, folder: &Path) -> Result<(), RestoreError> {
    for package in &listing.packages {
        let refused = |problem| RestoreError::Package { folder: package.folder.clone(), problem };
        let limits = resonance_proof::PackageLimits::default();
        let path = folder.join(&package.folder);
        let model = resonance_inference::package::load(&path, &limits)
            .map_err(|error| refused(error.to_string()))?;
        let expected = model.files.expect_digest(&package.digest);
        expected.map_err(|error| refused(error.to_string()))?;
    }
    Ok(())
}

/// Leaves the file at its beginning: what is unpacked is what was digested.
fn expect_digest(archive: &Path, file: &mut File, expected: &str) -> Result<(), RestoreError> {
    let mut hashing = Hashing { file: io::sink(), sha256: Sha256::new(), bytes: 0 };
    copy(file, &mut hashing).map_err(|broken| system(archive, broken.into()))?;
    file.rewind().map_err(|error| system(archive, error))?;
    let found = hex(&hashing.sha256.finalize());
    if found == expected.trim_start_matches("sha256:").to_lowercase() {
        return Ok(());
    }
    Err(RestoreError::OtherArchive { expected: expected.to_owned(), found })
}

/// What an entry calls itself.
fn name(entry: &tar::Entry<'_, impl Read>) -> String {
    let name = entry.path_bytes();
    String::from_utf8_lossy(&name).replace(char::is_control, "\u{fffd}")
}

fn foreign(error: RestoreError) -> RestoreError {
    match error {
        RestoreError::Damaged(problem) => RestoreError::Foreign(problem),
        error => error,
    }
}

fn damaged(error: &io::Error) -> RestoreError {
    RestoreError::Damaged(error.to_string())
}

fn system(path: &Path, source: io::Error) -> RestoreError {
    RestoreError::System { path: path.to_owned(), source }
}
