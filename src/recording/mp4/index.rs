//! The fragment index of a segment: what a reader needs to know of each fragment without reading it.
//!
//! One compact blob for each segment, about nine bytes a fragment with one track. It tells where each
//! fragment is and where the fields stand that change when segments are joined, so that a part of a
//! film can be sent without a look at anything else of it.

use std::io;
use std::sync::Arc;

use super::index_builder::IndexBuilder;
use super::scan::ReadAt;
use super::split::Split;
use super::{Damage, MAX_MOOV};

/// Of the blob; another one is made again from the file.
pub(super) const LAYOUT: u8 = 1;
/// MediaMTX writes one `traf` a track.
pub(super) const MAX_TRAFS: usize = 16;
/// A day of fragments of 100 ms; an index beyond that is not ours.
pub(super) const MAX_FRAGMENTS: u64 = 1 << 20;

/// One track of the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexedTrack {
    /// As fragments name it.
    pub id: u32,
    /// Ticks a second, not 0.
    pub timescale: u32,
    /// It holds pictures.
    pub video: bool,
    /// Where its last sample ends, in ticks.
    pub end: u64,
}

/// Where one track of a fragment starts, and where that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traf {
    /// Position in [`Index::tracks`].
    pub track: usize,
    /// Decode time of its first sample, in ticks of the track.
    pub base: u64,
    /// Byte within the fragment at which that time stands, eight bytes long.
    pub base_at: u64,
}

/// One fragment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Of its `moof` in the file.
    pub offset: u64,
    /// Of `moof` and `mdat`.
    pub size: u64,
    /// Byte within the fragment at which its sequence number stands, four bytes long.
    pub sequence_at: u64,
    /// Its first frame is a keyframe: one can start to play with it.
    pub keyframe: bool,
    /// It holds a keyframe later on, and can be split there.
    pub split: Option<Split>,
    /// Its tracks.
    pub trafs: Vec<Traf>,
}

/// The index of one segment. Clones share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// Bytes of `ftyp`; `moov` follows.
    pub ftyp_len: u64,
    /// Bytes of `ftyp` and `moov`: where the first fragment starts.
    pub header_len: u64,
    /// Where the last fragment ends.
    pub end: u64,
    /// Fragments.
    pub count: u64,
    /// Digest of sample descriptions, track ids and time scales: segments with the same one join.
    pub form: [u8; 16],
    /// The tracks.
    pub tracks: Vec<IndexedTrack>,
    blob: Arc<[u8]>,
    entries_at: usize,
}

impl Index {
    /// Reads the blob made by [`IndexBuilder::finish`], checking all of it.
    pub fn parse(blob: impl Into<Arc<[u8]>>) -> Result<Index, Damage> {
        let blob: Arc<[u8]> = blob.into();
        let mut r = Reader(&blob);
        if r.byte()? != LAYOUT {
            return Err(Damage("an index of another layout"));
        }
        let (ftyp_len, header_len) = (r.number()?, r.number()?);
        let count = r.number()?;
        let form = r.array::<16>()?;
        let n = r.number()?;
        if n == 0
            || n > MAX_TRAFS as u64
            || count > MAX_FRAGMENTS
            || ftyp_len < 8
            || header_len < ftyp_len
            || header_len > 2 * MAX_MOOV
        {
            return Err(BROKEN);
        }
        let mut tracks = Vec::new();
        for _ in 0..n {
            let id = u32::try_from(r.number()?).map_err(|_| BROKEN)?;
            let timescale = u32::try_from(r.number()?).map_err(|_| BROKEN)?;
            let video = r.byte()? == 1;
            let end = r.number()?;
            if timescale == 0 {
                return Err(BROKEN);
            }
            tracks.push(IndexedTrack { id, timescale, video, end });
        }
        let entries_at = blob.len() - r.0.len();
        let mut index =
            Index { ftyp_len, header_len, end: header_len, count, form, tracks, blob, entries_at };
        let mut entries = index.entries();
        while entries.try_next()?.is_some() {}
        let end = entries.next_offset;
        if !entries.rest.0.is_empty() {
            return Err(BROKEN);
        }
        index.end = end;
        Ok(index)
    }

