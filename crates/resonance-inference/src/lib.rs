//! Runs models: packages, engines and the arithmetic between points and tensors. No network.

pub mod bench;
pub mod compare;
pub mod engines;
pub mod golden;
pub mod json;
pub mod onnx;
pub mod outputs;
pub mod package;
pub mod preprocessing;

pub use engines::{Engine, EngineError, EngineKind, Limits, OnnxRuntime, Program, Session};
pub use golden::{GoldenMismatch, GoldenReport, verify_golden};
pub use package::manifest::Manifest;
