//! Damage inside of a file with sound fragments behind it: what was not hit goes on playing.
//!
//! A damaged stretch becomes a `free` box, which every player passes over, so that the file is sound
//! again where it stands and nothing behind the damage has to be copied or given up.

use std::io;

use super::boxes::Head;
use super::fragment::Fragment;
use super::header::Header;
use super::scan::{LEAST_FREE, ReadAt};
use super::verify::{MAX_FRAGMENT, last_sound_end, look_into, pads};
use super::{Damage, MAX_MOOF, Scan};

/// More damaged stretches than this are no file with damage but a damaged file.
const MAX_HOLES: usize = 32;
/// Read at a time while looking for the next fragment.
const WINDOW: u64 = 256 << 10;
/// A damaged stretch with a sound fragment behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hole {
    /// Its first byte: where the fragment before it ends.
    pub from: u64,
    /// Where the next sound fragment starts.
    pub to: u64,
    /// What was recorded up to it, microseconds after the segment's first frame.
    pub from_us: u64,
    /// When footage goes on.
    pub to_us: u64,
    /// What is wrong with it.
    pub why: Damage,
}

impl Hole {
    /// What to write at its first byte to make a `free` box of it.
    pub fn head(&self) -> Vec<u8> {
        let size = self.to.saturating_sub(self.from);
        match u32::try_from(size) {
            Ok(short) => [&short.to_be_bytes()[..], b"free"].concat(),
            Err(_) => [&1u32.to_be_bytes()[..], b"free", &size.to_be_bytes()[..]].concat(),
        }
    }
}

/// What can be had from a file.
#[derive(Clone, Debug)]
pub struct Sound {
    /// Over everything sound, as if the holes were bridged.
    pub scan: Scan,
    /// In order.
    pub holes: Vec<Hole>,
    /// What is wrong after the last sound fragment, other than that the file ends.
    pub damage: Option<Damage>,
}

/// Finds every sound fragment of a file. Looks into those that end after byte `trusted`.
pub fn sound_parts(file: &(impl ReadAt + ?Sized), trusted: u64) -> io::Result<Sound> {
    let mut holes: Vec<Hole> = Vec::new();
    let (mut looked, size) = (trusted, file.size()?);
    // Asked when there is something to judge by it.
    let (mut ends, mut asked) = (true, false);
    // Each round bridges what the one before it found.
    let mut round = 0;
    loop {
        let bridged = Bridged { file, holes: &holes };
        let (scan, found) = last_sound_end(&bridged, looked, ends)?;
        if found.is_some() && !std::mem::replace(&mut asked, true) && pads(file)? {
            ends = false;
            continue;
        }
        let mut damage = scan.damage().or(found);
        let (from, from_us) = (scan.end(), scan.media_us());
        if from >= size || scan.header().is_none() {
            return Ok(Sound { scan, holes, damage });
        }
        let too_many = round == MAX_HOLES;
        round += 1;
        let next = match scan.header() {
            Some(header) if !too_many => next_fragment(&bridged, header, scan.stands(), ends)?,
            _ => None,
        };
        let Some(next) = next else {
            if too_many || !is_torn_fragment(file, from)? {
                damage = damage.or(Some(Damage("no fragment where one should start")));
            }
            return Ok(Sound { scan, holes, damage });
        };
        let why = damage.unwrap_or(Damage("a fragment that claims more than there is"));
        // A fragment that only the next sound one shows to be damaged lies before a hole.
        holes.retain(|h| h.from < from || h.from >= next.offset);
        holes.push(Hole { from, to: next.offset, from_us, to_us: next.start_us.max(from_us), why });
        holes.sort_unstable_by_key(|h| h.from);
        // Everything before was looked into. What a hole found earlier covered and this one does not was not.
        looked = trusted.max(next.offset);
    }
}

/// Whether a sound fragment stands anywhere behind what the scan understands: then it is no torn end.
pub fn goes_on(file: &(impl ReadAt + ?Sized), scan: &Scan) -> io::Result<bool> {
    let Some(header) = scan.header() else { return Ok(false) };
    Ok(next_fragment(file, header, scan.stands(), false)?.is_some())
}

