//! Whether the bytes inside the last fragments are really there.
//!
//! After a power cut a file can have its full length and still hold pages that never reached the
//! disk; they read as zeros. Box sizes alone do not show that, the lengths inside the samples do.

use std::io;

use super::boxes::Boxes;
use super::fragment::{Fragment, runs};
use super::header::Header;
use super::scan::ReadAt;
use super::{Damage, Scan};

/// Largest fragment looked into (MediaMTX's own bound is 50 MB).
pub(super) const MAX_FRAGMENT: u64 = 64 << 20;

/// A scan up to the end of the last fragment before which everything is sound, and what is wrong
/// after it. Looks into every fragment that ends after `trusted`, reading each once; with `ends`, zeros
/// at the end of a frame are damage.
pub(super) fn last_sound_end(
    file: &(impl ReadAt + ?Sized),
    trusted: u64,
    ends: bool,
) -> io::Result<(Scan, Option<Damage>)> {
    let mut scan = Scan::new();
    let mut fragments = Vec::new();
    scan.advance(file, |f| fragments.push(*f))?;
    let Some(header) = scan.header().cloned() else { return Ok((scan, None)) };
    let strange = out_of_time(&fragments);
    for (n, fragment) in fragments.iter().enumerate() {
        let looked = match fragment.offset + fragment.size > trusted {
            true => look_into(file, &header, fragment, ends)?,
            false => None,
        };
        let strange = (strange == Some(n)).then_some(Damage("a fragment of another time"));
        if let Some(damage) = looked.or(strange) {
            // Again, over the sound part only, so that every figure agrees with it.
            let mut sound = Scan::new();
            sound.advance(&Front { file, len: fragment.offset }, |_| {})?;
            return Ok((sound, Some(damage)));
        }
    }
    Ok((scan, None))
}

/// Tracks of one file are never further apart.
const SLACK_US: u64 = 60_000_000;
/// A segment is not longer than a day.
const LONGEST_US: u64 = 2 * 86_400 * 1_000_000;

/// The first fragment whose times cannot be: before what is there already, or so far ahead that those
/// behind it would be. Flipped bits in a time would make an hour of a second.
fn out_of_time(all: &[Fragment]) -> Option<usize> {
    let mut before = 0;
    for (n, f) in all.iter().enumerate() {
        let end = f.start_us.saturating_add(f.duration_us);
        let ahead = end > before + SLACK_US;
        let next = all.get(n + 1).map(|next| next.start_us.saturating_add(SLACK_US));
        let lonely = ahead && next.is_some_and(|next| next < end);
        if f.start_us.saturating_add(SLACK_US) < before || lonely || end > before + LONGEST_US {
            return Some(n);
        }
        before = before.max(end);
    }
    None
}

/// Whether the camera fills its frames up with zeros, as some do: then those at the end of a frame say
/// nothing. Such a camera does it from the first frame on; a power cut does it at the end of a file.
pub(super) fn pads(file: &(impl ReadAt + ?Sized)) -> io::Result<bool> {
    let mut scan = Scan::new();
    let mut first = Vec::new();
    scan.advance(&Front { file, len: PADDING }, |f| {
        if first.len() < 2 {
            first.push(*f);
        }
    })?;
    let (Some(header), 2) = (scan.header(), first.len()) else { return Ok(false) };
    for fragment in &first {
        let (strict, lenient) =
            (look_into(file, header, fragment, true)?, look_into(file, header, fragment, false)?);
        if strict.is_none() || lenient.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The first two fragments stand in so much of a file, or it is a stream that nobody pads.
const PADDING: u64 = 8 << 20;

/// The front of a file.
pub(super) struct Front<'a, F: ReadAt + ?Sized> {
    pub file: &'a F,
    /// Where it ends, unless the file ends before.
    pub len: u64,
}

impl<F: ReadAt + ?Sized> ReadAt for Front<'_, F> {
    fn size(&self) -> io::Result<u64> {
        Ok(self.len.min(self.file.size()?))
    }

    fn fill_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.fill_at(buffer, offset)
    }
}

/// `ends`: zeros at the end of a frame are damage.
pub(super) fn look_into(
    file: &(impl ReadAt + ?Sized),
    header: &Header,
    fragment: &Fragment,
    ends: bool,
) -> io::Result<Option<Damage>> {
    if fragment.size > MAX_FRAGMENT {
        return Ok(Some(Damage("a fragment larger than MediaMTX writes")));
    }
    let mut bytes = vec![0; usize::try_from(fragment.size).expect("64 MiB fit")];
    file.fill_at(&mut bytes, fragment.offset)?;
    Ok(check(&bytes, header, ends).err())
}

fn check(bytes: &[u8], header: &Header, ends: bool) -> Result<(), Damage> {
    let outside = Damage("samples outside of their fragment");
    let moof = Boxes::new(bytes).next().ok_or(Damage("no fragment"))??;
    runs(moof.body, header, |mut run| {
        if !run.track.nal_units {
            return Ok(());
        }
        let mut at = usize::try_from(run.data_at).map_err(|_| outside)?;
        for n in 0..run.count {
            let size = run.sample(n)?.size as usize;
            let end = at.checked_add(size).ok_or(outside)?;
            if size == 0 {
                return Err(Damage("an empty frame"));
            }
            nal_units(bytes.get(at..end).ok_or(outside)?, ends)?;
            at = end;
        }
        Ok(())
    })
}

/// `sample` is NAL units, each after its length, without a byte left over.
fn nal_units(mut sample: &[u8], ends: bool) -> Result<(), Damage> {
    while !sample.is_empty() {
        let Some((length, rest)) = sample.split_first_chunk::<4>() else {
            return Err(Damage("a frame ends inside a length"));
        };
        let length = u32::from_be_bytes(*length) as usize;
        if length == 0 || length > rest.len() {
            return Err(Damage("a frame whose bytes never reached the disk"));
        }
        let (unit, rest) = rest.split_at(length);
        // A NAL unit ends with a stop bit and never holds three zero bytes in a row, so zeros at its
        // end can only be a page that was never written.
        if ends && unit.len() >= 16 && unit[unit.len() - 16..].iter().all(|b| *b == 0) {
            return Err(Damage("a frame whose end never reached the disk"));
        }
        sample = rest;
    }
    Ok(())
}
