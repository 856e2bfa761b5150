//! Runs models: packages, engines and the arithmetic between points and tensors. No network.

pub mod engines;
pub mod package;
pub mod preprocessing;

pub use engines::{Engine, EngineError, Limits, Program, Session};
pub use package::manifest::Manifest;
