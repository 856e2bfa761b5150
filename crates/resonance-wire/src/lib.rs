//! Sans-IO protocol codecs: bytes in, values out, and back. No sockets, no clocks, no unsafe.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_possible_truncation)
)]

pub mod isa95;
pub mod mtconnect;
pub mod oip;
pub mod otlp;
