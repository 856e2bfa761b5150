//! Where all observations meet: last values, rings and the views of deployments over them.

pub mod core;
pub mod ingest;
pub mod ring;
pub mod run;
