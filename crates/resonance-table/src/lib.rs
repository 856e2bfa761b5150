//! Parquet files that may be damaged or hostile, and their rows as a table of text would have them.
//!
//! What recordings are read with, wherever: by a source, by a simulated machine, by `replay`.
#![forbid(unsafe_code)]

mod guard;
mod pages;
mod rows;
#[cfg(test)]
mod tests;

pub use guard::{Checked, guarded, open};
pub use rows::{LeftOut, ParquetRows, TableError, is_parquet};
