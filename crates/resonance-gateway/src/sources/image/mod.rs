//! Images of parts, from a folder that is watched or POSTed over HTTP: each with the part it shows
//! and the moment at which it was triggered.
//!
//! What arrives is decoded here, within bounds of bytes and dimensions ([`decode`]), and scaled to
//! the size that the source states, so that a model's input is a row of bytes and nothing more.
//! Points have one of three addresses: `image` (bytes, plane after plane), `part_id` (string) and
//! `triggered` (datetime); the three are observed together.

pub mod config;
mod decode;
mod folder;
mod http;
mod session;
#[cfg(test)]
mod tests;

pub use config::{ADDRESSES, ImageConfig};
pub use decode::{Refused, decode};
pub use session::ImageSource;
pub(super) use session::visit;
