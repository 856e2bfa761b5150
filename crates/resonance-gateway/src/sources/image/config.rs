//! `[[source]] type = "image"`.

use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The addresses that its points may have.
pub const ADDRESSES: [&str; 3] = ["image", "part_id", "triggered"];

/// Images of parts (PNG or JPEG), from a folder or over HTTP; one of `folder` and `listen` is
/// needed. Addresses of points: `image` (type bytes: `width` x `height` x channels, plane after
/// plane, row by row from the top left), `part_id` (string), `triggered` (datetime).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageConfig {
    /// A folder that is watched, relative to the plant file's. A file's name without its ending is
    /// the part's id, its time of modification the trigger. Once taken it is moved to `done` in
    /// the folder, or to `refused` where it is no image.
    #[serde(default)]
    pub folder: Option<PathBuf>,
    /// Where images are POSTed to, such as `127.0.0.1:8070`: `POST /?part_id=P1&triggered=TIME`,
    /// the file as the body. A loopback address.
    #[serde(default)]
    pub listen: Option<SocketAddr>,
    /// Images are scaled to this width, pixels.
    pub width: u32,
    /// Images are scaled to this height, pixels.
    pub height: u32,
    /// What a pixel is.
    #[serde(default)]
    pub pixels: Pixels,
    /// Files and bodies beyond this are refused, bytes.
    #[serde(default = "defaults::bytes_max")]
    pub bytes_max: u32,
    /// Images wider or higher than this are refused before they are decoded, pixels.
    #[serde(default = "defaults::side_max")]
    pub side_max: u32,
    /// The least time between two images that go on to models, milliseconds; more wait.
    #[serde(default = "defaults::interval_ms")]
    pub interval_ms: u32,
    /// How often the folder is looked at, milliseconds.
    #[serde(default = "defaults::scan_ms")]
    pub scan_ms: u32,
}

/// What a pixel is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pixels {
    /// One byte of brightness.
    #[default]
    Gray,
    /// Red, green and blue, each a plane of its own.
    Rgb,
}

impl Pixels {
    /// Bytes of a pixel.
    pub fn channels(self) -> usize {
        match self {
            Self::Gray => 1,
            Self::Rgb => 3,
        }
    }
}

impl ImageConfig {
    /// Bytes of an image as models see it.
    pub fn elements(&self) -> usize {
        (self.width as usize).saturating_mul(self.height as usize) * self.pixels.channels()
    }
}

/// What `width` and `height` may be.
pub const SIDES: std::ops::RangeInclusive<u32> = 1..=4096;

mod defaults {
    pub(super) fn bytes_max() -> u32 {
        16 << 20
    }
    pub(super) fn side_max() -> u32 {
        8192
    }
    pub(super) fn interval_ms() -> u32 {
        20
    }
    pub(super) fn scan_ms() -> u32 {
        200
    }
}
