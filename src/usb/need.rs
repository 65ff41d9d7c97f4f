//! What a mode takes of the bus.

use super::budget::split;
use super::descriptors::{Format, Frame, Kind, Setting, Streaming};
use super::place::{Place, Share};
use crate::v4l2::{FourCc, Mode, Rate};

/// A payload's header; uvcvideo reckons with it too.
const HEADER: u64 = 12;

/// Why a mode is thought to take what it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Basis {
    /// The camera took it when it ran so.
    Seen,
    /// Its pictures have this size.
    Raw,
    /// The bit rate that its descriptor names.
    BitRate,
    /// The largest picture that its descriptor names.
    Buffer,
    /// It says nothing: its largest reservation.
    Largest,
}

/// What a mode takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Need {
    /// bInterfaceNumber of the stream.
    pub interface: u8,
    /// What it will probably take.
    pub likely: Setting,
    /// What it surely takes.
    pub least: Setting,
    pub basis: Basis,
    /// Not even its largest reservation carries so much.
    pub too_much: bool,
}

/// What a mode takes; `None` = it reserves nothing, or nothing is known of it. `seen` = the setting that the
/// camera had when it ran in this mode.
pub(super) fn need(place: &Place, mode: &Mode, seen: Option<u8>) -> Option<Need> {
    let (stream, frame) = stream(place, mode)?;
    let mut settings: Vec<Setting> = stream.settings.clone();
    settings.retain(|s| s.bytes > 0);
    if settings.is_empty() || settings.iter().any(|s| !s.isochronous) {
        return None;
    }
    // Of two that are as large the first is taken (`uvc_video_start_transfer`).
    settings.sort_by_key(|s| s.bytes);
    let (smallest, largest) = (settings[0], *settings.last()?);
    let made = |likely, least, basis, too_much| {
        Some(Need { interface: stream.interface, likely, least, basis, too_much })
    };
    if let Some(seen) = seen.and_then(|n| settings.iter().find(|s| s.number == n)) {
        return made(*seen, *seen, Basis::Seen, false);
    }
    let (bytes, basis) = match bytes_a_second(mode, frame) {
        Some(found) => found,
        None => return made(largest, smallest, Basis::Largest, false),
    };
    let carries = |s: &&Setting| {
        let payload = bytes.saturating_mul(s.every.into()).div_ceil(place.speed.ticks()) + HEADER;
        u64::from(s.bytes) >= payload
    };
    let fitting = settings.iter().find(carries).copied();
    // uvcvideo takes the largest when the camera asks for more (since Linux 6.15; before, it fails).
    let likely = fitting.unwrap_or(largest);
    let raw = basis == Basis::Raw;
    made(likely, if raw { likely } else { smallest }, basis, raw && fitting.is_none())
}

/// The stream of a camera that has the mode, and what its descriptor says of it.
fn stream<'a>(place: &'a Place, mode: &Mode) -> Option<(&'a Streaming, Option<&'a Frame>)> {
    let format = |f: &&Format| matches(f.kind, mode.fourcc);
    let frame = |f: &&Frame| (f.width, f.height) == (mode.width, mode.height);
    let all = || place.streams.iter();
    let exact = all().find_map(|s| {
        s.formats.iter().filter(format).flat_map(|f| &f.frames).find(frame).map(|found| (s, Some(found)))
    });
    let named = || all().find(|s| s.formats.iter().any(|f| format(&f))).map(|s| (s, None));
    exact.or_else(named).or_else(|| all().next().map(|s| (s, None)))
}

fn matches(kind: Kind, fourcc: FourCc) -> bool {
    match kind {
        Kind::Mjpeg => fourcc.is_jpeg(),
        // `uvc_format_by_guid` of the kernel, as far as we take them.
        Kind::Uncompressed(name) => match &name {
            b"YUY2" => fourcc == FourCc::YUYV,
            b"I420" => fourcc == FourCc::YU12,
            b"Y800" | b"Y8  " => fourcc == FourCc::GREY,
            _ => fourcc.0 == name,
        },
        Kind::FrameBased(name) => fourcc.0 == name,
    }
}

/// Bytes of pictures a second, and how that is known.
fn bytes_a_second(mode: &Mode, frame: Option<&Frame>) -> Option<(u64, Basis)> {
    let millifps = mode.rate.map(Rate::millifps);
    if let Some(bits) = mode.fourcc.raw_bits() {
        let picture = (u64::from(mode.width) * u64::from(mode.height)).saturating_mul(bits.into()) / 8;
        return Some((picture.saturating_mul(millifps?) / 1000, Basis::Raw));
    }
    let frame = frame?;
    // 100 ns × thousandths of a frame a second.
    let share = |fps: u64| {
        (frame.interval > 0).then(|| fps.saturating_mul(frame.interval.into()).min(10_000_000_000))
    };
    if frame.max_bit_rate > 0 {
        let most = u64::from(frame.max_bit_rate) / 8;
        let of_rate = millifps.and_then(share).map(|share| most * (share / 1000) / 10_000_000);
        return Some((of_rate.unwrap_or(most), Basis::BitRate));
    }
    let bytes = u64::from(frame.max_bytes).checked_mul(millifps?)? / 1000;
    (bytes > 0).then_some((bytes, Basis::Buffer))
}

/// What a setting takes of each frame or microframe of a line, ns. One that is not served in each is reckoned
/// with its part.
pub(super) fn time(setting: &Setting, share: &Share) -> u64 {
    if share.split {
        return split(setting.bytes);
    }
    share.line.speed.time(setting.bytes, setting.packet).div_ceil(u64::from(setting.every))
}

#[cfg(test)]
mod tests;
