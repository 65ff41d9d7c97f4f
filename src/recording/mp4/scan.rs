//! Walk over a segment file that may still be growing, or torn.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::boxes::Head;
use super::fragment::{Fragment, contents};
use super::header::Header;
use super::{Damage, MAX_MOOF, MAX_MOOV};

/// A file, or bytes in memory.
pub trait ReadAt {
    /// Bytes there are now.
    fn size(&self) -> io::Result<u64>;
    /// Fills `buffer` from `offset`.
    fn fill_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

impl ReadAt for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn fill_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(buffer, offset)
    }
}

impl ReadAt for [u8] {
    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn fill_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let part = usize::try_from(offset)
            .ok()
            .and_then(|o| self.get(o..o.checked_add(buffer.len())?))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(part);
        Ok(())
    }
}

/// Smallest `free` box between fragments: a film writes a number into each entry of its index.
pub(super) const LEAST_FREE: u64 = 16;
/// Boxes of that kind in a row that are passed over.
const MAX_FREE: usize = 64;

/// How far a segment file is understood. [`Scan::advance`] again when it has grown.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    header: Option<Header>,
    end: u64,
    stands: u64,
    len: u64,
    media_us: u64,
    fragments: u64,
    last: Option<Fragment>,
    damage: Option<Damage>,
    buffer: Vec<u8>,
}

/// What stands at an offset.
enum Next {
    /// Not (yet) whole.
    Short,
    Whole(Head),
}

enum Stop {
    Io(io::Error),
    Damage(Damage),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Stop::Io(error)
    }
}

impl From<Damage> for Stop {
    fn from(damage: Damage) -> Self {
        Stop::Damage(damage)
    }
}

impl Scan {
    /// Nothing read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads what is new, handing each whole fragment to `each`. Stops for good at damage, which a
    /// later call does not mend; a fragment that is not whole yet is no damage.
    pub fn advance(
        &mut self,
        file: &(impl ReadAt + ?Sized),
        mut each: impl FnMut(&Fragment),
    ) -> io::Result<()> {
        self.advance_raw(file, |fragment, _, _| each(fragment))
    }

    /// As [`Scan::advance`]; hands out the bytes of each `moof` and the header too.
    pub(super) fn advance_raw(
        &mut self,
        file: &(impl ReadAt + ?Sized),
        mut each: impl FnMut(&Fragment, &[u8], &Header),
    ) -> io::Result<()> {
        self.len = file.size()?;
        if self.damage.is_some() {
            return Ok(());
        }
        let read = self.read_new(file, &mut each);
        // A scan lives as long as its file; one long moof must not stay in memory with it.
        self.buffer = Vec::new();
        match read {
            Err(Stop::Io(error)) => return Err(error),
            Err(Stop::Damage(damage)) => self.damage = Some(damage),
            Ok(()) => {}
        }
        Ok(())
    }

    fn read_new(
        &mut self,
        file: &(impl ReadAt + ?Sized),
        each: &mut impl FnMut(&Fragment, &[u8], &Header),
    ) -> Result<(), Stop> {
        if self.header.is_none() {
            let Some(header) = self.read_header(file)? else { return Ok(()) };
            self.end = header.len;
            self.header = Some(header);
        }
        while let Some(fragment) = self.read_fragment(file)? {
            self.end = fragment.offset + fragment.size;
            self.media_us = self.media_us.max(fragment.start_us.saturating_add(fragment.duration_us));
            self.fragments += 1;
            self.last = Some(fragment);
            let header = self.header.as_ref().expect("fragments are read after the header");
            each(&fragment, &self.buffer, header);
        }
        Ok(())
    }

    fn read_header(&mut self, file: &(impl ReadAt + ?Sized)) -> Result<Option<Header>, Stop> {
        let Next::Whole(ftyp) = self.next_box(file, 0)? else { return Ok(None) };
        if ftyp.kind != *b"ftyp" || ftyp.size > 4096 {
            return Err(Damage("the file does not start with ftyp").into());
        }
        let Next::Whole(moov) = self.next_box(file, ftyp.size)? else { return Ok(None) };
        if moov.kind != *b"moov" || moov.size > MAX_MOOV {
            return Err(Damage("the file has no moov of a sane size").into());
        }
        self.load(file, 0, ftyp.size + moov.size)?;
        Ok(Some(Header::parse(&self.buffer)?))
    }

