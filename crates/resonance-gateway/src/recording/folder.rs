//! The folder of a recording: numbered files, each whole once it bears its name, within a bound.
//!
//! A file is written under a name that ends in `.part` and gets its own when it is finished and on
//! the disk. What a crash leaves is a part, and no part is ever read.

use std::collections::VecDeque;
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use resonance_inference::package::VerifiedModel;

use super::RecordingError;

/// The folder of the packages, inside that of the recording.
pub const MODELS: &str = "models";

const WINDOWS: &str = "windows-";
const OBSERVATIONS: &str = "observations-";
const PART: &str = ".part";

/// The folder of a recording that goes on.
pub(super) struct Folder {
    path: PathBuf,
    next: u64,
    /// Finished files, the oldest first, with their sizes.
    finished: VecDeque<(PathBuf, u64)>,
    bytes: u64,
    bytes_max: u64,
    packages: Vec<String>,
    /// Held so that no second process takes the parts for those of a crash.
    _lock: File,
}

/// What became of the oldest files when a new one was finished.
#[derive(Debug, Default)]
pub(super) struct Trimmed {
    /// They gave way.
    pub(super) gone: Vec<PathBuf>,
    /// One that could not be removed; the folder holds more than it may.
    pub(super) stuck: Option<RecordingError>,
}

/// The names of one file: while it is written, and when it is finished.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) part: PathBuf,
    finished: PathBuf,
}

impl Folder {
    /// Opens or makes the folder. Returns it with the number of parts that a crash had left.
    pub(super) fn open(path: &Path, bytes_max: u64) -> Result<(Self, usize), RecordingError> {
        fs::create_dir_all(path).map_err(|error| RecordingError::write(path, &error))?;
        let lock = lock(path)?;
        let mut folder = Self {
            path: path.to_owned(),
            next: 1,
            finished: VecDeque::new(),
            bytes: 0,
            bytes_max,
            packages: Vec::new(),
            _lock: lock,
        };
        let mut found = Vec::new();
        let mut parts = 0;
        for (file, name) in names_in(path)? {
            let Some(number) = number_of(&name) else { continue };
            folder.next = folder.next.max(number + 1);
            if name.ends_with(PART) {
                fs::remove_file(&file).map_err(|error| RecordingError::write(&file, &error))?;
                parts += 1;
            } else {
                let bytes = fs::metadata(&file).map_or(0, |about| about.len());
                found.push((number, file, bytes));
            }
        }
        found.sort();
        folder.bytes = found.iter().map(|(.., bytes)| bytes).sum();
        folder.finished = found.into_iter().map(|(_, file, bytes)| (file, bytes)).collect();
        Ok((folder, parts))
    }

    /// The names of the next file of observations, or of windows of a model.
    pub(super) fn next(&mut self, model: Option<&str>) -> Names {
        let number = self.next;
        self.next += 1;
        let name = match model {
            Some(model) => format!("{WINDOWS}{number:06}-{}.parquet", plain(model)),
            None => format!("{OBSERVATIONS}{number:06}.parquet"),
        };
        Names { part: self.path.join(format!("{name}{PART}")), finished: self.path.join(name) }
    }

    /// Gives a file that is whole and on the disk its name. Returns what gave way.
    pub(super) fn finish(&mut self, names: Names) -> Result<Trimmed, RecordingError> {
        let named = fs::rename(&names.part, &names.finished).and_then(|()| sync(&self.path));
        named.map_err(|error| RecordingError::write(&names.finished, &error))?;
        let bytes = fs::metadata(&names.finished).map_or(0, |about| about.len());
        self.finished.push_back((names.finished, bytes));
        self.bytes += bytes;
        let mut trimmed = Trimmed::default();
        // The newest stays, however large it is.
        while self.bytes > self.bytes_max && self.finished.len() > 1 {
            let Some((oldest, bytes)) = self.finished.pop_front() else { break };
            match fs::remove_file(&oldest) {
                Ok(()) => trimmed.gone.push(oldest),
                // Somebody keeps it elsewhere by now.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => {
                    trimmed.stuck = Some(RecordingError::write(&oldest, &error));
                    self.finished.push_front((oldest, bytes));
                    break;
                }
            }
            self.bytes = self.bytes.saturating_sub(bytes);
        }
        Ok(trimmed)
    }

    /// Keeps a copy of a package, once, so that its windows can be run again whatever becomes of
    /// the package's own folder.
    pub(super) fn keep(&mut self, model: &VerifiedModel) -> Result<(), RecordingError> {
        let name = package_name(&model.manifest.name, model.files.digest());
        if self.packages.contains(&name) {
            return Ok(());
        }
        let folder = self.path.join(MODELS).join(&name);
        if !is_whole(&folder, model) {
            let part = self.path.join(MODELS).join(format!("{name}{PART}"));
            copy(model, &part, &folder).map_err(|error| RecordingError::write(&folder, &error))?;
        }
        self.packages.push(name);
        Ok(())
    }
}

