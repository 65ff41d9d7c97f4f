//! The front of a film: one `ftyp` and `moov` for all of its segments, and the index players seek by.

use super::boxes::{Boxes, Fields, need};
use super::{Damage, MAX_MOOV, SPLIT_MAX};

/// Bytes that [`front`] adds to the header it is given, besides the index: `mehd`.
const MEHD: u64 = 20;
/// An index without references, with the box that fills its place up.
const SIDX: u64 = 40 + 8;
const REFERENCE: u64 = 12;
/// More are no use to a player that reads all of them before its first picture.
const MAX_POINTS: u64 = 20_000;
/// Recorded time for each point at least, so that the front's size follows from the film's length.
const POINT_MS: u64 = 800;
/// A `sidx` counts its references in 16 bits; 720 KB.
const MAX_REFERENCES: u64 = 60_000;

/// How many points to jump to a film of this length has at most.
pub fn points(duration_ms: u64) -> u64 {
    (duration_ms / POINT_MS + 2).min(MAX_POINTS)
}

/// How many references a film of this length has room for: of a point, and of the fragments up to the next
/// one. MediaMTX writes two fragments a second and some more where files change.
pub fn references(duration_ms: u64) -> u64 {
    (3 * points(duration_ms) + 8).min(MAX_REFERENCES)
}

/// How many bytes longer than the header of its first segment the front of a film is.
pub fn front_added(duration_ms: u64) -> u64 {
    MEHD + SIDX + REFERENCE * references(duration_ms)
}

/// How many bytes a film has more than its segments: the front, and room for a fragment split in two
/// at each point; what is not used of it is a `free` box at the end. So the size of a film follows
/// from what lists know of it.
pub fn added(duration_ms: u64) -> u64 {
    front_added(duration_ms) + SPLIT_MAX * points(duration_ms) + 8
}

/// A stretch of the film.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Bytes, up to the next one.
    pub size: u32,
    /// In ticks of the leading track.
    pub duration: u32,
    /// One can start to play here.
    pub keyframe: bool,
}

/// What the front tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Front {
    /// Recorded time that plays, microseconds.
    pub duration_us: u64,
    /// Recorded time by which the size is fixed, see [`front_added`].
    pub length_ms: u64,
    /// The leading track.
    pub track: u32,
    /// Its ticks a second.
    pub timescale: u32,
    /// When its first sample plays, in ticks.
    pub start: u64,
    /// At most [`references`] of them, all bytes that follow; none: without an index.
    pub references: Vec<Reference>,
}

impl Front {
    /// Makes the front from a segment's `ftyp` and `moov`. Its size is theirs and [`front_added`].
    pub fn make(&self, header: &[u8]) -> Result<Vec<u8>, Damage> {
        if header.len() as u64 > MAX_MOOV {
            return Err(Damage("the file has no moov of a sane size"));
        }
        let inside = |field: &[u8]| field.as_ptr() as usize - header.as_ptr() as usize;
        let mut boxes = Boxes::new(header);
        boxes.next().ok_or(Damage("the file is empty"))??;
        let moov = boxes.next().ok_or(Damage("the file ends before its moov box"))??;
        if moov.kind != *b"moov" || boxes.next().is_some() {
            return Err(Damage("the file does not start with ftyp and moov"));
        }
        let mvex = need(moov.body, b"mvex", "the file is not fragmented")?;
        let (moov_at, mvex_at) = (inside(moov.whole), inside(mvex.whole));
        let mut fields = Fields(need(moov.body, b"mvhd", "no mvhd box")?.body);
        let long = fields.version_flags()?.0 == 1;
        fields.bytes(if long { 16 } else { 8 })?;
        let timescale = fields.u32()?;
        let duration = super::header::scale(self.duration_us, timescale, 1_000_000).max(1);
        let duration_at = inside(fields.0);
        fields.bytes(if long { 8 } else { 4 })?;
        let mut out = header.to_vec();
        if long {
            out[duration_at..duration_at + 8].copy_from_slice(&duration.to_be_bytes());
        } else {
            let short = u32::try_from(duration).unwrap_or(u32::MAX);
            out[duration_at..duration_at + 4].copy_from_slice(&short.to_be_bytes());
        }
        for old in Boxes::new(mvex.body) {
            let old = old?;
            if old.kind == *b"mehd" {
                let at = inside(old.whole) + 4;
                out[at..at + 4].copy_from_slice(b"free");
            }
        }
        for outer in [moov_at, mvex_at] {
            let size = header[outer..].first_chunk::<4>().map(|b| u32::from_be_bytes(*b));
            // 1 stands for a long size, which nobody needs here.
            let size = size.filter(|s| *s > 1).ok_or(Damage("a box with a long size in the header"))?;
            let size = size.checked_add(MEHD as u32).ok_or(Damage("a header larger than memory"))?;
            out[outer..outer + 4].copy_from_slice(&size.to_be_bytes());
        }
        let mut mehd = Vec::from((MEHD as u32).to_be_bytes());
        mehd.extend(b"mehd\x01\0\0\0");
        mehd.extend(duration.to_be_bytes());
        let body_at = mvex_at + (mvex.whole.len() - mvex.body.len());
        out.splice(body_at..body_at, mehd);
        self.put_index(&mut out);
        debug_assert_eq!(out.len() as u64, header.len() as u64 + front_added(self.length_ms));
        Ok(out)
    }

