//! What is drawn for people.

pub(crate) mod live;
pub(crate) mod number;
pub(crate) mod status;
