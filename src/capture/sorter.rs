//! Good frames told from bad ones: whole, newer than the one before, and in time.

use std::time::Duration;

use super::frame::{Frame, FrameBytes, FrameFormat, FramePool};
use super::h264::{Key, Sets, Unit};
use crate::base::Mono;
use crate::v4l2::{Filled, FourCc, Mode};

/// Buffers of pictures that are copied: keyframes, and those whose rows have to be packed.
const PACKED: usize = 8;
/// A picture that was captured this long ago is not shown as what the camera sees now.
const LATE: Duration = Duration::from_secs(1);

/// Why a frame is not forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Corrupt,
    Late,
    /// It carries what later ones need, and nothing to show.
    NoPicture,
}

/// Tells good frames from bad ones, and counts what never came.
pub(super) struct Sorter {
    mode: Mode,
    format: FrameFormat,
    /// Bytes of a row in the driver's buffer, when that is more than in the picture.
    padded: Option<usize>,
    pool: FramePool,
    /// Of H.264.
    sets: Sets,
    /// The driver's number of the frame before, and ours.
    before: Option<(u32, u64)>,
    captured: Mono,
}

impl Sorter {
    /// `None` = the mode's format is none that we take.
    pub fn new(mode: Mode, row: u32) -> Option<Self> {
        let format = FrameFormat::of(mode.fourcc)?;
        let packed = mode.fourcc.row(mode.width);
        let padded = packed.filter(|packed| row > *packed).and(usize::try_from(row).ok());
        Some(Self {
            mode,
            format,
            padded,
            pool: FramePool::new(PACKED),
            sets: Sets::default(),
            before: None,
            captured: Mono::default(),
        })
    }

    /// What its frames are.
    pub fn format(&self) -> FrameFormat {
        self.format
    }

    /// The frame, or why it is none; and how many were lost before it.
    pub fn sort(&mut self, filled: Filled) -> (std::result::Result<Frame, Fault>, u64) {
        // Wraps after four thousand million frames; going back is a driver that began anew.
        let (sequence, lost) = match self.before {
            None => (0, 0),
            Some((before, ours)) => match filled.sequence.wrapping_sub(before) {
                step @ 1..=0x7fff_ffff => (ours.wrapping_add(step.into()), u64::from(step) - 1),
                // Nobody knows what is missing: H.264 that needs it must not go on.
                _ if self.format == FrameFormat::H264 => (ours.wrapping_add(2), 0),
                _ => (ours.wrapping_add(1), 0),
            },
        };
        self.before = Some((filled.sequence, sequence));
        if filled.damaged {
            return (Err(Fault::Corrupt), lost);
        }
        if filled.captured <= self.captured || Mono::now().since(filled.captured) > LATE {
            return (Err(Fault::Late), lost);
        }
        self.captured = filled.captured;
        let Mode { width, height, .. } = self.mode;
        let captured = filled.captured;
        let driver = filled.sequence;
        let picture = match self.format {
            FrameFormat::H264 => self.unit(filled),
            FrameFormat::Mjpeg | FrameFormat::Raw(_) => self.picture(filled).map(|data| (data, None)),
        };
        if matches!(picture, Err(Fault::NoPicture)) {
            // No number is missing where nothing was to be shown.
            self.before = Some((driver, sequence.wrapping_sub(1)));
        }
        let format = self.format;
        (picture.map(|(data, key)| Frame { data, format, key, captured, sequence, width, height }), lost)
    }

    fn unit(&mut self, filled: Filled) -> std::result::Result<(FrameBytes, Option<Key>), Fault> {
        match self.sets.look(&filled.bytes) {
            Unit::Picture(None) => Ok((filled.bytes.into(), None)),
            Unit::Picture(key) => {
                // The newest one is kept until the next comes, and a driver may have few buffers.
                let mut buffer = self.pool.take(filled.bytes.len()).ok_or(Fault::Late)?;
                buffer.bytes_mut().extend_from_slice(&filled.bytes);
                Ok((self.pool.seal(buffer), key))
            }
            Unit::Sets => Err(Fault::NoPicture),
            Unit::Nothing => Err(Fault::Corrupt),
        }
    }

    fn picture(&mut self, filled: Filled) -> std::result::Result<FrameBytes, Fault> {
        let FrameFormat::Raw(fourcc) = self.format else {
            let end = jpeg_end(&filled.bytes).ok_or(Fault::Corrupt)?;
            return Ok(filled.bytes.cut(end).into());
        };
        let Mode { width, height, .. } = self.mode;
        match self.padded {
            None => {
                let whole = picture_size(fourcc, width, height);
                if filled.bytes.len() >= whole {
                    Ok(filled.bytes.cut(whole).into())
                } else {
                    Err(Fault::Corrupt)
                }
            }
            Some(row) => self.packed(&filled.bytes, fourcc, row),
        }
    }

    /// The picture without what pads its rows.
    fn packed(&mut self, bytes: &[u8], fourcc: FourCc, row: usize) -> std::result::Result<FrameBytes, Fault> {
        let mut buffer =
            self.pool.take(picture_size(fourcc, self.mode.width, self.mode.height)).ok_or(Fault::Late)?;
        let mut rest = bytes;
        for (rows, packed) in planes(fourcc, self.mode.width, self.mode.height) {
            // The rows of a chroma plane are padded in proportion.
            let padded = row * packed / fourcc.row(self.mode.width).map_or(1, |r| r.max(1) as usize);
            for _ in 0..rows {
                let (Some(line), Some(next)) = (rest.get(..packed), rest.get(padded.max(packed)..)) else {
                    self.pool.give_back(buffer);
                    return Err(Fault::Corrupt);
                };
                buffer.bytes_mut().extend_from_slice(line);
                rest = next;
            }
        }
        Ok(self.pool.seal(buffer))
    }
}

/// Rows and bytes of a row of each plane, without padding (`Documentation/userspace-api/media/v4l` of Linux);
/// a plane that the format has not is without rows.
fn planes(fourcc: FourCc, width: u32, height: u32) -> [(usize, usize); 3] {
    const NONE: (usize, usize) = (0, 0);
    let (width, height) = (width as usize, height as usize);
    match fourcc {
        FourCc::YUYV | FourCc::UYVY => [(height, width * 2), NONE, NONE],
        FourCc::NV12 => [(height, width), (height / 2, width), NONE],
        FourCc::YU12 => [(height, width), (height / 2, width / 2), (height / 2, width / 2)],
        _ => [(height, width), NONE, NONE],
    }
}

fn picture_size(fourcc: FourCc, width: u32, height: u32) -> usize {
    planes(fourcc, width, height).iter().map(|(rows, row)| rows * row).sum()
}

/// Where a JPEG ends, from SOI to EOI, before what cameras fill it up with; `None` = it is no whole one.
fn jpeg_end(bytes: &[u8]) -> Option<usize> {
    /// A packet or a page.
    const FILLING: usize = 4096;
    let from = bytes.len().saturating_sub(FILLING);
    let last = bytes[from..].windows(2).rposition(|w| w == [0xff, 0xd9])?;
    bytes.starts_with(&[0xff, 0xd8, 0xff]).then_some(from + last + 2)
}

#[cfg(test)]
mod tests;
