//! Models that another server of the Open Inference Protocol v2 runs, over REST or gRPC.
//!
//! A remote model is held to its package like a local one: what the server declares of its
//! tensors is compared with the manifest and the golden vectors are asked of it before it answers
//! anything else, and again whenever it was lost or declares something new. It never runs on the
//! hub's thread. Any answer that does not fit is an error, and puts the server out until it has
//! passed again; meanwhile the deployment does what its fallback says.

mod config;
mod error;
mod executor;
mod grpc;
mod pace;
mod rest;
mod served;
mod target;
mod watch;

pub use config::{RemoteConfig, RemoteProtocol};
pub use error::RemoteError;
pub use executor::Remote;
pub(crate) use watch::Watch;
