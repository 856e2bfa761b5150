//! `resonance demo`: a simulated plant, wired like a real one.

mod packages;
mod plant;
mod readers;
mod scene;

pub(crate) use readers::{Readers, Served};
pub(crate) use scene::{Recorded, Scene, SceneError};

#[cfg(test)]
mod tests;
