//! What is drawn for people.

#[allow(dead_code, reason = "the demo shows it")]
pub(crate) mod live;
pub(crate) mod number;
pub(crate) mod status;
