//! MTConnect between this project's agent, its source and peers that nobody here wrote the codec of.

mod schemas;