    fn put_index(&self, out: &mut Vec<u8>) {
        let room = SIDX + REFERENCE * references(self.length_ms);
        let count = self.references.len() as u64;
        let used = if count == 0 || count > references(self.length_ms) { 0 } else { 40 + REFERENCE * count };
        let rest = room - used;
        // In front: behind the index it makes Chromium read the whole film before its first picture.
        out.extend((rest as u32).to_be_bytes());
        out.extend(b"free");
        out.resize(out.len() + rest as usize - 8, 0);
        if used == 0 {
            return;
        }
        out.extend((used as u32).to_be_bytes());
        out.extend(b"sidx\x01\0\0\0");
        out.extend(self.track.to_be_bytes());
        out.extend(self.timescale.to_be_bytes());
        out.extend(self.start.to_be_bytes());
        // The first stretch follows at once.
        out.extend([0; 8]);
        out.extend([0, 0]);
        out.extend((count as u16).to_be_bytes());
        for r in &self.references {
            out.extend((r.size & 0x7fff_ffff).to_be_bytes());
            out.extend(r.duration.to_be_bytes());
            // Starts with a keyframe, of the kind that everything after it decodes.
            let access: u32 = if r.keyframe { 0x9000_0000 } else { 0 };
            out.extend(access.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::mp4::{Scan, build};
    use proptest::prelude::*;

    fn some(count: u32) -> Front {
        Front {
            duration_us: 90_061_500_000,
            length_ms: 4000,
            track: 1,
            timescale: 90_000,
            start: 0,
            references: (0..count)
                .map(|n| Reference { size: 1000 + n, duration: 90_000, keyframe: true })
                .collect(),
        }
    }

    #[test]
    fn the_front_is_as_long_as_announced_and_tells_the_duration() {
        let header = build::header(640, 360, 0, 0);
        for count in [0, 1, 7] {
            let mut film = some(count).make(&header).unwrap();
            assert_eq!(film.len() as u64, header.len() as u64 + front_added(4000), "{count}");
            let kinds: Vec<_> = Boxes::new(&film).map(|b| b.unwrap().kind).collect();
            let expected: &[&[u8; 4]] =
                if count == 0 { &[b"ftyp", b"moov", b"free"] } else { &[b"ftyp", b"moov", b"free", b"sidx"] };
            assert!(kinds.iter().eq(expected.iter().copied()), "{count}: {kinds:?}");
            let moov_end = Boxes::new(&film).take(2).map(|b| b.unwrap().whole.len()).sum();
            film.truncate(moov_end);
            let mut scan = Scan::new();
            scan.advance(&film[..], |_| {}).unwrap();
            assert_eq!(scan.header().unwrap().duration_ms, 90_061_500);
        }
    }

    proptest! {
        #[test]
        fn any_header_is_survived(at in 0usize..700, value: u8, cut in 0usize..700) {
            let mut header = build::header(640, 360, 0, 0);
            let at = at % header.len();
            header[at] = value;
            let _ = some(3).make(&header);
            header.truncate(cut);
            let _ = some(3).make(&header);
        }
    }
}
