//! What makes a plant what it is, in one archive: the plant file, model packages, certificates that
//! are trusted, and the result spool with the place of every sink and every deployment's sequence
//! number. No secret is in it: where one is needed, the listing says so.
//!
//! The archive is a `.tar.gz` whose first file, `backup.json`, lists the others in their order with
//! length and SHA-256. [`restore`] takes exactly that and nothing else.

mod archive;
mod gather;
mod listing;
mod restore;
#[cfg(test)]
mod tests;

pub(crate) use archive::write;
pub(crate) use gather::{GatherError, gather};
pub(crate) use listing::Listing;
pub(crate) use restore::{RestoreError, Terms, restore};
