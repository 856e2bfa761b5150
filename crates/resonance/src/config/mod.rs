//! The plant file: reading it, telling every mistake in it at once, and turning it into a plan.

pub(crate) mod element;
pub(crate) mod schema;
