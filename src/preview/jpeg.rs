//! JPEG → JPEG of another quality: without pixels where that can be ([`super::requant`]), else over
//! pixels that stay YCbCr, without conversion of colours or change of range.

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::requant::requantise;

/// Larger than any camera's picture; a header that says more is damaged. A fuzzer's pictures are small, so
/// that it gets to see many.
const MAX_SIDE: usize = if cfg!(feature = "fuzzing") { 64 } else { 8192 };

/// Encodes `jpeg` anew with `quality` (1 to 100) at the end of `out`; `pixels` is room to work in.
/// Answers why it cannot, for the log.
pub(super) fn reencode(
    jpeg: &[u8],
    quality: u8,
    pixels: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let before = out.len();
    requantise(jpeg, quality, out).or_else(|_| {
        out.truncate(before);
        over_pixels(jpeg, quality, pixels, out)
    })
}

fn over_pixels(jpeg: &[u8], quality: u8, pixels: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<(), String> {
    let said = |e: &dyn std::fmt::Debug| format!("{e:?}");
    let options = DecoderOptions::default().set_max_width(MAX_SIDE).set_max_height(MAX_SIDE);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(jpeg), options);
    decoder.decode_headers().map_err(|e| said(&e))?;
    let (wanted, color) = match decoder.input_colorspace() {
        Some(ColorSpace::Luma) => (ColorSpace::Luma, ColorType::Luma),
        _ => (ColorSpace::YCbCr, ColorType::Ycbcr),
    };
    decoder.set_options(options.jpeg_set_out_colorspace(wanted));
    let size = decoder.output_buffer_size().ok_or("no size")?;
    let (width, height) = decoder.dimensions().ok_or("no size")?;
    // What a shorter picture left behind is overwritten.
    pixels.resize(size, 0);
    decoder.decode_into(pixels).map_err(|e| said(&e))?;
    let side = |n: usize| u16::try_from(n).map_err(|e| said(&e));
    let mut encoder = Encoder::new(out, quality);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    encoder.encode(pixels, side(width)?, side(height)?, color).map_err(|e| said(&e))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A picture with some detail in it.
    fn picture(width: u16, height: u16, color: ColorType) -> Vec<u8> {
        let count = usize::from(width) * usize::from(height) * if color == ColorType::Luma { 1 } else { 3 };
        let pixels: Vec<u8> = (0..count).map(|i| (i * 7 + i / 97 * 31) as u8).collect();
        let mut jpeg = Vec::new();
        Encoder::new(&mut jpeg, 90).encode(&pixels, width, height, color).unwrap();
        jpeg
    }

    fn again(jpeg: &[u8], quality: u8) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        reencode(jpeg, quality, &mut Vec::new(), &mut out).map(|()| out)
    }

    fn size(jpeg: &[u8]) -> (usize, usize) {
        let mut decoder = JpegDecoder::new(ZCursor::new(jpeg));
        decoder.decode().unwrap();
        decoder.dimensions().unwrap()
    }

    #[test]
    fn a_lower_quality_is_smaller_and_has_the_same_size_in_pixels() {
        for color in [ColorType::Rgb, ColorType::Luma] {
            let jpeg = picture(322, 182, color);
            let mut last = usize::MAX;
            for quality in [100, 80, 40, 10, 1] {
                let made = again(&jpeg, quality).unwrap();
                assert_eq!(size(&made), (322, 182));
                assert!(made.len() < last, "{quality}: {} bytes", made.len());
                last = made.len();
            }
        }
    }

    #[test]
    fn room_to_work_in_is_used_again() {
        let (mut pixels, mut out) = (Vec::new(), Vec::new());
        for (width, height) in [(640, 360), (320, 180), (640, 360)] {
            out.clear();
            reencode(&picture(width, height, ColorType::Rgb), 50, &mut pixels, &mut out).unwrap();
            assert_eq!(size(&out), (width.into(), height.into()));
        }
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        for bad in [&b""[..], b"x", &[0xff, 0xd8, 0xff, 0xd9], b"\xff\xd8\xff\xc0\0\x11\x08\xff\xff\xff\xff"]
        {
            again(bad, 50).unwrap_err();
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn no_damaged_picture_panics(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
            let mut jpeg = picture(48, 32, ColorType::Rgb);
            let at = at.index(jpeg.len());
            jpeg[at] = byte;
            let _ = again(&jpeg, 50);
            jpeg.truncate(cut.index(jpeg.len()));
            let _ = again(&jpeg, 50);
        }
    }
}