    /// The bytes to keep.
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// The fragments in order.
    pub fn entries(&self) -> Entries<'_> {
        Entries {
            rest: Reader(&self.blob[self.entries_at..]),
            left: self.count,
            next_offset: self.header_len,
            bases: [0; MAX_TRAFS],
            tracks: self.tracks.len(),
            entry: Entry::default(),
        }
    }

    /// The track whose times lead: the first with pictures, else the first.
    pub fn lead(&self) -> usize {
        self.tracks.iter().position(|t| t.video).unwrap_or(0)
    }

    /// When the longest track ends, in ticks of the leading one, rounded up.
    pub fn end_in_lead(&self) -> u64 {
        let lead = self.tracks[self.lead()].timescale;
        self.tracks.iter().map(|t| rescale_up(t.end, t.timescale, lead)).max().unwrap_or(0)
    }

    /// Recorded time, microseconds, as the index of segments counts it.
    pub fn media_us(&self) -> u64 {
        self.tracks.iter().map(|t| super::header::scale(t.end, 1_000_000, t.timescale)).max().unwrap_or(0)
    }

    /// As [`Index::of_file`] of the front of a file, which is enough for its first fragments.
    pub fn of_file_first(file: &(impl ReadAt + ?Sized), until: u64) -> io::Result<Result<Index, Damage>> {
        // MediaMTX's own bound for a fragment is 50 MB; most files end long before.
        let mut builder = IndexBuilder::default();
        for front in [4 << 20, 64 << 20] {
            builder.advance(file, until.min(front))?;
            if builder.count() > 0 {
                break;
            }
        }
        Ok(builder.finish())
    }

    /// Reads a segment's fragments up to byte `until`, which is where one ends.
    pub fn of_file(file: &(impl ReadAt + ?Sized), until: u64) -> io::Result<Result<Index, Damage>> {
        let mut builder = IndexBuilder::default();
        builder.advance(file, until)?;
        Ok(builder.finish())
    }
}

/// `ticks` of one scale in another, rounded up; saturating.
pub fn rescale_up(ticks: u64, from: u32, to: u32) -> u64 {
    if from == to {
        return ticks;
    }
    let scaled = (u128::from(ticks) * u128::from(to)).div_ceil(u128::from(from.max(1)));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

pub(super) const BROKEN: Damage = Damage("a broken index");

/// Walks over an index without allocating for each fragment.
pub struct Entries<'a> {
    rest: Reader<'a>,
    left: u64,
    next_offset: u64,
    bases: [u64; MAX_TRAFS],
    tracks: usize,
    entry: Entry,
}

impl Entries<'_> {
    /// The next fragment. An index that was parsed has no broken one.
    #[expect(clippy::should_implement_trait, reason = "what it hands out lives in the walk itself")]
    pub fn next(&mut self) -> Option<&Entry> {
        self.try_next().ok().flatten()
    }

    fn try_next(&mut self) -> Result<Option<&Entry>, Damage> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let size = self.rest.number()?;
        let head = self.rest.number()?;
        let (keyframe, splits, trafs) = (head & 1 == 1, head & 2 == 2, head >> 2);
        let sequence_at = self.rest.number()?;
        if trafs > MAX_TRAFS as u64 || sequence_at.saturating_add(4) > size {
            return Err(BROKEN);
        }
        self.entry.split = None;
        if splits {
            let r = &mut self.rest;
            let split = Split {
                after: r.number()?,
                moof_len: r.number()?,
                first_len: r.number()?,
                second_len: r.number()?,
                data_before: r.number()?,
            };
            self.entry.split = Some(split).filter(|s| s.fits(size));
            if self.entry.split.is_none() {
                return Err(BROKEN);
            }
        }
        self.entry.trafs.clear();
        for _ in 0..trafs {
            let track = usize::try_from(self.rest.number()?).map_err(|_| BROKEN)?;
            let base_at = self.rest.number()?;
            let step = self.rest.number()?;
            if track >= self.tracks || base_at.saturating_add(8) > size {
                return Err(BROKEN);
            }
            let base = self.bases[track].checked_add_signed(unzigzag(step)).ok_or(BROKEN)?;
            self.bases[track] = base;
            self.entry.trafs.push(Traf { track, base, base_at });
        }
        let offset = self.next_offset;
        self.next_offset = offset.checked_add(size).filter(|e| *e < 1 << 48).ok_or(BROKEN)?;
        (self.entry.offset, self.entry.size) = (offset, size);
        (self.entry.sequence_at, self.entry.keyframe) = (sequence_at, keyframe);
        Ok(Some(&self.entry))
    }
}

const fn unzigzag(n: u64) -> i64 {
    (n >> 1) as i64 ^ -((n & 1) as i64)
}

#[derive(Clone, Copy)]
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn byte(&mut self) -> Result<u8, Damage> {
        let (first, rest) = self.0.split_first().ok_or(BROKEN)?;
        self.0 = rest;
        Ok(*first)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        let (first, rest) = self.0.split_first_chunk::<N>().ok_or(BROKEN)?;
        self.0 = rest;
        Ok(*first)
    }

    fn number(&mut self) -> Result<u64, Damage> {
        let mut n = 0u64;
        for shift in (0..63).step_by(7) {
            let byte = self.byte()?;
            n |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(n);
            }
        }
        Err(BROKEN)
    }
}

#[cfg(test)]
mod tests;
