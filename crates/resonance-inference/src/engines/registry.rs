//! The engines this program has: one line each.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Engine, EngineError, OnnxRuntime};

/// Every engine there is; which of them are usable is the machine's and the build's matter.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// ONNX Runtime, from its library on this machine.
    #[default]
    OnnxRuntime,
    /// tract, built in.
    Tract,
}

impl EngineKind {
    /// Every engine, the one that others are compared with first.
    pub const ALL: [Self; 2] = [Self::OnnxRuntime, Self::Tract];

    /// The name in plant files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OnnxRuntime => "onnxruntime",
            Self::Tract => "tract",
        }
    }

    /// The engine.
    ///
    /// # Errors
    /// [`EngineError::Unavailable`] where the machine or this build lacks it, with the remedy.
    pub fn find(self) -> Result<Arc<dyn Engine>, EngineError> {
        match self {
            Self::OnnxRuntime => Ok(Arc::new(OnnxRuntime::find()?)),
            #[cfg(feature = "tract")]
            Self::Tract => Ok(Arc::new(super::Tract::default())),
            #[cfg(not(feature = "tract"))]
            Self::Tract => Err(EngineError::Unavailable {
                problem: "this build leaves the engine tract out".into(),
                remedy: "build with the feature `tract`, or use engine = \"onnxruntime\"".into(),
            }),
        }
    }
}

impl std::fmt::Display for EngineKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
