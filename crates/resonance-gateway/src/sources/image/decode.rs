//! From a file to the bytes that a model sees. Whatever the file says of itself, no more memory is
//! taken than the stated bounds allow.

use std::io::Cursor;

use image::imageops::{FilterType, resize};
use image::{DynamicImage, ImageFormat, ImageReader, Limits};

use super::config::{ImageConfig, Pixels};

/// Memory of a decoder besides the image: tables, lines under way.
const WORKING_BYTES: u64 = 8 << 20;

/// Why a file is no image that we take; always its sender's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// More than `bytes_max`.
    #[error("it has {bytes} bytes; at most {most} are taken (`bytes_max`)")]
    TooManyBytes {
        /// Its bytes.
        bytes: usize,
        /// How many are taken.
        most: u32,
    },
    /// Neither PNG nor JPEG.
    #[error("it is neither a PNG nor a JPEG file")]
    Format,
    /// A side is longer than `side_max`, or there are none.
    #[error("it is {width} x {height} pixels; at most {most} a side are taken (`side_max`)")]
    TooLarge {
        /// Pixels, by its header.
        width: u32,
        /// Pixels, by its header.
        height: u32,
        /// Pixels a side that are taken.
        most: u32,
    },
    /// It breaks off, or contradicts itself.
    #[error("it cannot be decoded: {0}")]
    Damaged(String),
}

/// The image's bytes, one for each pixel or three planes of them, row after row, scaled as the source
/// says.
///
/// # Errors
/// Where the file is no such image, or larger than the source takes.
pub fn decode(file: &[u8], config: &ImageConfig) -> Result<Vec<u8>, Refused> {
    if file.len() > config.bytes_max as usize {
        let (bytes, most) = (file.len(), config.bytes_max);
        return Err(Refused::TooManyBytes { bytes, most });
    }
    let format = match image::guess_format(file) {
        Ok(format @ (ImageFormat::Png | ImageFormat::Jpeg)) => format,
        _ => return Err(Refused::Format),
    };
    let most = config.side_max;
    let damaged = |error: image::ImageError| Refused::Damaged(error.to_string());
    let (width, height) =
        ImageReader::with_format(Cursor::new(file), format).into_dimensions().map_err(damaged)?;
    if width > most || height > most || width == 0 || height == 0 {
        return Err(Refused::TooLarge { width, height, most });
    }
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(most), Some(most));
    // Up to four channels of sixteen bits.
    limits.max_alloc = Some(u64::from(width) * u64::from(height) * 8 + WORKING_BYTES);
    let mut reader = ImageReader::with_format(Cursor::new(file), format);
    reader.limits(limits);
    let decoded = reader.decode().map_err(damaged)?;
    Ok(planes(&decoded, config))
}

fn planes(decoded: &DynamicImage, config: &ImageConfig) -> Vec<u8> {
    let (width, height) = (config.width, config.height);
    match config.pixels {
        Pixels::Gray => {
            let gray = decoded.to_luma8();
            if gray.dimensions() == (width, height) {
                return gray.into_raw();
            }
            resize(&gray, width, height, FilterType::Triangle).into_raw()
        }
        Pixels::Rgb => {
            let rgb = resize(&decoded.to_rgb8(), width, height, FilterType::Triangle);
            let plane = |channel: usize| rgb.pixels().map(move |pixel| pixel.0[channel]);
            (0..3).flat_map(plane).collect()
        }
    }
}
