//! Pinning the files of a package: `resonance model pack`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use resonance_proof::{PackageLimits, file_digest, read_file};

use crate::{Limits, onnx};

use super::{GOLDEN, MANIFEST, Manifest, PackageError, VerifiedModel, load, parse, read_manifest};

/// What packing did.
#[derive(Clone, Debug)]
pub struct Packed {
    /// The package, read again from disk and verified.
    pub model: VerifiedModel,
    /// Files that are new in the manifest or whose digest changed.
    pub changed: Vec<String>,
}

/// Computes the digest of every file of a package and writes them into its manifest, whose other
/// text stays as it is. Pinned are the model, the files beside it that it keeps weights in, the
/// golden vectors, what `[files]` already lists and `extra`.
///
/// # Errors
/// Where the manifest is wrong in itself or a file cannot be read; nothing is written then.
pub fn pack(
    folder: &Path,
    extra: &[String],
    limits: &PackageLimits,
) -> Result<Packed, PackageError> {
    let (bytes, manifest) = read_manifest(folder)?;
    super::validate::validate(&manifest, false)
        .map_err(|problems| PackageError::Manifest { file: folder.join(MANIFEST), problems })?;
    let digests = digests(folder, &manifest, extra, limits)?;
    let changed: Vec<String> = digests
        .iter()
        .filter(|(name, digest)| manifest.files.get(*name) != Some(digest))
        .map(|(name, _)| name.clone())
        .collect();
    let golden = read_file(folder, GOLDEN, limits.file_bytes_max).map_err(|source| {
        PackageError::Files { folder: folder.to_owned(), source: source.into() }
    })?;
    super::golden_of(folder, &manifest, &golden)?;
    if !changed.is_empty() {
        let text = String::from_utf8_lossy(&bytes);
        let text = with_files(&text, &digests);
        let expected = Manifest { files: digests, ..manifest };
        if parse::parse(text.as_bytes()).ok() != Some(expected) {
            return Err(PackageError::Manifest {
                file: folder.join(MANIFEST),
                problems: vec![
                    "the digests cannot be written in place; make [files] a table of its own, \
                     one line a file, at the end"
                        .into(),
                ],
            });
        }
        replace(folder, &text)?;
    }
    Ok(Packed { model: load(folder, limits)?, changed })
}

fn digests(
    folder: &Path,
    manifest: &Manifest,
    extra: &[String],
    limits: &PackageLimits,
) -> Result<BTreeMap<String, String>, PackageError> {
    let names = [manifest.model.as_str(), GOLDEN].into_iter();
    let names = names.chain(manifest.files.keys().map(String::as_str));
    let beside = data_files(folder, &manifest.model, limits);
    let names = names.chain(beside.iter().map(String::as_str));
    let mut digests = BTreeMap::new();
    for name in names.chain(extra.iter().map(String::as_str)) {
        let bytes = read_file(folder, name, limits.file_bytes_max).map_err(|source| {
            PackageError::Files { folder: folder.to_owned(), source: source.into() }
        })?;
        digests.insert(name.to_owned(), file_digest(&bytes));
    }
    Ok(digests)
}

/// The files beside the model that it keeps weights in. A model that no engine would take has
/// none: what is wrong with it is said when it is loaded.
fn data_files(folder: &Path, model: &str, limits: &PackageLimits) -> Vec<String> {
    let Ok(bytes) = read_file(folder, model, limits.file_bytes_max) else { return Vec::new() };
    let Ok(summary) = onnx::inspect(model, &bytes, &Limits::default()) else { return Vec::new() };
    let is_beside = |name: &String| {
        Path::new(name).file_name().is_some_and(|file| file == name.as_str())
            && folder.join(name).is_file()
    };
    summary.external.into_keys().filter(is_beside).collect()
}

/// The manifest's text with its `[files]` table replaced, or added at the end.
fn with_files(text: &str, digests: &BTreeMap<String, String>) -> String {
    let mut table = String::from("[files]\n");
    for (name, digest) in digests {
        table += &format!("{} = \"{digest}\"\n", toml::Value::String(name.clone()));
    }
    let is_header = |line: &str| line.trim_start().starts_with('[');
    let lines: Vec<&str> = text.lines().collect();
    let Some(first) = lines.iter().position(|line| line.trim().starts_with("[files]")) else {
        return format!("{}\n\n{table}", text.trim_end());
    };
    let rest = &lines[first + 1..];
    let length = rest.iter().position(|line| is_header(line)).unwrap_or(rest.len());
    let (before, after) = (&lines[..first], &rest[length..]);
    let mut packed: String = before.iter().flat_map(|line| [line, "\n"]).collect();
    packed += &table;
    if !after.is_empty() {
        packed.push('\n');
    }
    packed.extend(after.iter().flat_map(|line| [line, "\n"]));
    packed
}

/// Writes the manifest in one step, so that a crash leaves the old one or the new one.
fn replace(folder: &Path, text: &str) -> Result<(), PackageError> {
    let file = folder.join(MANIFEST);
    let new = folder.join(format!(".{MANIFEST}.new"));
    let write = || -> std::io::Result<()> {
        let mut out = std::fs::File::create(&new)?;
        out.write_all(text.as_bytes())?;
        out.sync_all()?;
        std::fs::rename(&new, &file)
    };
    write().map_err(|error| PackageError::Write { file: file.clone(), reason: error.to_string() })
}
