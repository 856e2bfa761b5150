//! The gRPC service of the Open Inference Protocol v2, both sides of it.
#![allow(
    missing_docs,
    clippy::all,
    clippy::allow_attributes_without_reason,
    dead_code,
    reason = "made from proto/open_inference.proto"
)]

include!(concat!(env!("OUT_DIR"), "/inference.rs"));
