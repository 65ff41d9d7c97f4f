//! Which of a camera's modes serves best: decided here, tried by the stream.

use std::cmp::Reverse;

use super::format::{Format, FourCc, Rate};
use super::survey::Survey;

/// What is asked of a camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Frames a second.
    pub fps: u32,
    /// This format and no other.
    pub format: Option<FourCc>,
    /// This one only where there is no other.
    pub avoid: Option<FourCc>,
    /// Pixels a second that may be encoded here: JPEG and raw pictures have to be, H.264 has not.
    pub encodes: u64,
}

/// Whether the way from the camera carries a mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried {
    /// It does, as far as anybody knows.
    Yes,
    /// Only the attempt tells.
    Perhaps,
    /// It does not: the last resort.
    No,
}

/// A mode of a camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mode {
    /// Its format.
    pub fourcc: FourCc,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// `None` = the driver does not say which it has.
    pub rate: Option<Rate>,
}

/// Why there is no mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It delivers nothing that we can take; what it delivers.
    NoUsableFormat(Vec<FourCc>),
    /// It does not have the format that was asked for; what it delivers.
    NotThatFormat(FourCc, Vec<FourCc>),
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = |all: &[FourCc]| all.iter().map(FourCc::to_string).collect::<Vec<_>>().join(", ");
        match self {
            Refusal::NoUsableFormat(has) if has.is_empty() => f.write_str("it names no format"),
            Refusal::NoUsableFormat(has) => {
                write!(f, "it delivers {} only, which cannot be taken", names(has))
            }
            Refusal::NotThatFormat(asked, has) => {
                write!(f, "it does not deliver {asked}; it has {}", names(has))
            }
        }
    }
}

/// The mode nearest to what is asked, by what matters most: that the bus carries it; the size asked for, else
/// the next smaller, else the smallest; at least the rate asked for, else the fastest; no more of it than
/// needed; that nobody doubts that the bus carries it; that the processor carries it; JPEG, which costs no encoder
/// for a still and little of the bus; H.264, which costs none for a stream; the raw formats. `carried` is asked once
/// for each mode.
pub fn choose(survey: &Survey, wish: &Wish, carried: impl Fn(&Mode) -> Carried) -> Result<Mode, Refusal> {
    let has = || survey.formats.iter().map(|f| f.fourcc).collect();
    let usable = |f: &&Format| f.fourcc.is_taken();
    let asked = |f: &&Format| wish.format.is_none_or(|asked| f.fourcc == asked);
    let modes = survey.formats.iter().filter(usable).filter(asked).flat_map(|f| modes(f, wish));
    modes.min_by_key(|mode| rank(mode, wish, carried(mode))).ok_or_else(|| match wish.format {
        Some(format) if !survey.formats.iter().any(|f| f.fourcc == format) => {
            Refusal::NotThatFormat(format, has())
        }
        _ => Refusal::NoUsableFormat(has()),
    })
}

fn modes(format: &Format, wish: &Wish) -> Vec<Mode> {
    let mut all = Vec::new();
    for size in &format.sizes {
        let mode = |rate| Mode { fourcc: format.fourcc, width: size.width, height: size.height, rate };
        if size.rates.is_empty() {
            all.push(mode(None));
        }
        all.extend(size.rates.iter().map(|rate| mode(Some(*rate))));
    }
    let fits = format.any.is_some_and(|steps| steps.fits(wish.width, wish.height));
    if fits && !all.iter().any(|m| (m.width, m.height) == (wish.width, wish.height)) {
        // Nobody asked the driver for its rates at this size.
        let rate = Rate::of(1, wish.fps);
        all.push(Mode { fourcc: format.fourcc, width: wish.width, height: wish.height, rate });
    }
    all
}

