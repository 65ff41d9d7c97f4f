//! One fragment as two, so that the second one starts with a keyframe.
//!
//! MediaMTX closes a fragment by time, so most keyframes stand somewhere inside of one. A player can
//! only jump to the start of a fragment, and a film can only start there. Two fragments need a second
//! `moof`; the frames themselves stay where they are.

use super::boxes::{Boxes, Fields, Found};
use super::header::Header;
use super::{Damage, IndexedTrack, MAX_MOOF};

/// Bytes that a split adds at most; a fragment that needs more stays whole.
pub const SPLIT_MAX: u64 = 128;

/// Where a fragment is split: before its first keyframe, which is not its first frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// The keyframe's time after the fragment's first frame, in ticks of the leading track.
    pub after: u64,
    /// Bytes of the `moof` as it is.
    pub moof_len: u64,
    /// Bytes of the first half's `moof`.
    pub first_len: u64,
    /// Bytes of the second half's `moof`.
    pub second_len: u64,
    /// Bytes of the frames before the keyframe.
    pub data_before: u64,
}

impl Split {
    /// Bytes that the two halves have more than the fragment.
    pub fn added(&self) -> u64 {
        // A second head of an `mdat`.
        (self.first_len + 8 + self.second_len).saturating_sub(self.moof_len)
    }

    /// Whether the figures can be true of a fragment of this size; for those that were kept.
    pub(super) fn fits(&self, size: u64) -> bool {
        let small = [self.after, self.moof_len, self.first_len, self.second_len, self.data_before];
        small.iter().all(|n| *n < 1 << 40)
            && self.moof_len <= MAX_MOOF
            && self.first_len >= 8
            && self.second_len >= 8
            && self.first_len + self.second_len > self.moof_len
            && self.added() <= SPLIT_MAX
            && self.moof_len + 8 + self.data_before <= size
    }
}

const NON_SYNC: u32 = 1 << 16;
/// Data offset, and for each frame duration, size and flags: what MediaMTX writes.
const NEEDED: u32 = 0x701;
const FIRST_FLAGS: u32 = 0x4;

/// The boxes of a fragment that can be split.
struct Parts<'a> {
    mfhd: Found<'a>,
    trafs: Vec<Traf<'a>>,
}

struct Traf<'a> {
    tfhd: Found<'a>,
    tfdt: Found<'a>,
    trun: Found<'a>,
    id: u32,
    base: u64,
    flags: u32,
    count: u32,
    data_at: u32,
    /// The frames' table.
    rows: &'a [u8],
}

impl Traf<'_> {
    /// Bytes of a row of the table.
    fn step(&self) -> usize {
        4 * (self.flags >> 8 & 0xf).count_ones() as usize
    }
}

fn parts(moof: &[u8]) -> Result<Parts<'_>, Damage> {
    const OTHER: Damage = Damage("a fragment of another form");
    let outer = Boxes::new(moof).next().ok_or(OTHER)??;
    let (mut mfhd, mut trafs) = (None, Vec::new());
    for found in Boxes::new(outer.body) {
        let found = found?;
        match &found.kind {
            b"mfhd" if mfhd.is_none() && found.body.len() == 8 => mfhd = Some(found),
            b"traf" if trafs.len() < 16 => trafs.push(traf(found.body)?),
            _ => return Err(OTHER),
        }
    }
    Ok(Parts { mfhd: mfhd.ok_or(OTHER)?, trafs })
}

fn traf(body: &[u8]) -> Result<Traf<'_>, Damage> {
    const OTHER: Damage = Damage("a track of a fragment of another form");
    let mut boxes = Boxes::new(body);
    let mut next = |kind: &[u8; 4]| match boxes.next() {
        Some(Ok(found)) if found.kind == *kind && found.whole.len() == found.body.len() + 8 => Ok(found),
        _ => Err(OTHER),
    };
    let (tfhd, tfdt, trun) = (next(b"tfhd")?, next(b"tfdt")?, next(b"trun")?);
    if boxes.next().is_some() {
        return Err(OTHER);
    }
    let mut fields = Fields(tfhd.body);
    fields.version_flags()?;
    let id = fields.u32()?;
    let mut fields = Fields(tfdt.body);
    if fields.version_flags()?.0 != 1 || tfdt.body.len() != 12 {
        return Err(OTHER);
    }
    let base = fields.u64()?;
    let mut fields = Fields(trun.body);
    let (_, flags) = fields.version_flags()?;
    let count = fields.u32()?;
    if flags & NEEDED != NEEDED || flags & FIRST_FLAGS != 0 {
        return Err(OTHER);
    }
    let data_at = fields.u32()?;
    let traf = Traf { tfhd, tfdt, trun, id, base, flags, count, data_at, rows: fields.0 };
    if traf.rows.len() != traf.step().checked_mul(count as usize).ok_or(OTHER)? {
        return Err(OTHER);
    }
    Ok(traf)
}

