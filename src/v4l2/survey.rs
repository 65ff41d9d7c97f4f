//! Asks a device what it is and what it can, without believing it.

use std::fmt;
use std::io;
use std::path::Path;

use v4l::v4l_sys::{
    V4L2_CAP_DEVICE_CAPS, V4L2_CAP_IO_MC, V4L2_CAP_META_CAPTURE, V4L2_CAP_META_OUTPUT, V4L2_CAP_STREAMING,
    V4L2_CAP_VIDEO_CAPTURE, V4L2_CAP_VIDEO_CAPTURE_MPLANE, V4L2_CAP_VIDEO_M2M, V4L2_CAP_VIDEO_M2M_MPLANE,
    V4L2_CAP_VIDEO_OUTPUT, V4L2_CAP_VIDEO_OUTPUT_MPLANE,
    v4l2_buf_type_V4L2_BUF_TYPE_VIDEO_CAPTURE as V4L2_BUF_TYPE_VIDEO_CAPTURE, v4l2_capability, v4l2_fmtdesc,
    v4l2_frmivalenum, v4l2_frmivaltypes_V4L2_FRMIVAL_TYPE_DISCRETE as INTERVAL_DISCRETE, v4l2_frmsizeenum,
    v4l2_frmsizetypes_V4L2_FRMSIZE_TYPE_CONTINUOUS as SIZE_CONTINUOUS,
    v4l2_frmsizetypes_V4L2_FRMSIZE_TYPE_DISCRETE as SIZE_DISCRETE,
    v4l2_frmsizetypes_V4L2_FRMSIZE_TYPE_STEPWISE as SIZE_STEPWISE,
};

use super::driver::{ENUM_FMT, ENUM_FRAMEINTERVALS, ENUM_FRAMESIZES, Plain, QUERYCAP, call};
use super::format::{Format, FourCc, Rate, Size, Steps};
use super::{Device, Driver};
use crate::device::plain;

/// More than any device has (vivid 83); one that never says that its list is over stops here.
const MAX_FORMATS: u32 = 128;
/// Of one format.
const MAX_SIZES: u32 = 128;
/// Of one size.
const MAX_RATES: u32 = 64;
/// Larger than any camera's.
const MAX_SIDE: u32 = 16_384;
/// Faster than any camera, frames a second.
const MAX_FPS: u64 = 1000;

/// Sizes that people ask for, for drivers that take any.
const USUAL_SIZES: [(u32, u32); 9] = [
    (3840, 2160),
    (2560, 1440),
    (1920, 1080),
    (1280, 960),
    (1280, 720),
    (800, 600),
    (640, 480),
    (640, 360),
    (320, 240),
];
/// Rates that people ask for, for drivers that take any.
const USUAL_FPS: [u32; 11] = [120, 90, 60, 50, 30, 25, 24, 20, 15, 10, 5];

/// What a node is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It gives pictures.
    Camera,
    /// It gives what a camera says beside its pictures.
    Metadata,
    /// It takes pictures.
    Output,
    /// It takes and gives: an encoder, decoder or scaler.
    Codec,
    /// None of these, or a camera of a kind that we cannot read.
    Other,
}

/// What a device says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// Which driver it has.
    pub driver: String,
    /// Its name, for people.
    pub card: String,
    /// Where it is, as the driver says it (`usb-0000:00:14.0-2`).
    pub bus: String,
    /// What it is for.
    pub role: Role,
    /// What a camera delivers, in its own order; formats without any size are left out.
    pub formats: Vec<Format>,
    /// What it got wrong, for the log.
    pub oddities: Vec<Oddity>,
}

/// Something that a driver should not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oddity {
    /// A list that does not end.
    EndlessList,
    /// A size of nothing, or larger than any camera's.
    Size,
    /// A time between frames of nothing, or of no number.
    Rate,
    /// A format without sizes.
    EmptyFormat,
    /// A camera without formats.
    NoFormat,
}

impl fmt::Display for Oddity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Oddity::EndlessList => "a list that does not end",
            Oddity::Size => "a frame size that cannot be",
            Oddity::Rate => "a frame rate that cannot be",
            Oddity::EmptyFormat => "a format without sizes",
            Oddity::NoFormat => "no format at all",
        })
    }
}

