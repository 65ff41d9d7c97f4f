use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use v4l::v4l_sys::{v4l2_fract, v4l2_frmival_stepwise, v4l2_frmsize_discrete, v4l2_frmsize_stepwise};

use super::*;
use crate::v4l2::{Wish, choose};

/// Answers whatever `answer` does, which gets the request's number within its type (`videodev2.h`).
struct Fake<F>(F);

impl<F: Fn(u8, &mut [u8]) -> io::Result<()> + Send + Sync> Driver for Fake<F> {
    fn ioctl(&self, request: u32, structure: &mut [u8]) -> io::Result<()> {
        assert_eq!(structure.len(), (request >> 16) as usize & 0x3fff);
        (self.0)(request as u8, structure)
    }
}

const QUERYCAP_NR: u8 = 0;
const ENUM_FMT_NR: u8 = 2;
const SIZES_NR: u8 = 74;
const RATES_NR: u8 = 75;

fn end() -> io::Result<()> {
    Err(io::Error::from_raw_os_error(nix::libc::EINVAL))
}

/// The structure in `bytes`, and back.
fn edit<T: Plain>(bytes: &mut [u8], change: impl FnOnce(&mut T)) -> io::Result<()> {
    assert_eq!(bytes.len(), size_of::<T>());
    #[expect(unsafe_code, reason = "every pattern of bits is a value of it, and the length is right")]
    unsafe {
        let mut value: T = std::ptr::read_unaligned(bytes.as_ptr().cast());
        change(&mut value);
        std::ptr::write_unaligned(bytes.as_mut_ptr().cast(), value);
    }
    Ok(())
}

fn capability(bytes: &mut [u8], caps: u32, own: Option<u32>) -> io::Result<()> {
    edit(bytes, |it: &mut v4l2_capability| {
        it.driver[..8].copy_from_slice(b"uvcvideo");
        it.card.fill(b'x');
        it.card[..9].copy_from_slice(b"A\x1b[31m\tB\xff");
        it.capabilities = caps | own.map_or(0, |_| V4L2_CAP_DEVICE_CAPS);
        it.device_caps = own.unwrap_or(0);
    })
}

fn role_of(caps: u32, own: Option<u32>) -> Role {
    survey(&Fake(move |nr, bytes: &mut [u8]| match nr {
        QUERYCAP_NR => capability(bytes, caps, own),
        _ => end(),
    }))
    .unwrap()
    .role
}

#[test]
fn a_node_is_told_by_what_it_does() {
    let capture = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
    assert_eq!(role_of(capture, None), Role::Camera);
    // The two nodes of a UVC camera: the capabilities of both, then those of each.
    assert_eq!(role_of(capture | V4L2_CAP_META_CAPTURE, Some(capture)), Role::Camera);
    let meta = V4L2_CAP_META_CAPTURE | V4L2_CAP_STREAMING;
    assert_eq!(role_of(capture | V4L2_CAP_META_CAPTURE, Some(meta)), Role::Metadata);
    assert_eq!(role_of(V4L2_CAP_VIDEO_M2M_MPLANE | V4L2_CAP_STREAMING, None), Role::Codec);
    // v4l2loopback, whose one node does both.
    assert_eq!(role_of(capture | V4L2_CAP_VIDEO_OUTPUT, None), Role::Camera);
    assert_eq!(role_of(V4L2_CAP_VIDEO_OUTPUT | V4L2_CAP_STREAMING, None), Role::Output);
    // Only by read(), or in several planes.
    assert_eq!(role_of(V4L2_CAP_VIDEO_CAPTURE, None), Role::Other);
    assert_eq!(role_of(V4L2_CAP_VIDEO_CAPTURE_MPLANE | V4L2_CAP_STREAMING, None), Role::Other);
    assert_eq!(role_of(capture | V4L2_CAP_IO_MC, None), Role::Other);
    assert_eq!(role_of(0, None), Role::Other);
}

/// A camera with one discrete size in MJPG, steps in YUYV, and mistakes in both.
fn camera(nr: u8, bytes: &mut [u8]) -> io::Result<()> {
    let caps = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
    match nr {
        QUERYCAP_NR => capability(bytes, caps, None),
        ENUM_FMT_NR => {
            let mut found = end();
            edit(bytes, |it: &mut v4l2_fmtdesc| {
                let names = [FourCc::MJPG, FourCc::YUYV, FourCc(*b"EMPT"), FourCc::MJPG];
                if let Some(name) = names.get(it.index as usize) {
                    it.pixelformat = name.number();
                    found = Ok(());
                }
            })?;
            found
        }
        SIZES_NR => {
            let mut found = end();
            edit(bytes, |it: &mut v4l2_frmsizeenum| {
                let sizes = [(640, 480), (0, 480), (1280, 720), (640, 480)];
                if it.pixel_format == FourCc::YUYV.number() {
                    it.type_ = SIZE_STEPWISE;
                    it.__bindgen_anon_1.stepwise = v4l2_frmsize_stepwise {
                        min_width: 48,
                        max_width: 1280,
                        step_width: 16,
                        min_height: 32,
                        max_height: 720,
                        step_height: 8,
                    };
                    found = Ok(());
                } else if it.pixel_format == FourCc::MJPG.number()
                    && let Some((width, height)) = sizes.get(it.index as usize)
                {
                    it.type_ = SIZE_DISCRETE;
                    it.__bindgen_anon_1.discrete = v4l2_frmsize_discrete { width: *width, height: *height };
                    found = Ok(());
                }
            })?;
            found
        }
        RATES_NR => {
            let mut found = end();
            edit(bytes, |it: &mut v4l2_frmivalenum| {
                let rates = [(1, 15), (1, 30), (0, 30), (1, 0)];
                if it.pixel_format == FourCc::YUYV.number() {
                    it.type_ = 3;
                    it.__bindgen_anon_1.stepwise = v4l2_frmival_stepwise {
                        min: v4l2_fract { numerator: 1, denominator: 40 },
                        max: v4l2_fract { numerator: 1, denominator: 10 },
                        step: v4l2_fract { numerator: 1, denominator: 1 },
                    };
                    found = Ok(());
                } else if let Some((numerator, denominator)) = rates.get(it.index as usize) {
                    it.type_ = INTERVAL_DISCRETE;
                    let (numerator, denominator) = (*numerator, *denominator);
                    it.__bindgen_anon_1.discrete = v4l2_fract { numerator, denominator };
                    found = Ok(());
                }
            })?;
            found
        }
        _ => end(),
    }
}

