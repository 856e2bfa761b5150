//! What may be trusted: the small crate that turns files into verified ones.
//!
//! A [`VerifiedPackage`] can only be made here, by [`verify`]: every file is read once, from
//! inside the package's folder, within bounds, and must have the digest it was pinned to. Nobody
//! reads the files again, so what was checked is what is used.
#![forbid(unsafe_code)]

mod digest;
mod folder;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use digest::{file_digest, is_digest, package_digest};
pub use folder::read_file;

/// Bounds on a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackageLimits {
    /// Largest file, bytes.
    pub file_bytes_max: u64,
    /// All files together, bytes.
    pub package_bytes_max: u64,
    /// Number of files.
    pub files_max: usize,
}

impl Default for PackageLimits {
    fn default() -> Self {
        Self { file_bytes_max: 1 << 30, package_bytes_max: 2 << 30, files_max: 256 }
    }
}

/// The files of a package, read once, each with the digest it was pinned to.
#[derive(Debug, Clone)]
pub struct VerifiedPackage {
    folder: PathBuf,
    files: BTreeMap<String, Arc<[u8]>>,
    ignored: Vec<String>,
    digest: Arc<str>,
    signed: bool,
}

impl VerifiedPackage {
    /// A file's bytes.
    pub fn file(&self, name: &str) -> Option<&Arc<[u8]>> {
        self.files.get(name)
    }

    /// The names of all files.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Names in the folder that the manifest does not list. They were not read and have no say.
    pub fn ignored(&self) -> impl Iterator<Item = &str> {
        self.ignored.iter().map(String::as_str)
    }

    /// Where the package was read from; for messages only.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// `sha256:` and the digest of the whole package, as [`package_digest`] forms it.
    pub fn digest(&self) -> &Arc<str> {
        &self.digest
    }

    /// Whether a signature was verified.
    pub fn is_signed(&self) -> bool {
        self.signed
    }

    /// Checks the package against a digest that someone else pinned, such as a plant file.
    ///
    /// # Errors
    /// [`ProofError::PackageDigest`] where it is another package.
    pub fn expect_digest(&self, pinned: &str) -> Result<(), ProofError> {
        if *pinned == *self.digest {
            return Ok(());
        }
        Err(ProofError::PackageDigest {
            folder: self.folder.clone(),
            pinned: pinned.into(),
            actual: self.digest.to_string(),
        })
    }
}

/// Why a package is not trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The folder cannot be read.
    #[error("{} cannot be read as a package: {reason}", folder.display())]
    Folder {
        /// Which folder.
        folder: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The manifest lists a name that is no plain file name.
    #[error(
        "{name:?} is no file name of a package: it may hold no path separator, no control \
         character and not start with a dot; put the file into the package's folder itself"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// A file is not there.
    #[error("{file} is not in {}; restore it, or pack anew without it", folder.display())]
    Missing {
        /// Which file.
        file: String,
        /// In which folder.
        folder: PathBuf,
    },
    /// A listed name is a link, a folder or a device.
    #[error("{file} is {what}, not a file; a package holds its files itself")]
    NotAFile {
        /// Which name.
        file: String,
        /// What it is.
        what: &'static str,
    },
    /// A file is larger than allowed.
    #[error("{file} is larger than the {limit} bytes allowed")]
    TooLarge {
        /// Which file, or the package as a whole.
        file: String,
        /// Bytes allowed.
        limit: u64,
    },
    /// The manifest lists more files than allowed.
    #[error("the package lists {actual} files, more than the {limit} allowed")]
    TooManyFiles {
        /// How many it lists.
        actual: usize,
        /// How many it may.
        limit: usize,
    },
    /// A pinned digest is none.
    #[error("{text:?} of {file} is no digest; it must be sha256: and 64 lower-case digits")]
    DigestForm {
        /// Of which file.
        file: String,
        /// What stands there.
        text: String,
    },
    /// A file is not the one that was pinned.
    #[error(
        "{file} was changed: the manifest pins {pinned}, the file has {actual}; restore it, or \
         pack anew if the change is wanted"
    )]
    Digest {
        /// Which file.
        file: String,
        /// As pinned.
        pinned: String,
        /// As found.
        actual: String,
    },
    /// The package is not the one that was pinned.
    #[error("{} is another package: {pinned} is pinned, {actual} found", folder.display())]
    PackageDigest {
        /// Which folder.
        folder: PathBuf,
        /// As pinned.
        pinned: String,
        /// As found.
        actual: String,
    },
    /// A file cannot be read.
    #[error("{file} cannot be read: {reason}")]
    Io {
        /// Which file.
        file: String,
        /// What the system says.
        reason: String,
    },
}

/// Reads every pinned file of a package once and checks its digest.
///
/// `manifest` is the name and the bytes of the file that holds the pins, as [`read_file`] gave
/// them. `pinned` maps every other file to its digest. Other names in the folder are listed by
/// [`VerifiedPackage::ignored`] and never read.
///
/// # Errors
/// Names the file and what is wrong with it; the first in the order of names.
pub fn verify(
    folder: &Path,
    manifest: (&str, Arc<[u8]>),
    pinned: &BTreeMap<String, String>,
    limits: &PackageLimits,
) -> Result<VerifiedPackage, ProofError> {
    if pinned.len() >= limits.files_max {
        let (actual, limit) = (pinned.len() + 1, limits.files_max);
        return Err(ProofError::TooManyFiles { actual, limit });
    }
    let mut total = manifest.1.len() as u64;
    let mut files = BTreeMap::from([(manifest.0.to_owned(), manifest.1)]);
    for (name, pin) in pinned {
        if !is_digest(pin) {
            return Err(ProofError::DigestForm { file: name.clone(), text: pin.clone() });
        }
        if files.contains_key(name) {
            return Err(ProofError::Name { name: name.clone() });
        }
        let bytes = read_file(folder, name, limits.file_bytes_max)?;
        total += bytes.len() as u64;
        if total > limits.package_bytes_max {
            let file = "the package".to_owned();
            return Err(ProofError::TooLarge { file, limit: limits.package_bytes_max });
        }
        let actual = file_digest(&bytes);
        if actual != *pin {
            return Err(ProofError::Digest { file: name.clone(), pinned: pin.clone(), actual });
        }
        files.insert(name.clone(), bytes);
    }
    let ignored = folder::names_besides(folder, &files, limits.files_max)?;
    let digest = package_digest(files.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])));
    Ok(VerifiedPackage {
        folder: folder.to_owned(),
        files,
        ignored,
        digest: digest.into(),
        // Signatures are verified by a later part of this crate; until then no package is signed.
        signed: false,
    })
}
