use image::{DynamicImage, GrayImage, ImageFormat, Rgb, RgbImage};

use super::config::{ImageConfig, Pixels};
use super::decode::{Refused, decode};
use super::folder::{Watched, put_away, read};

fn config(width: u32, height: u32) -> ImageConfig {
    toml::from_str(&format!("folder = 'in'\nwidth = {width}\nheight = {height}")).unwrap()
}

fn file(image: DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn gray(width: u32, height: u32) -> DynamicImage {
    DynamicImage::ImageLuma8(GrayImage::from_fn(width, height, |x, y| [(x + 16 * y) as u8].into()))
}

#[test]
fn a_png_of_the_right_size_is_taken_pixel_by_pixel() {
    let bytes = decode(&file(gray(8, 4), ImageFormat::Png), &config(8, 4)).unwrap();
    let expected: Vec<u8> = (0..4).flat_map(|y| (0..8).map(move |x| x + 16 * y)).collect();
    assert_eq!(bytes, expected);
}

#[test]
fn other_sizes_are_scaled_and_colours_are_planes() {
    let half = decode(&file(gray(64, 32), ImageFormat::Jpeg), &config(8, 4)).unwrap();
    assert_eq!(half.len(), 32);
    let red = RgbImage::from_pixel(4, 4, Rgb([200, 100, 0]));
    let rgb = ImageConfig { pixels: Pixels::Rgb, ..config(2, 2) };
    let planes = decode(&file(red.into(), ImageFormat::Png), &rgb).unwrap();
    assert_eq!(planes, [200, 200, 200, 200, 100, 100, 100, 100, 0, 0, 0, 0]);
    assert_eq!(rgb.elements(), planes.len());
}

#[test]
fn what_is_no_image_or_too_much_of_one_is_refused_by_name() {
    let small = config(8, 4);
    assert_eq!(decode(b"GIF89a, or so", &small), Err(Refused::Format));
    assert_eq!(decode(b"", &small), Err(Refused::Format));
    let png = file(gray(64, 64), ImageFormat::Png);
    for end in [9, png.len() / 2, png.len() - 13] {
        let cut = decode(&png[..end], &small);
        assert!(matches!(cut, Err(Refused::Damaged(_))), "{end}: {cut:?}");
    }
    let few = ImageConfig { bytes_max: 10, ..small.clone() };
    let told = decode(&png, &few).unwrap_err().to_string();
    assert_eq!(told, format!("it has {} bytes; at most 10 are taken (`bytes_max`)", png.len()));
    let narrow = ImageConfig { side_max: 63, ..small };
    assert_eq!(decode(&png, &narrow), Err(Refused::TooLarge { width: 64, height: 64, most: 63 }));
}

/// A header of a few bytes that promises more pixels than any memory holds.
#[test]
fn a_header_that_promises_too_much_costs_nothing() {
    let mut png = file(gray(8, 4), ImageFormat::Png);
    // Width and height, and the checksum over them (PNG, 11.2.2).
    png[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
    let refused = decode(&png, &config(8, 4)).unwrap_err();
    assert!(matches!(refused, Refused::Damaged(_) | Refused::TooLarge { .. }), "{refused}");
}

#[test]
fn a_file_is_whole_once_it_looks_the_same_twice() {
    let folder = tempfile::tempdir().unwrap();
    let part = folder.path().join("P-1.PNG");
    std::fs::write(&part, b"half").unwrap();
    std::fs::write(folder.path().join("notes.txt"), b"no image").unwrap();
    std::fs::create_dir(folder.path().join("x.png")).unwrap();
    let mut watched = Watched::default();
    assert_eq!(watched.scan(folder.path()).unwrap(), []);
    std::fs::write(&part, b"half and half").unwrap();
    assert_eq!(watched.scan(folder.path()).unwrap(), [], "it has grown");
    let found = watched.scan(folder.path()).unwrap();
    assert_eq!((found.len(), found[0].part_id.as_deref()), (1, Some("P-1")));
    assert!(found[0].triggered.is_some());
    assert_eq!(read(&part, 4).unwrap(), b"half ", "one byte more tells that there are more");
    put_away(&part, "done").unwrap();
    assert!(folder.path().join("done/P-1.PNG").is_file());
    assert_eq!(watched.scan(folder.path()).unwrap(), []);
}