/// Asks for everything. Fails when the device does not even say what it is. Blocks.
pub fn survey(driver: &(impl Driver + ?Sized)) -> io::Result<Survey> {
    let mut said = v4l2_capability::zeroed();
    call(driver, QUERYCAP, &mut said)?;
    let role = role_of(&said);
    let mut oddities = Oddities(Vec::new());
    let formats = if role == Role::Camera { formats(driver, &mut oddities) } else { Vec::new() };
    if role == Role::Camera && formats.is_empty() {
        oddities.note(Oddity::NoFormat);
    }
    Ok(Survey {
        driver: text(&said.driver),
        card: text(&said.card),
        bus: text(&said.bus_info),
        role,
        formats,
        oddities: oddities.0,
    })
}

/// What a node is for. Blocks for as long as its driver likes.
pub fn role_at(node: &Path) -> io::Result<Role> {
    let device = Device::open(node)?;
    let mut said = v4l2_capability::zeroed();
    call(&device, QUERYCAP, &mut said)?;
    Ok(role_of(&said))
}

/// Those of this node; without them those of all nodes of the device.
fn role_of(said: &v4l2_capability) -> Role {
    let has_own = said.capabilities & V4L2_CAP_DEVICE_CAPS != 0;
    role(if has_own { said.device_caps } else { said.capabilities })
}

/// By what it does, never by what it is called. One that gives what somebody else puts in (v4l2loopback) is a
/// camera.
fn role(caps: u32) -> Role {
    let has = |any: u32| caps & any != 0;
    let capture = has(V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_VIDEO_CAPTURE_MPLANE);
    let output = has(V4L2_CAP_VIDEO_OUTPUT | V4L2_CAP_VIDEO_OUTPUT_MPLANE);
    if has(V4L2_CAP_VIDEO_M2M | V4L2_CAP_VIDEO_M2M_MPLANE) {
        Role::Codec
    } else if has(V4L2_CAP_IO_MC) {
        // Its parts have to be put together first (the camera ports of a Pi 5): no picture comes otherwise.
        Role::Other
    } else if has(V4L2_CAP_VIDEO_CAPTURE) && has(V4L2_CAP_STREAMING) {
        Role::Camera
    } else if output {
        Role::Output
    } else if !capture && has(V4L2_CAP_META_CAPTURE | V4L2_CAP_META_OUTPUT) {
        Role::Metadata
    } else {
        Role::Other
    }
}

struct Oddities(Vec<Oddity>);

impl Oddities {
    fn note(&mut self, oddity: Oddity) {
        if !self.0.contains(&oddity) {
            self.0.push(oddity);
        }
    }
}

/// Calls `one` with 0, 1, … until it says that there is no more, at most `most` times.
fn list<T>(most: u32, oddities: &mut Oddities, mut one: impl FnMut(u32) -> io::Result<T>) -> Vec<T> {
    let mut all = Vec::new();
    for index in 0..most {
        match one(index) {
            Ok(item) => all.push(item),
            // EINVAL is the end; whatever else it says, there is no more to be had.
            Err(_) => return all,
        }
    }
    oddities.note(Oddity::EndlessList);
    all
}

fn formats(driver: &(impl Driver + ?Sized), oddities: &mut Oddities) -> Vec<Format> {
    let mut all: Vec<Format> = Vec::new();
    let said = list(MAX_FORMATS, oddities, |index| {
        let mut it = v4l2_fmtdesc { index, type_: V4L2_BUF_TYPE_VIDEO_CAPTURE, ..v4l2_fmtdesc::zeroed() };
        call(driver, ENUM_FMT, &mut it).map(|()| FourCc::of(it.pixelformat))
    });
    for fourcc in said {
        if all.iter().any(|known| known.fourcc == fourcc) {
            continue;
        }
        let (sizes, any) = sizes(driver, fourcc, oddities);
        if sizes.is_empty() {
            oddities.note(Oddity::EmptyFormat);
            continue;
        }
        all.push(Format { fourcc, sizes, any });
    }
    all
}