#[test]
fn lists_are_read_and_what_cannot_be_is_left_out_and_told() {
    let seen = survey(&Fake(camera)).unwrap();
    assert_eq!((seen.driver.as_str(), seen.role), ("uvcvideo", Role::Camera));
    assert!(seen.card.starts_with("A [31m B") && seen.card.is_ascii(), "{}", seen.card);
    let fps = |size: &Size| size.rates.iter().map(|r| r.rounded()).collect::<Vec<_>>();
    let shown: Vec<_> = seen
        .formats
        .iter()
        .map(|f| (f.fourcc, f.sizes.iter().map(|s| (s.width, s.height, fps(s))).collect::<Vec<_>>()))
        .collect();
    let mjpg = vec![(1280, 720, vec![30, 15]), (640, 480, vec![30, 15])];
    let rates = vec![40, 30, 25, 24, 20, 15, 10];
    let yuyv: Vec<_> = [(1280, 720), (800, 600), (640, 480), (640, 360), (320, 240), (48, 32)]
        .map(|(w, h)| (w, h, rates.clone()))
        .into();
    assert_eq!(shown, [(FourCc::MJPG, mjpg), (FourCc::YUYV, yuyv)]);
    assert_eq!(seen.oddities, [Oddity::Rate, Oddity::Size, Oddity::EmptyFormat]);
}

#[test]
fn a_driver_whose_lists_never_end_is_survived() {
    let asked = AtomicU64::new(0);
    let endless = Fake(|nr, bytes: &mut [u8]| {
        let n = asked.fetch_add(1, Ordering::Relaxed) as u32;
        match nr {
            QUERYCAP_NR => capability(bytes, V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING, None),
            ENUM_FMT_NR => edit(bytes, |it: &mut v4l2_fmtdesc| it.pixelformat = n),
            SIZES_NR => edit(bytes, |it: &mut v4l2_frmsizeenum| {
                it.type_ = SIZE_DISCRETE;
                it.__bindgen_anon_1.discrete = v4l2_frmsize_discrete { width: 1 + n % 4000, height: 9 };
            }),
            _ => edit(bytes, |it: &mut v4l2_frmivalenum| {
                it.type_ = INTERVAL_DISCRETE;
                it.__bindgen_anon_1.discrete = v4l2_fract { numerator: 1, denominator: 1 + n % 900 };
            }),
        }
    });
    let seen = survey(&endless).unwrap();
    assert!(seen.oddities.contains(&Oddity::EndlessList));
    assert_eq!(seen.formats.len(), MAX_FORMATS as usize);
}

#[test]
fn a_device_that_does_not_say_what_it_is_is_an_error() {
    let gone = Fake(|_, _: &mut [u8]| Err(io::Error::from_raw_os_error(nix::libc::ENODEV)));
    assert_eq!(survey(&gone).unwrap_err().raw_os_error(), Some(nix::libc::ENODEV));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn garbage_in_every_answer_is_survived(seed: u64, fails in 0u64..20) {
        let state = AtomicU64::new(seed | 1);
        // A generator of numbers that needs no lock (xorshift*).
        let next = || {
            let step = |mut x: u64| { x ^= x >> 12; x ^= x << 25; x ^= x >> 27; x };
            let x = state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |x| Some(step(x))).unwrap();
            step(x).wrapping_mul(0x2545_f491_4f6c_dd1d)
        };
        let garbage = Fake(move |nr, bytes: &mut [u8]| {
            if next() % 20 < fails {
                return end();
            }
            bytes.iter_mut().for_each(|byte| *byte = next() as u8);
            match nr {
                QUERYCAP_NR => capability(bytes, V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING, None),
                // Otherwise the kind is nearly always unknown.
                SIZES_NR => edit(bytes, |it: &mut v4l2_frmsizeenum| it.type_ = 1 + it.type_ % 3),
                RATES_NR => edit(bytes, |it: &mut v4l2_frmivalenum| it.type_ = 1 + it.type_ % 3),
                _ => Ok(()),
            }
        });
        let Ok(seen) = survey(&garbage) else { return Ok(()) };
        prop_assert!(seen.card.bytes().all(|b| (0x20..0x7f).contains(&b)));
        for size in seen.formats.iter().flat_map(|f| &f.sizes) {
            prop_assert!((1..=MAX_SIDE).contains(&size.width) && (1..=MAX_SIDE).contains(&size.height));
            prop_assert!(size.rates.iter().all(|r| r.seconds > 0 && r.per > 0));
        }
        let wish = Wish { width: 640, height: 480, fps: 30, format: None, avoid: None, encodes: 0 };
        let _ = choose(&seen, &wish, |_| crate::v4l2::Carried::Yes);
    }
}
