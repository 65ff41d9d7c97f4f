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
const MAX_FRAGMENT: u64 = 64 << 20;

/// A scan up to the end of the last fragment before which everything is sound, and what is wrong
/// after it. Looks into every fragment that ends after `trusted`, reading each once.
pub fn last_sound_end(file: &(impl ReadAt + ?Sized), trusted: u64) -> io::Result<(Scan, Option<Damage>)> {
    let mut scan = Scan::new();
    let mut fragments = Vec::new();
    scan.advance(file, |f| {
        if f.offset + f.size > trusted {
            fragments.push(*f);
        }
    })?;
    let Some(header) = scan.header().cloned() else { return Ok((scan, None)) };
    for fragment in &fragments {
        if let Some(damage) = look_into(file, &header, fragment)? {
            // Again, over the sound part only, so that every figure agrees with it.
            let mut sound = Scan::new();
            sound.advance(&Front { file, len: fragment.offset }, |_| {})?;
            return Ok((sound, Some(damage)));
        }
    }
    Ok((scan, None))
}

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

fn look_into(
    file: &(impl ReadAt + ?Sized),
    header: &Header,
    fragment: &Fragment,
) -> io::Result<Option<Damage>> {
    if fragment.size > MAX_FRAGMENT {
        return Ok(Some(Damage("a fragment larger than MediaMTX writes")));
    }
    let mut bytes = vec![0; usize::try_from(fragment.size).expect("64 MiB fit")];
    file.fill_at(&mut bytes, fragment.offset)?;
    Ok(check(&bytes, header).err())
}

fn check(bytes: &[u8], header: &Header) -> Result<(), Damage> {
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
            nal_units(bytes.get(at..end).ok_or(outside)?)?;
            at = end;
        }
        Ok(())
    })
}

/// `sample` is NAL units, each after its length, without a byte left over.
fn nal_units(mut sample: &[u8]) -> Result<(), Damage> {
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
        if unit.len() >= 16 && unit[unit.len() - 16..].iter().all(|b| *b == 0) {
            return Err(Damage("a frame whose end never reached the disk"));
        }
        sample = rest;
    }
    Ok(())
}