/// Less is better.
fn rank(mode: &Mode, wish: &Wish, carried: Carried) -> impl Ord + use<> {
    let area = |w: u32, h: u32| u64::from(w) * u64::from(h);
    let (has, wants) = (area(mode.width, mode.height), area(wish.width, wish.height));
    let size = match (mode.width, mode.height) == (wish.width, wish.height) {
        true => (0, 0),
        false if has <= wants => (1, wants - has),
        false => (2, has),
    };
    let fps = mode.rate.map_or(u64::from(wish.fps) * 1000, Rate::millifps);
    let asked = u64::from(wish.fps) * 1000;
    // 29.97 is 30.
    let slow = asked.saturating_sub(100).saturating_sub(fps);
    // Packed 4:2:2 is what most cameras really have; others of the list are often made from it.
    let kind = match mode.fourcc {
        f if f.is_jpeg() => 0,
        FourCc::H264 => 1,
        FourCc::YUYV => 2,
        FourCc::UYVY => 3,
        FourCc::NV12 => 4,
        FourCc::YU12 => 5,
        _ => 6,
    };
    let costly = mode.fourcc != FourCc::H264 && has.saturating_mul(fps) / 1000 > wish.encodes;
    let (avoided, doubted) = (Some(mode.fourcc) == wish.avoid, carried == Carried::Perhaps);
    let last_resort = (avoided, carried == Carried::No);
    (last_resort, size, slow, fps.abs_diff(asked), (doubted, costly), kind, Reverse(mode.fourcc))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::v4l2::survey::Role;
    use crate::v4l2::{Size, format::Steps};

    fn format(fourcc: FourCc, sizes: &[(u32, u32, &[u32])]) -> Format {
        let size = |&(width, height, rates): &(u32, u32, &[u32])| Size {
            width,
            height,
            rates: rates.iter().map(|fps| Rate::fps(*fps)).collect(),
        };
        Format { fourcc, sizes: sizes.iter().map(size).collect(), any: None }
    }

    fn camera(formats: Vec<Format>) -> Survey {
        let card = "Camera".to_owned();
        Survey {
            driver: "uvcvideo".into(),
            card,
            bus: "usb-1".into(),
            role: Role::Camera,
            formats,
            oddities: Vec::new(),
        }
    }

    /// What a Logitech C920 says, without H.264 (`v4l2-ctl --list-formats-ext`).
    fn c920() -> Survey {
        camera(vec![
            format(
                FourCc::YUYV,
                &[(2304, 1536, &[2]), (1920, 1080, &[5]), (1280, 720, &[10, 5]), (640, 480, &[30, 15, 5])],
            ),
            format(FourCc::MJPG, &[(1920, 1080, &[30, 15]), (1280, 720, &[30, 15]), (640, 480, &[30, 15])]),
        ])
    }

    fn wish(width: u32, height: u32, fps: u32) -> Wish {
        Wish { width, height, fps, format: None, avoid: None, encodes: u64::MAX }
    }

    /// As a way would that carries 24 MB a second of raw pictures.
    fn chosen(camera: &Survey, wish: Wish) -> String {
        chosen_where(camera, wish, |mode| {
            let bits = mode.fourcc.raw_bits().zip(mode.rate);
            let bytes = bits
                .map(|(bits, rate)| u64::from(mode.width * mode.height * bits / 8) * rate.millifps() / 1000);
            if bytes.is_none_or(|bytes| bytes <= 24_000_000) { Carried::Yes } else { Carried::No }
        })
    }

    fn chosen_where(camera: &Survey, wish: Wish, carried: impl Fn(&Mode) -> Carried) -> String {
        match choose(camera, &wish, carried) {
            Ok(m) => {
                let fps = m.rate.map_or("?".to_owned(), |r| r.rounded().to_string());
                format!("{} {}x{}@{fps}", m.fourcc, m.width, m.height)
            }
            Err(refusal) => refusal.to_string(),
        }
    }

    #[test]
    fn the_size_and_the_rate_asked_for_come_first_then_jpeg() {
        let c920 = c920();
        assert_eq!(chosen(&c920, wish(1280, 720, 30)), "MJPG 1280x720@30");
        assert_eq!(chosen(&c920, wish(640, 480, 30)), "MJPG 640x480@30");
        assert_eq!(chosen(&c920, wish(1280, 720, 10)), "YUYV 1280x720@10");
        assert_eq!(chosen(&c920, wish(1280, 720, 60)), "MJPG 1280x720@30");
        assert_eq!(chosen(&c920, wish(1600, 900, 30)), "MJPG 1280x720@30");
        assert_eq!(chosen(&c920, wish(320, 240, 30)), "MJPG 640x480@30");
        assert_eq!(
            chosen(&c920, Wish { format: Some(FourCc::YUYV), ..wish(640, 480, 30) }),
            "YUYV 640x480@30"
        );
        let fast = Wish { format: Some(FourCc::YUYV), ..wish(1280, 720, 30) };
        assert_eq!(chosen(&c920, fast), "YUYV 1280x720@10");
        let other = Wish { format: Some(FourCc::NV12), ..wish(640, 480, 30) };
        assert_eq!(chosen(&c920, other), "it does not deliver NV12; it has YUYV, MJPG");
    }

    #[test]
    fn h264_is_taken_where_the_processor_does_not_carry_the_rest() {
        let mut camera = c920();
        camera.formats.push(format(FourCc::H264, &[(1920, 1080, &[30]), (1280, 720, &[30])]));
        // A box that encodes 1280x720 at 30 a second, and not twice that.
        let small = |width, height, fps| Wish { encodes: 40_000_000, ..wish(width, height, fps) };
        assert_eq!(chosen(&camera, small(1280, 720, 30)), "MJPG 1280x720@30");
        assert_eq!(chosen(&camera, small(1920, 1080, 30)), "H264 1920x1080@30");
        assert_eq!(chosen(&camera, wish(1920, 1080, 30)), "MJPG 1920x1080@30");
        // The size and the rate come first.
        assert_eq!(chosen(&camera, small(1920, 1080, 15)), "MJPG 1920x1080@15");
        assert_eq!(chosen(&camera, small(640, 480, 30)), "MJPG 640x480@30");
        let asked = Wish { format: Some(FourCc::H264), ..wish(1280, 720, 30) };
        assert_eq!(chosen(&camera, asked), "H264 1280x720@30");
        // Where it was no good, whatever else there is.
        let without = Wish { avoid: Some(FourCc::H264), ..small(1920, 1080, 30) };
        assert_eq!(chosen(&camera, without), "MJPG 1920x1080@30");
        camera.formats.drain(..2);
        assert_eq!(chosen(&camera, without), "H264 1920x1080@30");
        camera.formats.push(format(FourCc::YUYV, &[(1920, 1080, &[30])]));
        assert_eq!(chosen_where(&camera, wish(1920, 1080, 30), |_| Carried::Yes), "H264 1920x1080@30");
    }

    #[test]
    fn raw_pictures_that_the_bus_does_not_carry_are_the_last_resort() {
        let raw = |sizes| camera(vec![format(FourCc::YUYV, sizes)]);
        let both = raw(&[(1920, 1080, &[30]), (640, 480, &[30])]);
        assert_eq!(chosen(&both, wish(1920, 1080, 30)), "YUYV 640x480@30");
        assert_eq!(chosen_where(&both, wish(1920, 1080, 30), |_| Carried::Yes), "YUYV 1920x1080@30");
        assert_eq!(chosen(&raw(&[(1920, 1080, &[30])]), wish(1920, 1080, 30)), "YUYV 1920x1080@30");
    }

    #[test]
    fn a_doubt_decides_between_formats_and_nothing_else() {
        let doubt = |fourcc| move |m: &Mode| if m.fourcc == fourcc { Carried::Perhaps } else { Carried::Yes };
        assert_eq!(chosen_where(&c920(), wish(640, 480, 30), doubt(FourCc::MJPG)), "YUYV 640x480@30");
        assert_eq!(chosen_where(&c920(), wish(1280, 720, 30), doubt(FourCc::MJPG)), "MJPG 1280x720@30");
    }

    #[test]
    fn a_driver_that_says_little_is_taken_as_it_is() {
        assert_eq!(chosen(&camera(Vec::new()), wish(640, 480, 30)), "it names no format");
        let strange = camera(vec![format(FourCc(*b"BA81"), &[(640, 480, &[30])])]);
        assert_eq!(chosen(&strange, wish(640, 480, 30)), "it delivers BA81 only, which cannot be taken");
        let silent = camera(vec![format(FourCc::YUYV, &[(640, 480, &[])])]);
        assert_eq!(chosen(&silent, wish(640, 480, 30)), "YUYV 640x480@?");
        let mut any = camera(vec![format(FourCc::YUYV, &[(1920, 1080, &[30])])]);
        any.formats[0].any = Some(Steps { width: (2, 1920, 2), height: (2, 1080, 2) });
        assert_eq!(chosen(&any, wish(402, 300, 25)), "YUYV 402x300@25");
        let film = camera(vec![Format {
            fourcc: FourCc::MJPG,
            sizes: vec![Size { width: 640, height: 480, rates: vec![Rate { seconds: 1001, per: 30_000 }] }],
            any: None,
        }]);
        assert_eq!(chosen(&film, wish(640, 480, 30)), "MJPG 640x480@30");
    }

    proptest! {
        #[test]
        fn whatever_is_chosen_is_one_of_the_cameras_modes(
            sizes in proptest::collection::vec((1u32..5000, 1u32..5000, 1u32..200), 1..6),
            asked in (1u32..5000, 1u32..5000, 1u32..200),
        ) {
            let formats = sizes.iter().enumerate().map(|(n, (w, h, fps))| {
                format([FourCc::MJPG, FourCc::YUYV, FourCc::NV12][n % 3], &[(*w, *h, &[*fps])])
            });
            let camera = camera(formats.collect());
            let mode = choose(&camera, &wish(asked.0, asked.1, asked.2), |_| Carried::Yes).unwrap();
            let fits = |f: &Format| f.fourcc == mode.fourcc && f.sizes.iter().any(|s| {
                (s.width, s.height) == (mode.width, mode.height) && mode.rate.is_some_and(|r| s.rates.contains(&r))
            });
            prop_assert!(camera.formats.iter().any(fits));
        }
    }
}