fn sizes(
    driver: &(impl Driver + ?Sized),
    fourcc: FourCc,
    oddities: &mut Oddities,
) -> (Vec<Size>, Option<Steps>) {
    let mut any = None;
    let said = list(MAX_SIZES, oddities, |index| {
        // Only the first of a list of steps is looked at.
        if any.is_some() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut it = v4l2_frmsizeenum { index, pixel_format: fourcc.number(), ..v4l2_frmsizeenum::zeroed() };
        call(driver, ENUM_FRAMESIZES, &mut it)?;
        #[expect(unsafe_code, reason = "both are numbers, whichever was meant")]
        let (one, steps) = unsafe { (it.__bindgen_anon_1.discrete, it.__bindgen_anon_1.stepwise) };
        match it.type_ {
            SIZE_DISCRETE => return Ok(vec![(one.width, one.height)]),
            SIZE_STEPWISE | SIZE_CONTINUOUS => {}
            _ => return Ok(Vec::new()),
        }
        let steps = Steps {
            width: (steps.min_width, steps.max_width, steps.step_width),
            height: (steps.min_height, steps.max_height, steps.step_height),
        };
        any = Some(steps);
        let ends = [(steps.width.1, steps.height.1), (steps.width.0, steps.height.0)];
        Ok(USUAL_SIZES.into_iter().filter(|(w, h)| steps.fits(*w, *h)).chain(ends).collect())
    });
    let mut sizes: Vec<Size> = Vec::new();
    for (width, height) in said.into_iter().flatten() {
        let side = 1..=MAX_SIDE;
        if !side.contains(&width) || !side.contains(&height) {
            oddities.note(Oddity::Size);
        } else if !sizes.iter().any(|known| (known.width, known.height) == (width, height)) {
            let rates = rates(driver, fourcc, (width, height), oddities);
            sizes.push(Size { width, height, rates });
        }
    }
    sizes.sort_by_key(|s| std::cmp::Reverse((u64::from(s.width) * u64::from(s.height), s.width)));
    (sizes, any)
}

fn rates(
    driver: &(impl Driver + ?Sized),
    fourcc: FourCc,
    (width, height): (u32, u32),
    oddities: &mut Oddities,
) -> Vec<Rate> {
    let mut steps = None;
    let said = list(MAX_RATES, oddities, |index| {
        if steps.is_some() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let pixel_format = fourcc.number();
        let mut it = v4l2_frmivalenum { index, pixel_format, width, height, ..v4l2_frmivalenum::zeroed() };
        call(driver, ENUM_FRAMEINTERVALS, &mut it)?;
        #[expect(unsafe_code, reason = "both are numbers, whichever was meant")]
        let (one, range) = unsafe { (it.__bindgen_anon_1.discrete, it.__bindgen_anon_1.stepwise) };
        if it.type_ == INTERVAL_DISCRETE {
            return Ok(Rate::of(one.numerator, one.denominator));
        }
        // The shortest and the longest time between two frames.
        let fastest = Rate::of(range.min.numerator, range.min.denominator);
        steps = Some(fastest.zip(Rate::of(range.max.numerator, range.max.denominator)));
        Ok(fastest)
    });
    let mut rates: Vec<Rate> = Vec::new();
    let between = |fps: &u32| {
        let asked = u64::from(*fps) * 1000;
        steps
            .flatten()
            .is_some_and(|(fastest, slowest)| (slowest.millifps()..=fastest.millifps()).contains(&asked))
    };
    let usual = USUAL_FPS.into_iter().filter(between).map(|fps| Some(Rate::fps(fps)));
    for rate in said.into_iter().chain(usual) {
        match rate.filter(|rate| (1..=MAX_FPS * 1000).contains(&rate.millifps())) {
            Some(rate) if !rates.iter().any(|known| known.millifps() == rate.millifps()) => rates.push(rate),
            Some(_) => {}
            None => oddities.note(Oddity::Rate),
        }
    }
    rates.sort_by_key(|rate| std::cmp::Reverse(rate.millifps()));
    rates
}

/// Up to the first zero, as [`plain`] text.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    plain(&String::from_utf8_lossy(&bytes[..end]), bytes.len())
}

#[cfg(test)]
mod tests;