    fn read_fragment(&mut self, file: &(impl ReadAt + ?Sized)) -> Result<Option<Fragment>, Stop> {
        let mut offset = self.end;
        let mut passed = 0;
        self.stands = offset;
        let moof = loop {
            let Next::Whole(head) = self.next_box(file, offset)? else { return Ok(None) };
            if head.kind != *b"free" || head.size < LEAST_FREE || passed == MAX_FREE {
                break head;
            }
            // Damage that was bridged.
            offset += head.size;
            passed += 1;
            self.stands = offset;
        };
        if moof.kind != *b"moof" || moof.size > MAX_MOOF {
            return Err(Damage("no fragment where one should start").into());
        }
        let Next::Whole(mdat) = self.next_box(file, offset + moof.size)? else { return Ok(None) };
        if mdat.kind != *b"mdat" {
            return Err(Damage("a fragment without its data").into());
        }
        self.load(file, offset, moof.size)?;
        let header = self.header.as_ref().expect("fragments are read after the header");
        let contents = contents(&self.buffer[moof.len..], header)?;
        let size = moof.size + mdat.size;
        if contents.reach > size {
            return Err(Damage("samples outside of their fragment").into());
        }
        Ok(Some(Fragment {
            offset,
            size,
            start_us: contents.start_us,
            duration_us: contents.end_us.saturating_sub(contents.start_us),
            keyframe: contents.keyframe,
            frames: contents.frames,
            longest_us: contents.longest_us,
        }))
    }

    /// The fragment that starts at `offset`, if a whole one does.
    pub(super) fn fragment_at(
        file: &(impl ReadAt + ?Sized),
        header: &Header,
        offset: u64,
    ) -> io::Result<Option<Fragment>> {
        let mut scan =
            Scan { header: Some(header.clone()), end: offset, len: file.size()?, ..Scan::default() };
        match scan.read_fragment(file) {
            Ok(found) => Ok(found.filter(|f| f.offset == offset)),
            Err(Stop::Damage(_)) => Ok(None),
            Err(Stop::Io(error)) => Err(error),
        }
    }

    fn next_box(&self, file: &(impl ReadAt + ?Sized), offset: u64) -> Result<Next, Stop> {
        let left = self.len.saturating_sub(offset);
        if left < 8 {
            return Ok(Next::Short);
        }
        let mut bytes = [0; Head::MAX_LEN];
        let n = usize::try_from(left).unwrap_or(usize::MAX).min(Head::MAX_LEN);
        file.fill_at(&mut bytes[..n], offset)?;
        if n < Head::MAX_LEN && bytes[..4] == [0, 0, 0, 1] {
            return Ok(Next::Short);
        }
        let head = Head::parse(&bytes[..n])?;
        // A claim that no file of ours can meet must not look like one that is still being written.
        if head.size > 1 << 40 {
            return Err(Damage("a box larger than any file of ours").into());
        }
        Ok(if head.size > left { Next::Short } else { Next::Whole(head) })
    }

    /// Only boxes that are whole in the file and below their ceiling get here.
    fn load(&mut self, file: &(impl ReadAt + ?Sized), offset: u64, size: u64) -> Result<(), Stop> {
        self.buffer.clear();
        self.buffer.resize(usize::try_from(size).map_err(|_| Damage("a box larger than memory"))?, 0);
        file.fill_at(&mut self.buffer, offset)?;
        Ok(())
    }

    /// What the header says, once it is whole.
    pub fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    /// Where the last whole fragment ends (or the header, or 0).
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Where what comes next stands, after damage that was bridged.
    pub(super) fn stands(&self) -> u64 {
        self.stands.max(self.end)
    }

    /// Bytes in the file at the last look.
    pub fn file_size(&self) -> u64 {
        self.len
    }

    /// Bytes follow the last whole fragment: one is being written, or was torn.
    pub fn is_torn(&self) -> bool {
        self.len > self.end
    }

    /// What stopped the walk, other than the end of the file.
    pub fn damage(&self) -> Option<Damage> {
        self.damage
    }

    /// Recorded time in whole fragments.
    pub fn media_us(&self) -> u64 {
        self.media_us
    }

    /// Whole fragments.
    pub fn fragments(&self) -> u64 {
        self.fragments
    }

    /// The newest whole fragment.
    pub fn last(&self) -> Option<&Fragment> {
        self.last.as_ref()
    }

    /// Reads again whether the recorder has closed the file, which patches its duration in.
    pub fn refresh_duration(&mut self, file: &(impl ReadAt + ?Sized)) -> io::Result<u64> {
        let Some(header) = &mut self.header else { return Ok(0) };
        let (at, long) = header.duration_at;
        let mut bytes = [0; 8];
        file.fill_at(if long { &mut bytes } else { &mut bytes[4..] }, at)?;
        // MediaMTX's movie time scale is milliseconds.
        header.duration_ms = u64::from_be_bytes(bytes);
        Ok(header.duration_ms)
    }

    /// Where and what to write so that the header tells the recorded time, as the recorder does
    /// when it closes the file. `None` = there is no header, or no fragment.
    pub fn duration_patch(&self) -> Option<(u64, Vec<u8>)> {
        let (at, long) = self.header.as_ref()?.duration_at;
        let ms = (self.media_us / 1000).max(1);
        if self.fragments == 0 {
            return None;
        }
        let bytes = if long {
            ms.to_be_bytes().to_vec()
        } else {
            u32::try_from(ms).unwrap_or(u32::MAX).to_be_bytes().to_vec()
        };
        Some((at, bytes))
    }
}

#[cfg(test)]
mod tests;