/// Takes the lock file in the folder.
fn lock(folder: &Path) -> Result<File, RecordingError> {
    let path = folder.join(".lock");
    let lock = File::options().create(true).truncate(false).write(true).open(&path);
    let lock = lock.map_err(|error| RecordingError::write(&path, &error))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(RecordingError::InUse(folder.to_owned())),
        Err(TryLockError::Error(error)) => Err(RecordingError::write(&path, &error)),
    }
}

/// Whether the folder has the whole package: a copy that a power cut interrupted has not.
fn is_whole(folder: &Path, model: &VerifiedModel) -> bool {
    let is_there = |file: &str| {
        let kept = fs::read(folder.join(file)).ok();
        kept.is_some_and(|kept| model.files.file(file).is_some_and(|bytes| **bytes == *kept))
    };
    model.files.names().all(is_there)
}

/// Writes the files of a package into `part`, has them on the disk, and names it `folder`.
fn copy(model: &VerifiedModel, part: &Path, folder: &Path) -> std::io::Result<()> {
    for earlier in [part, folder] {
        if earlier.exists() {
            fs::remove_dir_all(earlier)?;
        }
    }
    fs::create_dir_all(part)?;
    for file in model.files.names() {
        let Some(bytes) = model.files.file(file) else { continue };
        fs::write(part.join(file), bytes)?;
        sync(&part.join(file))?;
    }
    sync(part)?;
    fs::rename(part, folder)?;
    folder.parent().map_or(Ok(()), sync)
}

/// Has a file, or the names in a folder, on the disk.
fn sync(path: &Path) -> std::io::Result<()> {
    File::open(path)?.sync_all()
}

/// The folder of a package's copy below [`MODELS`]: its name and the beginning of its digest.
pub(super) fn package_name(model: &str, digest: &str) -> String {
    let digits = digest.strip_prefix("sha256:").unwrap_or(digest);
    format!("{}-{}", plain(model), digits.get(..16).unwrap_or(digits))
}

/// The finished files of windows in a folder, the oldest first.
///
/// # Errors
/// Where the folder cannot be read.
pub fn files_of_windows(folder: &Path) -> Result<Vec<PathBuf>, RecordingError> {
    let mut found: Vec<_> = names_in(folder)?
        .into_iter()
        .filter(|(_, name)| name.starts_with(WINDOWS) && !name.ends_with(PART))
        .filter_map(|(file, name)| Some((number_of(&name)?, file)))
        .collect();
    found.sort();
    Ok(found.into_iter().map(|(_, file)| file).collect())
}

fn names_in(folder: &Path) -> Result<Vec<(PathBuf, String)>, RecordingError> {
    let failed = |error| RecordingError::read(folder, &error);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        found.push((entry.path(), entry.file_name().to_string_lossy().into_owned()));
    }
    Ok(found)
}

/// The number of one of the recording's own files.
fn number_of(name: &str) -> Option<u64> {
    let rest = name.strip_prefix(WINDOWS).or_else(|| name.strip_prefix(OBSERVATIONS))?;
    let whole = rest.strip_suffix(PART).unwrap_or(rest);
    whole.strip_suffix(".parquet")?.split('-').next()?.parse().ok()
}

/// A name as it can stand in a file's.
fn plain(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    name.chars().map(|c| if fits(c) { c } else { '_' }).take(80).collect()
}
