//! Where all observations meet: last values, rings and the views of deployments over them.

pub mod core;
pub mod gaps;
pub mod ingest;
pub mod ring;
pub mod run;
