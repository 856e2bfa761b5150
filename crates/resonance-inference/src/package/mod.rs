//! Model packages: a folder with `model.toml`, an ONNX file, golden vectors and a card.

pub mod manifest;

use std::sync::Arc;

use resonance_proof::VerifiedPackage;

pub use manifest::Manifest;

/// A package whose files were verified and whose manifest was understood.
#[derive(Clone, Debug)]
pub struct VerifiedModel {
    /// The manifest.
    pub manifest: Arc<Manifest>,
    /// The files.
    pub files: VerifiedPackage,
}
