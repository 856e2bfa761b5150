//! Model packages: a folder with `model.toml`, an ONNX file, golden vectors and a card.

pub mod golden;
pub mod manifest;
mod pack;
mod parse;
#[cfg(test)]
mod tests;
mod validate;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use resonance_proof::{PackageLimits, ProofError, VerifiedPackage, read_file, verify};

pub use golden::{GoldenError, GoldenVector};
pub use manifest::Manifest;
pub use pack::{Packed, pack};

/// The manifest's file name.
pub const MANIFEST: &str = "model.toml";

/// The golden vectors' file name.
pub const GOLDEN: &str = "golden.json";

/// Largest manifest, bytes.
const MANIFEST_BYTES_MAX: u64 = 1 << 20;

/// A package whose files were verified and whose manifest was understood.
#[derive(Clone, Debug)]
pub struct VerifiedModel {
    /// The manifest.
    pub manifest: Arc<Manifest>,
    /// The files.
    pub files: VerifiedPackage,
    /// What the model must answer before it may serve; at least one.
    pub golden: Arc<[GoldenVector]>,
}

/// Why a package is refused. Every message names the file and the remedy.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PackageError {
    /// The manifest is not understood.
    #[error("{}:{line}:{column}: {message}", file.display())]
    Syntax {
        /// The manifest.
        file: PathBuf,
        /// Line, from one.
        line: usize,
        /// Column in characters, from one.
        column: usize,
        /// What is wrong, with the nearest known key for an unknown one.
        message: String,
    },
    /// The manifest contradicts itself.
    #[error("{}: {}", file.display(), problems.join("; "))]
    Manifest {
        /// The manifest.
        file: PathBuf,
        /// Everything that is wrong.
        problems: Vec<String>,
    },
    /// The files are not those that the manifest pins.
    #[error("{}: {source}", folder.display())]
    Files {
        /// The package's folder.
        folder: PathBuf,
        /// What is wrong.
        #[source]
        source: Box<ProofError>,
    },
    /// The golden vectors are not understood.
    #[error("{}: {source}", file.display())]
    Golden {
        /// The file of golden vectors.
        file: PathBuf,
        /// What is wrong.
        #[source]
        source: Box<GoldenError>,
    },
    /// The manifest cannot be written.
    #[error("{} cannot be written: {reason}", file.display())]
    Write {
        /// The manifest.
        file: PathBuf,
        /// What the system says.
        reason: String,
    },
}

/// Reads a package: its manifest, then every file that it pins, each once.
///
/// # Errors
/// Names the file, what is wrong with it and the remedy.
pub fn load(folder: &Path, limits: &PackageLimits) -> Result<VerifiedModel, PackageError> {
    let (bytes, manifest) = read_manifest(folder)?;
    check(folder, &manifest)?;
    let files = verify(folder, (MANIFEST, bytes), &manifest.files, limits).map_err(|source| {
        PackageError::Files { folder: folder.to_owned(), source: source.into() }
    })?;
    let golden = golden_of(folder, &manifest, files.file(GOLDEN).map_or(&[], |bytes| &bytes[..]))?;
    Ok(VerifiedModel { manifest: Arc::new(manifest), files, golden: golden.into() })
}

/// The manifest's bytes and what they say; not yet validated.
fn read_manifest(folder: &Path) -> Result<(Arc<[u8]>, Manifest), PackageError> {
    let bytes = read_file(folder, MANIFEST, MANIFEST_BYTES_MAX).map_err(|source| {
        PackageError::Files { folder: folder.to_owned(), source: source.into() }
    })?;
    let manifest = parsed(folder, &bytes)?;
    Ok((bytes, manifest))
}

/// What a manifest's bytes say, if they make sense; `folder` is for messages only.
///
/// # Errors
/// Names the manifest and everything that is wrong with it.
pub fn read_manifest_bytes(folder: &Path, bytes: &[u8]) -> Result<Manifest, PackageError> {
    let manifest = parsed(folder, bytes)?;
    check(folder, &manifest)?;
    Ok(manifest)
}

fn parsed(folder: &Path, bytes: &[u8]) -> Result<Manifest, PackageError> {
    parse::parse(bytes).map_err(|problem| PackageError::Syntax {
        file: folder.join(MANIFEST),
        line: problem.line,
        column: problem.column,
        message: problem.message,
    })
}

fn check(folder: &Path, manifest: &Manifest) -> Result<(), PackageError> {
    validate::validate(manifest, true)
        .map_err(|problems| PackageError::Manifest { file: folder.join(MANIFEST), problems })
}

fn golden_of(
    folder: &Path,
    manifest: &Manifest,
    bytes: &[u8],
) -> Result<Vec<GoldenVector>, PackageError> {
    golden::parse(bytes, manifest)
        .map_err(|source| PackageError::Golden { file: folder.join(GOLDEN), source: source.into() })
}
