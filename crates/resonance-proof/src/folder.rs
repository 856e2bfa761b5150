//! Reading files from one folder and nowhere else.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;

use crate::ProofError;

/// Longest file name, bytes.
const NAME_BYTES_MAX: usize = 128;

/// Reads one file of a folder, at most `bytes_max` bytes, following no link.
///
/// # Errors
/// Where the name is no plain file name, or the file is absent, a link, too large or unreadable.
pub fn read_file(folder: &Path, name: &str, bytes_max: u64) -> Result<Arc<[u8]>, ProofError> {
    if !is_file_name(name) {
        return Err(ProofError::Name { name: name.to_owned() });
    }
    let io = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => {
            ProofError::Missing { file: name.to_owned(), folder: folder.to_owned() }
        }
        _ => ProofError::Io { file: name.to_owned(), reason: error.to_string() },
    };
    let path = folder.join(name);
    let before = fs::symlink_metadata(&path).map_err(io)?;
    plain(name, &before)?;
    let file = File::open(&path).map_err(io)?;
    let opened = file.metadata().map_err(io)?;
    plain(name, &opened)?;
    if !is_same(&before, &opened) {
        // Someone put a link in the file's place between the two looks at it.
        return Err(ProofError::NotAFile { file: name.to_owned(), what: "a link" });
    }
    let too_large = || ProofError::TooLarge { file: name.to_owned(), limit: bytes_max };
    if opened.len() > bytes_max {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(opened.len()).unwrap_or(0));
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > bytes_max {
        return Err(too_large());
    }
    Ok(bytes.into())
}

/// Names in the folder besides `files`, at most `names_max` of them.
pub(crate) fn names_besides(
    folder: &Path,
    files: &BTreeMap<String, Arc<[u8]>>,
    names_max: usize,
) -> Result<Vec<String>, ProofError> {
    let unreadable = |error: std::io::Error| ProofError::Folder {
        folder: folder.to_owned(),
        reason: error.to_string(),
    };
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)?.take(names_max + files.len()) {
        let name = entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned();
        if !files.contains_key(&name) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn is_file_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && !name.starts_with('.')
        && !name.contains(|c: char| matches!(c, '/' | '\\' | ':') || c.is_control())
}

fn plain(name: &str, metadata: &Metadata) -> Result<(), ProofError> {
    let kind = metadata.file_type();
    let what = if kind.is_symlink() {
        "a link"
    } else if kind.is_dir() {
        "a folder"
    } else if !kind.is_file() {
        "a device or pipe"
    } else {
        return Ok(());
    };
    Err(ProofError::NotAFile { file: name.to_owned(), what })
}

#[cfg(unix)]
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    one.len() == other.len() && one.modified().ok() == other.modified().ok()
}
