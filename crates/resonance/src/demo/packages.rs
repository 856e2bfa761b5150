//! The demo's model packages, carried in the binary so that one file is enough.

use std::io;
use std::path::{Path, PathBuf};

/// A package's files, by name.
pub(super) struct Package {
    name: &'static str,
    files: &'static [(&'static str, &'static [u8])],
}

macro_rules! package {
    ($name:literal: $($file:literal),*) => {
        Package {
            name: $name,
            files: &[$((
                $file,
                include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/", $name, "/", $file)),
            )),*],
        }
    };
}

/// Flank wear of the simulated CNC's tool.
pub(super) static TOOL_WEAR: Package =
    package!("tool-wear": "model.toml", "model.onnx", "golden.json", "card.md");

/// Remaining useful life of a turbofan, with the description of its recording.
pub(super) static TURBOFAN_RUL: Package = package!(
    "turbofan-rul": "model.toml", "model.onnx", "golden.json", "card.md", "replay.toml"
);

/// Whether the recorded mill cuts.
pub(super) static CUTTING: Package =
    package!("cutting": "model.toml", "model.onnx", "golden.json", "card.md");

/// The description of the recorded milling runs.
pub(super) static CNC_MILL: Package = package!("cnc-mill": "replay.toml");

impl Package {
    /// Writes the package into a folder of its name below `folder`. Returns that folder.
    pub(super) fn write(&self, folder: &Path) -> io::Result<PathBuf> {
        let own = folder.join(self.name);
        std::fs::create_dir_all(&own)?;
        for (name, bytes) in self.files {
            std::fs::write(own.join(name), bytes)?;
        }
        Ok(own)
    }
}