/// Where a fragment can be split, if it can and has to be.
pub(super) fn find(moof: &[u8], header: &Header, lead: usize) -> Option<Split> {
    let parts = parts(moof).ok()?;
    let traf = parts.trafs.iter().find(|t| t.id == header.tracks[lead].id)?;
    // Its frames come first, so what is before the keyframe is one stretch.
    if traf.data_at as usize != moof.len() + 8 || parts.trafs.iter().any(|t| t.data_at < traf.data_at) {
        return None;
    }
    let (mut after, mut data_before) = (0u64, 0u64);
    for (n, row) in traf.rows.chunks_exact(traf.step()).enumerate() {
        let mut fields = Fields(row);
        let (duration, size, flags) = (fields.u32().ok()?, fields.u32().ok()?, fields.u32().ok()?);
        if flags & NON_SYNC == 0 {
            let rows = n * traf.step();
            let moof_len = moof.len() as u64;
            let first_len = 8 + parts.mfhd.whole.len() + 8 + traf.tfhd.whole.len() + traf.tfdt.whole.len();
            let split = Split {
                after,
                moof_len,
                // The head of a `trun` and its first three fields.
                first_len: (first_len + 20 + rows) as u64,
                second_len: moof_len - rows as u64,
                data_before,
            };
            return (n > 0 && split.added() <= SPLIT_MAX).then_some(split);
        }
        after += u64::from(duration);
        data_before += u64::from(size);
    }
    None
}

fn put(out: &mut Vec<u8>, kind: &[u8; 4], bodies: &[&[u8]]) {
    let size = 8 + bodies.iter().map(|b| b.len()).sum::<usize>();
    out.extend((size as u32).to_be_bytes());
    out.extend(kind);
    bodies.iter().for_each(|b| out.extend_from_slice(b));
}

fn put_traf(out: &mut Vec<u8>, traf: &Traf<'_>, time: u64, data_at: u64, rows: &[u8]) -> Result<(), Damage> {
    let count = rows.len() / traf.step();
    let data_at = u32::try_from(data_at).map_err(|_| Damage("frames too far from their fragment"))?;
    let mut inner = traf.tfhd.whole.to_vec();
    put(&mut inner, b"tfdt", &[&traf.tfdt.body[..4], &time.to_be_bytes()]);
    let (count, data_at) = ((count as u32).to_be_bytes(), data_at.to_be_bytes());
    put(&mut inner, b"trun", &[&traf.trun.body[..4], &count, &data_at, rows]);
    put(out, b"traf", &[&inner]);
    Ok(())
}

/// How a fragment is split, and what its halves say in a film.
pub struct Halves<'a> {
    /// The `moof` as it is.
    pub moof: &'a [u8],
    /// Where.
    pub split: Split,
    /// The tracks of the segment.
    pub tracks: &'a [IndexedTrack],
    /// Which of them leads.
    pub lead: usize,
}