/// What an unfinished fragment looks like from its front, as far as that is there.
fn is_torn_fragment(file: &(impl ReadAt + ?Sized), at: u64) -> io::Result<bool> {
    let (size, mut at) = (file.size()?, at);
    for (kind, most) in [(b"moof", MAX_MOOF), (b"mdat", MAX_FRAGMENT)] {
        let mut head = [0; 8];
        if at.saturating_add(8) > size {
            return Ok(true);
        }
        file.fill_at(&mut head, at)?;
        let Ok(head) = Head::parse(&head) else { return Ok(false) };
        if head.kind != *kind || head.size > most {
            return Ok(false);
        }
        at = at.saturating_add(head.size);
    }
    Ok(true)
}

/// The first sound fragment that starts after byte `from`, where none does. Whether its times can be is another question:
/// they may show that those before it cannot.
fn next_fragment(
    file: &(impl ReadAt + ?Sized),
    header: &Header,
    from: u64,
    ends: bool,
) -> io::Result<Option<Fragment>> {
    let size = file.size()?;
    // Of the name: the box starts four bytes before it.
    let mut at = from + LEAST_FREE + 4;
    let mut window = Vec::new();
    while at + 4 <= size {
        let length = WINDOW.min(size - at);
        window.resize(usize::try_from(length).map_err(io::Error::other)?, 0);
        file.fill_at(&mut window, at)?;
        for found in names(&window) {
            let offset = at + found as u64 - 4;
            let Some(fragment) = Scan::fragment_at(file, header, offset)? else { continue };
            if look_into(file, header, &fragment, ends)?.is_none() {
                return Ok(Some(fragment));
            }
        }
        // A name may stand across the end of the window.
        at += length.saturating_sub(3).max(1);
    }
    Ok(None)
}

fn names(window: &[u8]) -> impl Iterator<Item = usize> {
    window.windows(4).enumerate().filter(|(_, w)| *w == b"moof").map(|(n, _)| n)
}

/// A file as it will be when its holes are bridged.
struct Bridged<'a, F: ReadAt + ?Sized> {
    file: &'a F,
    holes: &'a [Hole],
}

