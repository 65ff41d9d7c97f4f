//! One JPEG out of the pixels of a camera that delivers raw pictures.

use jpeg_encoder::{Encoder, ImageBuffer, JpegColorType, SamplingFactor};

use crate::capture::{Frame, FrameFormat};
use crate::v4l2::FourCc;

/// A camera's raw picture, as the encoder reads it: row by row, without a copy of the whole.
struct Pixels<'a> {
    bytes: &'a [u8],
    format: FourCc,
    width: u16,
    height: u16,
}

/// Encodes a frame of pixels with `quality` (1 to 100) at the end of `out`. Answers why it cannot, for the log.
pub fn jpeg_of_pixels(frame: &Frame, quality: u8, out: &mut Vec<u8>) -> Result<(), String> {
    let FrameFormat::Raw(format) = frame.format else { return Err("it is no raw picture".into()) };
    let side = |n: u32| u16::try_from(n).map_err(|e| e.to_string());
    let picture =
        Pixels { bytes: &frame.data, format, width: side(frame.width)?, height: side(frame.height)? };
    let bits = format.raw_bits().ok_or("it is of an unknown format")?;
    let pixels = frame.width as usize * frame.height as usize;
    // Odd sizes of 4:2:0 have no place for their last chroma row.
    let whole = frame.width.is_multiple_of(2)
        && (format != FourCc::NV12 && format != FourCc::YU12 || frame.height.is_multiple_of(2));
    if !whole || frame.data.len() < pixels * bits as usize / 8 {
        return Err("it is too short".into());
    }
    let mut encoder = Encoder::new(out, quality);
    encoder.set_sampling_factor(if bits == 16 { SamplingFactor::F_2_1 } else { SamplingFactor::F_2_2 });
    encoder.encode_image(picture).map_err(|e| e.to_string())
}

/// Cameras give luma from 16 to 235, JPEG has it from 0 to 255 (ITU-R BT.601, JFIF 1.02).
const fn luma(y: u8) -> u8 {
    let wide = (y as i32 - 16) * 255 + 109;
    let full = wide / 219;
    if full < 0 {
        0
    } else if full > 255 {
        255
    } else {
        full as u8
    }
}

/// Chroma goes from 16 to 240 there.
const fn chroma(c: u8) -> u8 {
    let full = ((c as i32 - 128) * 255) / 224 + 128;
    if full < 0 {
        0
    } else if full > 255 {
        255
    } else {
        full as u8
    }
}

const fn table(luminance: bool) -> [u8; 256] {
    let mut all = [0; 256];
    let mut n = 0;
    while n < 256 {
        all[n] = if luminance { luma(n as u8) } else { chroma(n as u8) };
        n += 1;
    }
    all
}

static LUMA: [u8; 256] = table(true);
static CHROMA: [u8; 256] = table(false);

impl ImageBuffer for Pixels<'_> {
    fn get_jpeg_color_type(&self) -> JpegColorType {
        if self.format == FourCc::GREY { JpegColorType::Luma } else { JpegColorType::Ycbcr }
    }

    fn width(&self) -> u16 {
        self.width
    }

    fn height(&self) -> u16 {
        self.height
    }

    fn fill_buffers(&self, y: u16, [ys, blues, reds, _]: &mut [Vec<u8>; 4]) {
        let (width, height, row) = (usize::from(self.width), usize::from(self.height), usize::from(y));
        let line = |from: usize, length: usize| &self.bytes[from..from + length];
        let of = |table: &'static [u8; 256]| move |n: &u8| table[usize::from(*n)];
        // Each chroma value stands for two pixels of a row.
        let twice = |n: u8| [n, n];
        let quarter = width / 2 * (height / 2);
        match self.format {
            FourCc::YUYV | FourCc::UYVY => {
                let line = line(row * width * 2, width * 2);
                let (luma, chroma) = if self.format == FourCc::YUYV { (0, 1) } else { (1, 0) };
                ys.extend(line[luma..].iter().step_by(2).map(of(&LUMA)));
                blues.extend(line[chroma..].iter().step_by(4).map(of(&CHROMA)).flat_map(twice));
                reds.extend(line[chroma + 2..].iter().step_by(4).map(of(&CHROMA)).flat_map(twice));
            }
            FourCc::NV12 => {
                ys.extend(line(row * width, width).iter().map(of(&LUMA)));
                let both = line(width * height + row / 2 * width, width);
                blues.extend(both.iter().step_by(2).map(of(&CHROMA)).flat_map(twice));
                reds.extend(both[1..].iter().step_by(2).map(of(&CHROMA)).flat_map(twice));
            }
            FourCc::YU12 => {
                ys.extend(line(row * width, width).iter().map(of(&LUMA)));
                let start = width * height + row / 2 * (width / 2);
                blues.extend(line(start, width / 2).iter().map(of(&CHROMA)).flat_map(twice));
                reds.extend(line(start + quarter, width / 2).iter().map(of(&CHROMA)).flat_map(twice));
            }
            // Of luma alone there are cameras that use all of it.
            _ => ys.extend(line(row * width, width)),
        }
    }
}

