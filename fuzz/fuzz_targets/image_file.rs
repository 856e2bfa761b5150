//! An image of a part, from a folder or over HTTP: no bytes make the decoder panic or take more memory
//! than its bounds, what is taken has the size that the source states, and what is refused is told why.
//! The first byte says how the pixels are wanted.
#![no_main]

use libfuzzer_sys::fuzz_target;
use resonance_gateway::sources::image::config::Pixels;
use resonance_gateway::sources::image::{ImageConfig, decode};

fuzz_target!(|data: &[u8]| {
    let Some((first, file)) = data.split_first() else { return };
    let text = "folder = \"in\"\nwidth = 8\nheight = 4\nside_max = 2048";
    let mut config: ImageConfig = text.parse::<toml::Table>().unwrap().try_into().unwrap();
    if first % 2 == 1 {
        config.pixels = Pixels::Rgb;
    }
    match decode(file, &config) {
        Ok(bytes) => assert_eq!(bytes.len(), if first % 2 == 1 { 96 } else { 32 }),
        Err(refused) => assert!(!refused.to_string().is_empty()),
    }
});
