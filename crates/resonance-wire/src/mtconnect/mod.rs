//! MTConnect documents (ANSI/MTC1.4), versions 1.8 to 2.7: what an agent says of its devices, what
//! it observed, and why it refuses.
//!
//! [`Devices`] is the answer to `probe`; [`Streams`] reads answers to `current` and `sample` one
//! observation at a time, borrowed from the document; [`Multipart`] cuts the endless answer to a
//! streaming `sample` into documents. Each has a bound on memory, depth and length. The emitters
//! in [`emit`] are for agents.

mod conditions;
mod devices;
pub mod emit;
mod error;
mod header;
mod multipart;
mod names;
mod refusal;
mod streams;
mod units;
mod vocabulary;
mod xml;

pub use conditions::{Activation, Conditions, Level};
pub use devices::{
    Category, Component, Composition, Constraints, DataItem, Description, Device, Devices, Filters,
    Representation,
};
pub use error::WireError;
pub use header::{Header, Sequences, Version};
pub use multipart::{Multipart, Part};
pub use names::element_name;
pub use refusal::{AgentError, Refusal};
pub use streams::{Cell, Content, Entry, Observation, Reading, Series, Streams};
pub use units::unit;
pub use vocabulary::{EventForm, event_form};

/// What a document may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest document, bytes.
    pub document_bytes_max: usize,
    /// The most components and data items of all devices together.
    pub items_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { document_bytes_max: 64 << 20, items_max: 200_000 }
    }
}

/// What a document is, by its root element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `MTConnectDevices`: the answer to `probe`.
    Devices,
    /// `MTConnectStreams`: the answer to `current` and `sample`.
    Streams,
    /// `MTConnectAssets`: the answer to `asset`.
    Assets,
    /// `MTConnectError`: a refusal.
    Error,
}

impl Kind {
    /// The root element's name.
    pub const fn root(self) -> &'static str {
        match self {
            Self::Devices => "MTConnectDevices",
            Self::Streams => "MTConnectStreams",
            Self::Assets => "MTConnectAssets",
            Self::Error => "MTConnectError",
        }
    }

    /// What a document is. Reads no further than its root's opening tag.
    ///
    /// # Errors
    /// Where it is no MTConnect document of a version that is read here.
    pub fn of(document: &[u8], limits: Limits) -> Result<Self, WireError> {
        Ok(header::open(document, limits)?.1.kind)
    }
}

#[cfg(test)]
mod tests;