impl<F: ReadAt + ?Sized> ReadAt for Bridged<'_, F> {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn fill_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.fill_at(buffer, offset)?;
        for hole in self.holes {
            for (byte, at) in hole.head().into_iter().zip(hole.from..) {
                let place = at.checked_sub(offset).and_then(|n| usize::try_from(n).ok());
                if let Some(place) = place.and_then(|n| buffer.get_mut(n)) {
                    *place = byte;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::recording::mp4::{Index, build};

    /// Six fragments, and where each starts; the last is the end of the file.
    fn six() -> (Vec<u8>, Vec<usize>) {
        let bytes = build::segment(6, 0, 0);
        let mut starts = Vec::new();
        Scan::new().advance(&bytes[..], |f| starts.push(f.offset as usize)).unwrap();
        starts.push(bytes.len());
        (bytes, starts)
    }

    fn bridge(bytes: &mut [u8], holes: &[Hole]) {
        for hole in holes {
            let (at, head) = (hole.from as usize, hole.head());
            bytes[at..at + head.len()].copy_from_slice(&head);
        }
    }

    /// Decode times and places of the fragments of a file, as a film would use them.
    fn indexed(bytes: &[u8]) -> Vec<(u64, u64)> {
        let end = sound_parts(bytes, 0).unwrap().scan.end();
        let index = Index::of_file(bytes, end).unwrap().unwrap();
        let mut entries = index.entries();
        let mut all = Vec::new();
        while let Some(e) = entries.next() {
            all.extend(e.trafs.first().map(|t| (t.base, e.offset)));
        }
        all
    }

    #[test]
    fn damage_in_the_middle_costs_only_what_it_hit() {
        let (whole, starts) = six();
        for hit in 0..5 {
            let mut bytes = whole.clone();
            bytes[starts[hit]..starts[hit] + 64].fill(0x55);
            let found = sound_parts(&bytes[..], 0).unwrap();
            assert_eq!(found.holes.len(), 1, "{hit}");
            let hole = found.holes[0];
            assert_eq!((hole.from as usize, hole.to as usize), (starts[hit], starts[hit + 1]));
            assert_eq!((hole.from_us, hole.to_us), (hit as u64 * 500_000, (hit as u64 + 1) * 500_000));
            assert_eq!((found.scan.fragments(), found.damage), (5, None));
            bridge(&mut bytes, &found.holes);
            let again = sound_parts(&bytes[..], 0).unwrap();
            assert_eq!((again.holes.len(), again.scan.fragments()), (0, 5));
            assert_eq!(again.scan.end() as usize, bytes.len());
            let left = (0..6).filter(|n| *n != hit).map(|n| (n as u64 * 45_000, starts[n] as u64));
            assert_eq!(indexed(&bytes), left.collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_size_that_claims_the_rest_of_the_file_is_no_torn_end() {
        let (mut bytes, starts) = six();
        bytes[starts[2]..starts[2] + 4].copy_from_slice(&0x0fff_ffffu32.to_be_bytes());
        let mut scan = Scan::new();
        scan.advance(&bytes[..], |_| {}).unwrap();
        assert!(scan.is_torn() && scan.damage().is_none());
        assert!(goes_on(&bytes[..], &scan).unwrap());
        assert_eq!(sound_parts(&bytes[..], u64::MAX).unwrap().scan.fragments(), 5);
    }

    #[test]
    fn a_torn_end_is_no_hole() {
        let (bytes, starts) = six();
        for cut in [starts[5] + 1, starts[5] + 40, bytes.len() - 1] {
            let mut scan = Scan::new();
            scan.advance(&bytes[..cut], |_| {}).unwrap();
            assert!(!goes_on(&bytes[..cut], &scan).unwrap());
            let found = sound_parts(&bytes[..cut], 0).unwrap();
            assert_eq!((found.holes.len(), found.scan.fragments(), found.damage), (0, 5, None));
        }
    }

    #[test]
    fn a_camera_that_pads_its_frames_loses_none() {
        let (mut bytes, starts) = six();
        // The end of every frame of 40 bytes, as far as a stop bit may stand before it.
        let mut places = Vec::new();
        for n in 0..6 {
            let data = starts[n + 1] - 15 * 44;
            places.extend((0..15).map(|frame| data + frame * 44 + 20..data + frame * 44 + 44));
        }
        let padded = |count: usize, bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            places[places.len() - count * 15..].iter().for_each(|place| bytes[place.clone()].fill(0));
            sound_parts(&bytes[..], 0).unwrap().scan.fragments()
        };
        assert_eq!(padded(6, &bytes), 6);
        assert_eq!(padded(1, &bytes), 5);
        bytes.truncate(starts[2]);
        assert_eq!(sound_parts(&bytes[..], 0).unwrap().scan.fragments(), 2);
    }

    proptest! {
        #[test]
        fn no_whole_fragment_is_lost_and_what_was_bridged_is_sound(
            hits in proptest::collection::vec((0usize..4000, 1usize..200, any::<u8>()), 0..5),
        ) {
            let (whole, starts) = six();
            let mut bytes = whole.clone();
            let mut hit = [false; 6];
            for (at, length, value) in hits {
                // The header is another matter.
                let at = starts[0] + at % (bytes.len() - starts[0]);
                let end = (at + length).min(bytes.len());
                bytes[at..end].fill(value);
                (0..6).filter(|n| starts[*n] < end && at < starts[n + 1]).for_each(|n| hit[n] = true);
            }
            let found = sound_parts(&bytes[..], 0).unwrap();
            let damaged = bytes.clone();
            bridge(&mut bytes, &found.holes);
            bytes.truncate(found.scan.end() as usize);
            let kept = indexed(&bytes);
            for (n, _) in hit.iter().enumerate().filter(|(_, hit)| !**hit) {
                prop_assert!(kept.contains(&(n as u64 * 45_000, starts[n] as u64)), "{} of {:?}", n, kept);
                prop_assert_eq!(&bytes[starts[n]..starts[n + 1]], &damaged[starts[n]..starts[n + 1]]);
            }
            let again = sound_parts(&bytes[..], 0).unwrap();
            prop_assert!(again.holes.is_empty() && again.damage.is_none() && !again.scan.is_torn());
            prop_assert_eq!(again.scan.media_us(), found.scan.media_us());
        }

        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let tail = [build::header(64, 64, 0, 0), bytes.clone()].concat();
            for bytes in [bytes, tail] {
                let found = sound_parts(&bytes[..], 0).unwrap();
                prop_assert!(found.scan.end() <= bytes.len() as u64);
            }
        }
    }
}
