//! What engines answer to the same inputs, and how far their answers lie apart.
//!
//! Engines run models in a process of their own ([`Job`], [`answer`]): a model that nobody
//! vouches for must not reach anything else. What a process answered is then compared here.

mod difference;
mod job;
mod lone;
mod report;
#[cfg(test)]
mod tests;
mod vectors;

pub use difference::{Difference, Greatest, difference, element};
pub use job::{Answer, Job, Outcome, VectorAnswer, answer, open};
pub use lone::{LoneError, of_file};
pub use report::{
    Comparison, EngineColumn, LabelDiffers, OutputDifference, Place, Problem, SetComparison,
    compare,
};
pub use vectors::{VectorError, VectorSet, from_rows, generated, golden, of_request};
