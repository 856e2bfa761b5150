//! `backup.json`: what is in a backup, and what is not.

use std::path::{Component, Path, PathBuf};

use resonance_plant::Timestamp;
use serde::{Deserialize, Serialize};

/// The name of the listing in the archive, which no other file may have.
pub(super) const LISTING: &str = "backup.json";

/// The form of the archive; raised with every change that older versions cannot read.
pub(super) const FORMAT: u32 = 1;

/// Files in a backup at most.
pub(super) const FILES_MAX: usize = 100_000;

/// What is in a backup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listing {
    /// The form of the archive.
    pub(crate) format: u32,
    /// The version that wrote it.
    pub(crate) resonance: String,
    /// When.
    pub(crate) made_at: Timestamp,
    /// The plant file, one of `files`.
    pub(crate) plant: String,
    /// Every file, in the order of the archive.
    pub(crate) files: Vec<Entry>,
    /// The model packages among them.
    pub(crate) packages: Vec<Package>,
    /// What the plant needs and the backup has not.
    pub(crate) left_out: Vec<LeftOut>,
    /// Paths that the plant file names otherwise than the original did: they led out of its folder.
    pub(crate) moved: Vec<Moved>,
    /// What is to be done with it once it is restored.
    pub(crate) afterwards: Vec<String>,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    /// Where it is, below the folder of the plant file.
    pub(crate) path: String,
    /// Its length.
    pub(crate) bytes: u64,
    /// Its SHA-256, hexadecimal.
    pub(crate) sha256: String,
}

/// A model package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Package {
    /// Its folder.
    pub(crate) folder: String,
    /// The model's name and version.
    pub(crate) model: String,
    /// `sha256:` and the digest of the whole package.
    pub(crate) digest: String,
}

/// Something that is not in the backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LeftOut {
    /// What.
    pub(crate) what: String,
    /// Why.
    pub(crate) why: String,
}

/// A path that had to change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Moved {
    /// Where the plant file names it.
    pub(crate) key: String,
    /// As it was.
    pub(crate) from: String,
    /// As it is now.
    pub(crate) to: String,
}

impl Listing {
    /// The length of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.bytes))
    }
}

/// The path as it is kept in a listing, if it stays below the folder it is relative to.
pub(super) fn inside(path: &Path) -> Option<String> {
    let mut kept = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(part) => kept.push(part),
            _ => return None,
        }
    }
    let kept = kept.to_str()?;
    // What a terminal would obey is no name either.
    let is_odd = |c: char| c == '\\' || c.is_control();
    (!kept.is_empty() && !kept.contains(is_odd)).then(|| kept.to_owned())
}
