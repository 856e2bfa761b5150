//! `resonance demo`: a simulated plant, wired like a real one.

mod packages;
mod plant;
mod scene;

pub(crate) use scene::{Recorded, Scene, SceneError};
