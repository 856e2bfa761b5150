//! The gateway: sources fill the hub, deployments judge what is in it, sinks and servers pass on
//! what they find.

pub mod access;
pub mod deployments;
pub mod events;
mod expiry;
pub mod hub;
mod inference_service;
pub mod latency;
pub mod models;
mod origin;
pub mod plan;
pub mod recording;
pub mod remote;
pub mod results;
pub mod secret;
pub mod servers;
pub mod sinks;
pub mod sources;
pub mod spool;
pub mod status;
pub mod supervisor;
mod tls;
pub mod traces;
pub mod wish;
