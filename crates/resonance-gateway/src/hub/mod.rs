//! Where all observations meet: last values, rings and the views of deployments over them.

pub mod ingest;
