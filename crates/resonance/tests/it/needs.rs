//! What tests need beside this program. Each function returns nothing where it is absent, and
//! says so or fails, as [`skip`] decides.

#[path = "../../../../tests/required.rs"]
mod required;

use std::path::{Path, PathBuf};

use resonance_inference::engines::onnxruntime::OnnxRuntime;

pub(crate) use required::skip;

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("the workspace exists while its tests run")
}

/// The interpreter that has the peers' packages.
pub fn python(test: &str) -> Option<PathBuf> {
    let configured = std::env::var_os("RESONANCE_PEERS_PYTHON").map(PathBuf::from);
    let python = configured.unwrap_or_else(|| workspace().join(".cache/peers/bin/python"));
    if python.exists() {
        return Some(python);
    }
    skip(test, "peers", &format_args!("no {}; run `make peers`", python.display()));
    None
}

/// ONNX Runtime.
pub fn engine(test: &str) -> Option<OnnxRuntime> {
    let found = OnnxRuntime::find();
    if let Err(error) = &found {
        skip(test, "onnxruntime", error);
    }
    found.ok()
}

/// Whether there is ONNX Runtime.
pub fn has_engine(test: &str) -> bool {
    engine(test).is_some()
}

/// A file or folder of the data that is no part of the project.
pub fn shared(test: &str, path: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("RESONANCE_SHARED").map(PathBuf::from);
    let path = shared.unwrap_or_else(|| workspace().join("../shared")).join(path);
    if path.exists() {
        return Some(path);
    }
    skip(test, "shared", &format_args!("no {}; set RESONANCE_SHARED", path.display()));
    None
}
