//! The fragment index of a segment: what a reader needs to know of each fragment without reading it.
//!
//! One compact blob for each segment, about nine bytes a fragment with one track. It tells where each
//! fragment is and where the fields stand that change when segments are joined, so that a part of a
//! film can be sent without a look at anything else of it.

use std::io;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::Damage;
use super::boxes::{Boxes, Fields, Found, need};
use super::fragment::duration_of;
use super::header::Header;
use super::scan::{ReadAt, Scan};

/// Of the blob; another one is made again from the file.
const LAYOUT: u8 = 1;
/// MediaMTX writes one `traf` a track.
const MAX_TRAFS: usize = 16;
/// A day of fragments of 100 ms; an index beyond that is not ours.
const MAX_FRAGMENTS: u64 = 1 << 20;

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
    /// One can start to play with it.
    pub keyframe: bool,
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
        if n == 0 || n > MAX_TRAFS as u64 || count > MAX_FRAGMENTS || ftyp_len < 8 || header_len < ftyp_len {
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

const BROKEN: Damage = Damage("a broken index");

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
        let (keyframe, trafs) = (head & 1 == 1, head >> 1);
        let sequence_at = self.rest.number()?;
        if trafs > MAX_TRAFS as u64 || sequence_at.saturating_add(4) > size {
            return Err(BROKEN);
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

/// Makes an index, of a file that may still grow.
#[derive(Clone, Debug, Default)]
pub struct IndexBuilder {
    scan: Scan,
    entries: Vec<u8>,
    count: u64,
    bases: [u64; MAX_TRAFS],
    ends: [u64; MAX_TRAFS],
    refused: Option<Damage>,
}

impl IndexBuilder {
    /// Reads what is new, up to byte `until`.
    pub fn advance(&mut self, file: &(impl ReadAt + ?Sized), until: u64) -> io::Result<()> {
        let mut scan = std::mem::take(&mut self.scan);
        let front = super::verify::Front { file, len: until };
        let done = scan.advance_raw(&front, |fragment, moof, header| {
            if self.refused.is_some() {
                return;
            }
            let entry = Entry { offset: fragment.offset, size: fragment.size, ..Entry::default() };
            if let Err(damage) = self.put(entry, fragment.keyframe, moof, header) {
                self.refused = Some(damage);
            }
        });
        self.scan = scan;
        done
    }

    fn put(&mut self, mut entry: Entry, keyframe: bool, moof: &[u8], header: &Header) -> Result<(), Damage> {
        let inside = |field: &[u8]| (field.as_ptr() as usize - moof.as_ptr() as usize) as u64;
        let outer = Boxes::new(moof).next().ok_or(BROKEN)??;
        let mut fields = Fields(need(outer.body, b"mfhd", "no mfhd box")?.body);
        fields.version_flags()?;
        entry.sequence_at = inside(fields.0);
        fields.u32()?;
        let mut leads = false;
        for traf in Boxes::new(outer.body) {
            let Found { kind, body, .. } = traf?;
            if kind != *b"traf" {
                continue;
            }
            let mut fields = Fields(need(body, b"tfhd", "no tfhd box")?.body);
            fields.version_flags()?;
            let id = fields.u32()?;
            let track = header.tracks.iter().position(|t| t.id == id).ok_or(BROKEN)?;
            let mut fields = Fields(need(body, b"tfdt", "no tfdt box")?.body);
            if fields.version_flags()?.0 != 1 {
                return Err(Damage("fragment times of four bytes"));
            }
            let base_at = inside(fields.0);
            let base = fields.u64()?;
            let end = base.checked_add(duration_of(body, header)?).ok_or(BROKEN)?;
            if end > 1 << 56 || entry.trafs.len() == MAX_TRAFS {
                return Err(Damage("fragment times beyond all reason"));
            }
            self.ends[track] = self.ends[track].max(end);
            leads |= header.tracks[track].video || !header.tracks.iter().any(|t| t.video);
            entry.trafs.push(Traf { track, base, base_at });
        }
        self.count += 1;
        if self.count > MAX_FRAGMENTS {
            return Err(Damage("more fragments than a segment of ours has"));
        }
        let out = &mut self.entries;
        number(out, entry.size);
        number(out, (entry.trafs.len() as u64) << 1 | u64::from(keyframe && leads));
        number(out, entry.sequence_at);
        for t in &entry.trafs {
            number(out, t.track as u64);
            number(out, t.base_at);
            // Both are below 2^56, so the difference is one of i64.
            number(out, zigzag(t.base as i64 - self.bases[t.track] as i64));
            self.bases[t.track] = t.base;
        }
        Ok(())
    }

    /// Whole fragments so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// What is indexed so far.
    pub fn finish(&self) -> Result<Index, Damage> {
        if let Some(damage) = self.refused.or(self.scan.damage()) {
            return Err(damage);
        }
        let header = self.scan.header().ok_or(Damage("it has no whole header"))?;
        let mut out = vec![LAYOUT];
        number(&mut out, header.ftyp_len);
        number(&mut out, header.len);
        number(&mut out, self.count);
        out.extend_from_slice(&form(header));
        number(&mut out, header.tracks.len() as u64);
        for (track, end) in header.tracks.iter().zip(self.ends) {
            number(&mut out, track.id.into());
            number(&mut out, track.timescale.into());
            out.push(track.video.into());
            number(&mut out, end);
        }
        out.extend_from_slice(&self.entries);
        Index::parse(out)
    }
}

fn form(header: &Header) -> [u8; 16] {
    let mut hash = Sha256::new();
    for track in &header.tracks {
        hash.update(track.id.to_be_bytes());
        hash.update(track.timescale.to_be_bytes());
        hash.update([u8::from(track.video)]);
    }
    hash.update(&header.stsd);
    let digest: [u8; 32] = hash.finalize().into();
    *digest.first_chunk().expect("32 bytes have 16")
}

fn number(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

const fn zigzag(n: i64) -> u64 {
    (n << 1 ^ n >> 63) as u64
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
mod tests {
    use super::*;
    use crate::recording::mp4::build;
    use proptest::prelude::*;

    fn of(bytes: &[u8]) -> Index {
        Index::of_file(bytes, bytes.len() as u64).unwrap().unwrap()
    }

    #[test]
    fn an_index_tells_where_every_fragment_and_its_times_are() {
        let bytes = build::segment(4, 3, 0);
        let index = of(&bytes);
        assert_eq!((index.count, index.end, index.tracks[0].end), (4, bytes.len() as u64, 180_000));
        let mut entries = index.entries();
        let mut n = 0;
        while let Some(e) = entries.next() {
            let at = |offset: u64| (e.offset + offset) as usize;
            assert_eq!(&bytes[at(4)..at(8)], b"moof");
            assert_eq!(&bytes[at(e.sequence_at - 8)..at(e.sequence_at - 4)], b"mfhd");
            let [traf] = e.trafs[..] else { panic!("one track") };
            let written = bytes[at(traf.base_at)..at(traf.base_at + 8)].try_into().unwrap();
            assert_eq!((u64::from_be_bytes(written), traf.base), (n * 45_000, n * 45_000));
            assert!(e.keyframe);
            n += 1;
        }
        assert_eq!(n, 4);
        assert!(index.blob().len() < 120, "{} bytes", index.blob().len());
    }

    #[test]
    fn an_index_is_kept_and_read_again() {
        let index = of(&build::segment(7, 0, 0));
        assert_eq!(Index::parse(index.blob()).unwrap(), index);
    }

    #[test]
    fn another_picture_size_is_another_form() {
        let small = [build::header(64, 64, 0, 0), build::fragment(0, 1, 3000, 9)].concat();
        assert_ne!(of(&small).form, of(&build::segment(1, 0, 0)).form);
        assert_eq!(of(&build::segment(2, 5, 77)).form, of(&build::segment(1, 0, 0)).form);
    }

    proptest! {
        #[test]
        fn any_blob_is_survived(blob in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Index::parse(blob);
        }

        #[test]
        fn a_changed_blob_is_survived(at in 0usize..200, value: u8) {
            let mut blob = of(&build::segment(5, 0, 0)).blob().to_vec();
            let at = at % blob.len();
            blob[at] = value;
            if let Ok(index) = Index::parse(blob) {
                let mut entries = index.entries();
                while let Some(e) = entries.next() {
                    prop_assert!(e.offset + e.size <= index.end);
                }
            }
        }

        #[test]
        fn a_changed_file_is_survived(at in 0usize..4000, value: u8) {
            let mut bytes = build::segment(4, 0, 0);
            let at = at % bytes.len();
            bytes[at] = value;
            let _ = Index::of_file(&bytes[..], bytes.len() as u64).unwrap();
        }

        #[test]
        fn an_index_of_a_growing_file_is_that_of_the_whole(cut in 0usize..4000) {
            let bytes = build::segment(4, 0, 0);
            let mut builder = IndexBuilder::default();
            builder.advance(&bytes[..cut % bytes.len()], u64::MAX).unwrap();
            builder.advance(&bytes[..], u64::MAX).unwrap();
            prop_assert_eq!(builder.finish().unwrap(), of(&bytes));
        }
    }
}
