//! What a device can deliver.

use std::fmt;

/// Four characters that name a pixel or stream format (`V4L2_PIX_FMT_…`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FourCc(pub [u8; 4]);

impl FourCc {
    /// Motion JPEG, as USB cameras name it.
    pub const MJPG: FourCc = FourCc(*b"MJPG");
    /// JPEG pictures, as some others name the same.
    pub const JPEG: FourCc = FourCc(*b"JPEG");
    /// H.264 with start codes.
    pub const H264: FourCc = FourCc(*b"H264");
    /// Packed 4:2:2, luma first.
    pub const YUYV: FourCc = FourCc(*b"YUYV");
    /// Packed 4:2:2, chroma first.
    pub const UYVY: FourCc = FourCc(*b"UYVY");
    /// 4:2:0, chroma in one plane.
    pub const NV12: FourCc = FourCc(*b"NV12");
    /// Planar 4:2:0.
    pub const YU12: FourCc = FourCc(*b"YU12");
    /// Luma alone.
    pub const GREY: FourCc = FourCc(*b"GREY");

    /// From the number that the kernel gives.
    pub const fn of(number: u32) -> FourCc {
        FourCc(number.to_le_bytes())
    }

    /// The number that the kernel takes.
    pub const fn number(self) -> u32 {
        u32::from_le_bytes(self.0)
    }

    /// JPEG pictures, whatever they are called.
    pub fn is_jpeg(self) -> bool {
        self == Self::MJPG || self == Self::JPEG
    }

    /// Whether frames of this format can be taken.
    pub fn is_taken(self) -> bool {
        self.is_jpeg() || self == Self::H264 || self.raw_bits().is_some()
    }

    /// Bits of a pixel of the raw formats that we take; `None` = it is none of these.
    pub fn raw_bits(self) -> Option<u32> {
        match self {
            Self::YUYV | Self::UYVY => Some(16),
            Self::NV12 | Self::YU12 => Some(12),
            Self::GREY => Some(8),
            _ => None,
        }
    }

    /// Bytes of a row of the first plane without padding, for the raw formats that we take.
    pub fn row(self, width: u32) -> Option<u32> {
        match self {
            Self::YUYV | Self::UYVY => width.checked_mul(2),
            Self::NV12 | Self::YU12 | Self::GREY => Some(width),
            _ => None,
        }
    }
}

/// Unprintable characters as dots.
impl fmt::Display for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Bit 31 says big endian.
        let text: String =
            self.0.iter().map(|b| if b.is_ascii_graphic() { char::from(*b) } else { '.' }).collect();
        f.write_str(text.trim_end_matches('.'))
    }
}

impl fmt::Debug for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The time between two frames, as the kernel gives it; neither number is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate {
    /// Seconds, times `per`.
    pub seconds: u32,
    /// Frames in so many seconds.
    pub per: u32,
}

impl Rate {
    /// Whole frames a second.
    pub const fn fps(fps: u32) -> Rate {
        Rate { seconds: 1, per: fps }
    }

    /// `None` when one of both is 0.
    pub fn of(seconds: u32, per: u32) -> Option<Rate> {
        (seconds > 0 && per > 0).then_some(Rate { seconds, per })
    }

    /// Thousandths of a frame a second.
    pub fn millifps(self) -> u64 {
        u64::from(self.per) * 1000 / u64::from(self.seconds)
    }

    /// Frames a second, rounded, at least 1.
    pub fn rounded(self) -> u32 {
        u32::try_from((self.millifps() + 500) / 1000).unwrap_or(u32::MAX).max(1)
    }
}

/// A size and the rates it comes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Size {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Fastest first; empty = the driver does not say.
    pub rates: Vec<Rate>,
}

/// A format and the sizes it comes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    /// Its name.
    pub fourcc: FourCc,
    /// Largest first; of a driver that takes any size, the usual ones.
    pub sizes: Vec<Size>,
    /// What any size has to fit, of a driver that takes any.
    pub any: Option<Steps>,
}

/// Sizes in steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    /// Least, most, step.
    pub width: (u32, u32, u32),
    /// Least, most, step.
    pub height: (u32, u32, u32),
}

impl Steps {
    /// Whether a size is one of these.
    pub fn fits(&self, width: u32, height: u32) -> bool {
        let one = |(least, most, step): (u32, u32, u32), n: u32| {
            (least..=most).contains(&n) && (n - least).is_multiple_of(step.max(1))
        };
        one(self.width, width) && one(self.height, height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_names_are_what_people_read() {
        assert_eq!(Rate::of(1001, 30000).map(Rate::rounded), Some(30));
        assert_eq!(Rate::of(2, 15).map(Rate::rounded), Some(8));
        assert_eq!(Rate::of(10, 1).map(Rate::rounded), Some(1));
        assert_eq!((Rate::of(0, 1), Rate::of(1, 0)), (None, None));
        assert_eq!(FourCc::of(FourCc::YUYV.number()), FourCc::YUYV);
        assert_eq!(FourCc(*b"Y16 ").to_string(), "Y16");
        assert_eq!(FourCc([0, 0x1b, b'A', 0xff]).to_string(), "..A");
    }

    #[test]
    fn a_size_is_in_steps_or_not() {
        let steps = Steps { width: (48, 1920, 2), height: (32, 1080, 2) };
        assert!(steps.fits(640, 360) && steps.fits(48, 32) && steps.fits(1920, 1080));
        assert!(!steps.fits(641, 360) && !steps.fits(46, 32) && !steps.fits(1920, 1082));
        assert!(Steps { width: (1, 9, 0), height: (1, 9, 0) }.fits(3, 3));
    }
}