#[cfg(test)]
mod tests {
    use zune_jpeg::JpegDecoder;
    use zune_jpeg::zune_core::bytestream::ZCursor;

    use super::*;
    use crate::base::Mono;

    /// A picture whose left half is of one colour and whose right half of another, both as Y, U, V.
    fn halves(format: FourCc, width: u32, height: u32, [left, right]: [[u8; 3]; 2]) -> Vec<u8> {
        let at = |x: u32| if x < width / 2 { left } else { right };
        let plane = |n: usize, step: u32, rows: u32| {
            (0..rows)
                .flat_map(move |_| (0..width).step_by(step as usize).map(move |x| at(x)[n]))
                .collect::<Vec<_>>()
        };
        match format {
            FourCc::YUYV | FourCc::UYVY => (0..height)
                .flat_map(|_| (0..width).step_by(2).map(at))
                .flat_map(|[y, u, v]| if format == FourCc::YUYV { [y, u, y, v] } else { [u, y, v, y] })
                .collect(),
            FourCc::NV12 => {
                let both =
                    (0..height / 2).flat_map(|_| (0..width).step_by(2).flat_map(|x| [at(x)[1], at(x)[2]]));
                plane(0, 1, height).into_iter().chain(both).collect()
            }
            FourCc::YU12 => [plane(0, 1, height), plane(1, 2, height / 2), plane(2, 2, height / 2)].concat(),
            _ => plane(0, 1, height),
        }
    }

    fn frame(format: FourCc, width: u32, height: u32, bytes: Vec<u8>) -> Frame {
        let format = FrameFormat::Raw(format);
        Frame { data: bytes.into(), format, key: None, captured: Mono(1), sequence: 0, width, height }
    }

    fn rgb(jpeg: &[u8], x: usize) -> [i32; 3] {
        let mut decoder = JpegDecoder::new(ZCursor::new(jpeg));
        let pixels = decoder.decode().unwrap();
        let (width, height) = decoder.dimensions().unwrap();
        let each = pixels.len() / (width * height);
        let at = (height / 2 * width + x) * each;
        [0, 1, 2].map(|n| i32::from(pixels[at + n.min(each - 1)]))
    }

    #[test]
    fn colours_are_those_that_the_camera_meant() {
        // Red and blue of full strength (BT.601: 81, 90, 240 and 41, 240, 110).
        let colours = [[81, 90, 240], [41, 240, 110]];
        for format in [FourCc::YUYV, FourCc::UYVY, FourCc::NV12, FourCc::YU12] {
            let mut jpeg = Vec::new();
            let bytes = halves(format, 64, 48, colours);
            jpeg_of_pixels(&frame(format, 64, 48, bytes), 90, &mut jpeg).unwrap();
            for (x, wanted) in [(8, [255, 0, 0]), (56, [0, 0, 255])] {
                let seen = rgb(&jpeg, x);
                assert!(seen.iter().zip(wanted).all(|(s, w)| (s - w).abs() < 12), "{format} {x}: {seen:?}");
            }
        }
        let mut jpeg = Vec::new();
        let grey = halves(FourCc::GREY, 64, 48, [[0; 3], [255; 3]]);
        jpeg_of_pixels(&frame(FourCc::GREY, 64, 48, grey), 90, &mut jpeg).unwrap();
        assert!(rgb(&jpeg, 8)[0] < 6 && rgb(&jpeg, 56)[0] > 249);
    }

    #[test]
    fn a_picture_that_is_too_short_is_refused() {
        for (format, width, height, length) in [
            (FourCc::YUYV, 64, 48, 64 * 48 * 2 - 1),
            (FourCc::NV12, 64, 47, 99_999),
            (FourCc::YU12, 63, 48, 99_999),
        ] {
            let frame = frame(format, width, height, vec![0; length]);
            assert!(jpeg_of_pixels(&frame, 90, &mut Vec::new()).is_err(), "{format} {width}x{height}");
        }
    }
}
