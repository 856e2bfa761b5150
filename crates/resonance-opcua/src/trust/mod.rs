//! Whom to trust: certificates of OPC UA applications, authorities, revocation lists, and the folder
//! they are kept in. The OPC UA stack knows exact certificates only.

mod certificate;
mod folder;
mod judge;
#[cfg(test)]
mod tests;

pub use certificate::{Certificate, own_of_chain};
pub use folder::{Entry, Folder, FolderError, Item, Place};
pub(crate) use folder::{files, read};
pub use judge::{Expected, Peer, Refusal, Trust, TrustList};
