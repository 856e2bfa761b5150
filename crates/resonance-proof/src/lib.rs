//! What may be trusted: the small crate that turns files into verified ones.
//!
//! A [`VerifiedPackage`] can only be made here.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::sync::Arc;

/// The files of a package, read once, each with the digest it was pinned to.
#[derive(Debug, Clone)]
pub struct VerifiedPackage {
    files: BTreeMap<String, Arc<[u8]>>,
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

    /// `sha256:` and the digest of the whole package.
    pub fn digest(&self) -> &Arc<str> {
        &self.digest
    }

    /// Whether a signature was verified.
    pub fn is_signed(&self) -> bool {
        self.signed
    }
}