impl Halves<'_> {
    /// The first half without its frames: `moof` and the head of `mdat`. `time` says when what stands at
    /// a time of a track plays in the film.
    pub fn first(&self, sequence: u32, time: impl Fn(usize, u64) -> u64) -> Result<Vec<u8>, Damage> {
        let (parts, cut) = self.parts()?;
        let traf = self.leading(&parts)?;
        let mut inner = Vec::new();
        put(&mut inner, b"mfhd", &[&parts.mfhd.body[..4], &sequence.to_be_bytes()]);
        let data_at = self.split.first_len + 8;
        put_traf(&mut inner, traf, time(self.lead, traf.base), data_at, &traf.rows[..cut])?;
        self.finish(inner, self.split.first_len, self.split.data_before)
    }

    /// As [`Halves::first`] for the second half; `size` is that of the fragment as it is.
    pub fn second(
        &self,
        sequence: u32,
        size: u64,
        time: impl Fn(usize, u64) -> u64,
    ) -> Result<Vec<u8>, Damage> {
        let (parts, cut) = self.parts()?;
        let lead = self.leading(&parts)?.id;
        let mut inner = Vec::new();
        put(&mut inner, b"mfhd", &[&parts.mfhd.body[..4], &sequence.to_be_bytes()]);
        let Split { after, moof_len, second_len, data_before, .. } = self.split;
        for traf in &parts.trafs {
            let track = self.tracks.iter().position(|t| t.id == traf.id);
            let track = track.ok_or(Damage("a fragment of an unknown track"))?;
            let leads = traf.id == lead;
            let (base, rows) = if leads {
                (traf.base.saturating_add(after), &traf.rows[cut..])
            } else {
                (traf.base, traf.rows)
            };
            let skipped = moof_len + 8 + data_before;
            let old = if leads { skipped } else { u64::from(traf.data_at) };
            let moved = old.checked_sub(skipped).ok_or(Damage("frames outside of their fragment"))?;
            put_traf(&mut inner, traf, time(track, base), second_len + 8 + moved, rows)?;
        }
        let data =
            size.checked_sub(moof_len + 8 + data_before).ok_or(Damage("a fragment without its data"))?;
        self.finish(inner, second_len, data)
    }

    fn parts(&self) -> Result<(Parts<'_>, usize), Damage> {
        let parts = parts(self.moof)?;
        let cut = usize::try_from(self.split.moof_len.saturating_sub(self.split.second_len));
        let cut = cut.map_err(|_| Damage("a fragment larger than memory"))?;
        let traf = self.leading(&parts)?;
        if cut > traf.rows.len() || cut % traf.step() != 0 || traf.count == 0 {
            return Err(Damage("the fragment has changed"));
        }
        Ok((parts, cut))
    }

    fn leading<'b>(&self, parts: &'b Parts<'b>) -> Result<&'b Traf<'b>, Damage> {
        let id = self.tracks.get(self.lead).map(|t| t.id);
        parts.trafs.iter().find(|t| Some(t.id) == id).ok_or(Damage("the fragment has changed"))
    }

    fn finish(&self, inner: Vec<u8>, announced: u64, data: u64) -> Result<Vec<u8>, Damage> {
        let mut out = Vec::new();
        put(&mut out, b"moof", &[&inner]);
        if out.len() as u64 != announced {
            return Err(Damage("the fragment has changed"));
        }
        let data = u32::try_from(data + 8).map_err(|_| Damage("a fragment larger than memory"))?;
        out.extend(data.to_be_bytes());
        out.extend(b"mdat");
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::mp4::{Index, build};
    use proptest::prelude::*;

    /// A segment, and its second fragment: where it is, how it is split.
    fn second() -> (Vec<u8>, Index, u64, u64, Split) {
        let bytes = build::drifting(4, 0, 0);
        let index = Index::of_file(&bytes[..], bytes.len() as u64).unwrap().unwrap();
        let mut entries = index.entries();
        entries.next().unwrap();
        let e = entries.next().unwrap();
        let (offset, size, split) = (e.offset, e.size, e.split.unwrap());
        (bytes, index, offset, size, split)
    }

    #[test]
    fn halves_are_as_long_as_announced() {
        let (bytes, index, offset, size, split) = second();
        let moof = &bytes[offset as usize..(offset + split.moof_len) as usize];
        let halves = Halves { moof, split, tracks: &index.tracks, lead: 0 };
        let first = halves.first(7, |_, time| time).unwrap();
        let second = halves.second(8, size, |_, time| time).unwrap();
        assert_eq!((first.len() as u64, second.len() as u64), (split.first_len + 8, split.second_len + 8));
        // Frames 16 to 29 before the keyframe, 30 and 31 from it on.
        assert_eq!((split.after, split.data_before), (14 * 3000, 14 * 44));
        assert!(split.added() <= SPLIT_MAX);
    }

    proptest! {
        #[test]
        fn a_changed_fragment_is_survived(at in 0usize..400, value: u8, cut in 0usize..400, lead in 0usize..3) {
            let (bytes, index, offset, size, split) = second();
            let mut moof = bytes[offset as usize..(offset + split.moof_len) as usize].to_vec();
            let at = at % moof.len();
            moof[at] = value;
            moof.truncate(cut.max(8));
            let halves = Halves { moof: &moof, split, tracks: &index.tracks, lead };
            let _ = halves.first(1, |_, time| time);
            let _ = halves.second(2, size, |_, time| time);
        }

        #[test]
        fn any_split_is_survived(n in proptest::array::uniform5(any::<u64>()), size: u64) {
            let (bytes, index, offset, _, real) = second();
            let moof = &bytes[offset as usize..(offset + real.moof_len) as usize];
            let [after, moof_len, first_len, second_len, data_before] = n;
            let split = Split { after, moof_len, first_len, second_len, data_before };
            if split.fits(size) {
                let halves = Halves { moof, split, tracks: &index.tracks, lead: 0 };
                let _ = halves.first(1, |_, time| time);
                let _ = halves.second(2, size, |_, time| time);
            }
        }
    }
}
