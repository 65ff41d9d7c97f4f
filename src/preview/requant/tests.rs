use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use proptest::prelude::*;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;

use super::*;

const SIZE: (u16, u16) = (333, 187);

/// A picture with some detail in it.
fn picture(
    sampling: SamplingFactor,
    color: ColorType,
    change: impl Fn(&mut Encoder<&mut Vec<u8>>),
) -> Vec<u8> {
    let (width, height) = SIZE;
    let channels = if color == ColorType::Luma { 1 } else { 3 };
    let wave = |x: u32, y: u32, c: u32| {
        let (x, y, c) = (x as f32, y as f32, c as f32);
        let wave = (x / (7.0 + 9.0 * c)).sin() * (y / 11.0).cos() * 90.0;
        let edge = if (x as u32 / 40 + y as u32 / 25).is_multiple_of(2) { 30.0 } else { -20.0 };
        (128.0 + wave + edge + (x * y * (c + 1.0) / 50.0) % 9.0) as u8
    };
    let at = |i: usize| {
        let (pixel, channel) = (i / channels, i % channels);
        wave((pixel % usize::from(width)) as u32, (pixel / usize::from(width)) as u32, channel as u32)
    };
    let pixels: Vec<u8> = (0..usize::from(width) * usize::from(height) * channels).map(at).collect();
    let mut jpeg = Vec::new();
    let mut encoder = Encoder::new(&mut jpeg, 90);
    encoder.set_sampling_factor(sampling);
    change(&mut encoder);
    encoder.encode(&pixels, width, height, color).unwrap();
    jpeg
}

fn plain(sampling: SamplingFactor) -> Vec<u8> {
    picture(sampling, ColorType::Rgb, |_| {})
}

fn pixels(jpeg: &[u8]) -> Vec<u8> {
    let mut decoder = JpegDecoder::new(ZCursor::new(jpeg));
    let pixels = decoder.decode().unwrap();
    assert_eq!(decoder.dimensions(), Some((SIZE.0.into(), SIZE.1.into())));
    pixels
}

fn made(jpeg: &[u8], quality: u8) -> Result<Vec<u8>, Unfit> {
    let mut out = b"kept".to_vec();
    requantise(jpeg, quality, &mut out)?;
    Ok(out.strip_prefix(b"kept").unwrap().to_vec())
}

/// Mean squared difference.
fn difference(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    let sum: f64 = a.iter().zip(b).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).sum();
    sum / a.len() as f64
}

#[test]
fn the_picture_is_as_good_as_over_pixels_and_not_larger() {
    use SamplingFactor::{F_1_1, F_2_1, F_2_2};
    for (sampling, color) in
        [(F_2_2, ColorType::Rgb), (F_2_1, ColorType::Rgb), (F_1_1, ColorType::Rgb), (F_1_1, ColorType::Luma)]
    {
        let jpeg = picture(sampling, color, |_| {});
        let original = pixels(&jpeg);
        for quality in [85, 70, 40, 10] {
            let ours = made(&jpeg, quality).unwrap();
            let mut theirs = Vec::new();
            let mut encoder = Encoder::new(&mut theirs, quality);
            encoder.set_sampling_factor(sampling);
            encoder.encode(&original, SIZE.0, SIZE.1, color).unwrap();
            let lost = [&ours, &theirs].map(|jpeg| difference(&pixels(jpeg), &original));
            println!(
                "{sampling:?} {color:?} {quality}: {} and {} bytes, {lost:.2?}",
                ours.len(),
                theirs.len()
            );
            assert!(lost[0] <= lost[1] * 1.1, "{sampling:?} {quality}: {lost:?}");
            assert!(ours.len() <= theirs.len() * 21 / 20, "{} and {}", ours.len(), theirs.len());
        }
    }
}

#[test]
fn nothing_is_made_finer_than_it_is() {
    let jpeg = plain(SamplingFactor::F_2_2);
    for quality in [90, 95, 100] {
        let same = made(&jpeg, quality).unwrap();
        assert_eq!(pixels(&same), pixels(&jpeg));
        assert!(same.len() <= jpeg.len() + 20, "{} of {}", same.len(), jpeg.len());
    }
}

#[test]
fn restart_markers_and_tables_of_its_own_are_read() {
    let usual = made(&plain(SamplingFactor::F_2_1), 60).unwrap();
    for interval in [1, 3, 1000] {
        let jpeg = picture(SamplingFactor::F_2_1, ColorType::Rgb, |e| e.set_restart_interval(interval));
        assert_eq!(made(&jpeg, 60).unwrap(), usual, "{interval}");
    }
    // Each component would get a scan of its own.
    let luma = |own| picture(SamplingFactor::F_1_1, ColorType::Luma, |e| e.set_optimized_huffman_tables(own));
    assert_ne!(luma(true), luma(false));
    assert_eq!(made(&luma(true), 60).unwrap(), made(&luma(false), 60).unwrap());
}

#[test]
fn motion_jpeg_may_lack_the_usual_tables() {
    let jpeg = plain(SamplingFactor::F_2_1);
    let mut without = jpeg[..2].to_vec();
    let mut at = 2;
    while jpeg[at + 1] != 0xda {
        let length = 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
        if jpeg[at + 1] != 0xc4 {
            without.extend_from_slice(&jpeg[at..at + length]);
        }
        at += length;
    }
    without.extend_from_slice(&jpeg[at..]);
    assert!(without.len() + 400 < jpeg.len());
    assert_eq!(made(&without, 60), made(&jpeg, 60));
}

#[test]
fn what_is_not_for_this_way_is_told() {
    let progressive = picture(SamplingFactor::F_2_2, ColorType::Rgb, |e| e.set_progressive(true));
    let jpeg = plain(SamplingFactor::F_2_2);
    let cut = &jpeg[..jpeg.len() / 2];
    for bad in [&b""[..], b"x", &[0xff, 0xd8, 0xff, 0xd9], &progressive, cut] {
        assert_eq!(made(bad, 50), Err(Unfit));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whatever_comes_nothing_panics_and_what_is_made_can_be_seen(
        at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>(), quality in 1u8..=100
    ) {
        static JPEG: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| plain(SamplingFactor::F_2_2));
        let mut jpeg = JPEG.clone();
        let at = at.index(jpeg.len());
        jpeg[at] = byte;
        for jpeg in [&jpeg[..], &jpeg[..cut.index(jpeg.len())]] {
            if let Ok(made) = made(jpeg, quality) {
                prop_assert!(JpegDecoder::new(ZCursor::new(&made)).decode().is_ok());
            }
        }
    }
}
