//! A film that is read: bytes of files, with what changes laid over them.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::plan::{Piece, Plan, film_time};
use crate::base::RecordingName;
use crate::recording::mp4::ReadAt;

/// A file that can be read from several threads.
pub(super) type Readable = Arc<dyn ReadAt + Send + Sync>;

/// Opens a segment's file.
type Opener = fn(&Path) -> io::Result<Readable>;

/// A film, or a part of one. Nothing is read before [`Film::read`].
pub struct Film {
    plan: Plan,
    file_name: String,
    modified_us: Option<i64>,
    front: OnceLock<Vec<u8>>,
    open: Opener,
    /// The file read last: downloads go from front to back.
    current: Mutex<Option<(usize, Readable)>>,
}

impl Film {
    pub(super) fn new(name: &RecordingName, plan: Plan, modified_us: Option<i64>) -> Self {
        let seconds = |us: u64| us as f64 / 1e6;
        let file_name = match plan.cut {
            None => format!("{name}.mp4"),
            Some((from, to)) => format!("{name}_{:.1}s-{:.1}s.mp4", seconds(from), seconds(to)),
        };
        let open: Opener = |path| Ok(Arc::new(File::open(path)?));
        Self { plan, file_name, modified_us, front: OnceLock::new(), open, current: Mutex::default() }
    }

    /// As [`Film::new`], with the files counted by a test.
    #[cfg(test)]
    pub(super) fn opened_by(mut self, open: Opener) -> Self {
        self.open = open;
        self
    }

    /// Bytes; at least one.
    pub fn size(&self) -> u64 {
        self.plan.len
    }

    /// Strong entity tag, quotes included.
    pub fn tag(&self) -> &str {
        &self.plan.tag
    }

    /// What a browser saves it as.
    pub fn file_name(&self) -> &str {
        &self.file_name
    }

    /// When the recording ended; `None` while it runs: the next film is longer.
    pub fn modified_us(&self) -> Option<i64> {
        self.modified_us
    }

    /// `length` bytes from `offset` on, or fewer at the end. Blocks.
    pub fn read(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let end = offset.saturating_add(length as u64).min(self.plan.len);
        let mut out = vec![0; usize::try_from(end.saturating_sub(offset)).map_err(io::Error::other)?];
        let mut at = offset;
        if at < self.plan.front_len && at < end {
            let until = end.min(self.plan.front_len);
            let front = self.front()?;
            let (from, to) = (at as usize, until as usize);
            out[..to - from].copy_from_slice(front.get(from..to).ok_or(io::ErrorKind::UnexpectedEof)?);
            at = until;
        }
        let mut n = self.plan.pieces.partition_point(|p| p.at <= at).saturating_sub(1);
        while at < end {
            let piece = self.plan.pieces.get(n).ok_or(io::ErrorKind::UnexpectedEof)?;
            let until = end.min(piece.at + (piece.take.end - piece.take.start));
            let place = (at - offset) as usize..(until - offset) as usize;
            let in_file = piece.take.start + (at - piece.at);
            let bytes = &mut out[place];
            self.file(n)?.fill_at(bytes, in_file)?;
            overlay(piece, bytes, in_file);
            at = until;
            n += 1;
        }
        Ok(out)
    }

    fn front(&self) -> io::Result<&[u8]> {
        if let Some(front) = self.front.get() {
            return Ok(front);
        }
        let index = &self.plan.pieces[0].part.index;
        let mut header = vec![0; usize::try_from(index.header_len).map_err(io::Error::other)?];
        self.file(0)?.fill_at(&mut header, 0)?;
        let front = self.plan.front().make(&header).map_err(io::Error::other)?;
        if front.len() as u64 != self.plan.front_len {
            return Err(io::Error::other("the segment's header has changed"));
        }
        Ok(self.front.get_or_init(|| front))
    }

    fn file(&self, n: usize) -> io::Result<Readable> {
        let current = || self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((open, file)) = &*current()
            && *open == n
        {
            return Ok(file.clone());
        }
        let file = (self.open)(&self.plan.pieces[n].part.path)?;
        *current() = Some((n, file.clone()));
        Ok(file)
    }
}

/// Lays what differs in the film over `bytes`, which stand at `offset` in the piece's file.
fn overlay(piece: &Piece, bytes: &mut [u8], offset: u64) {
    let window = offset..offset + bytes.len() as u64;
    let mut put = |at: u64, value: &[u8]| {
        for (n, byte) in value.iter().enumerate() {
            let at = at + n as u64;
            if window.contains(&at) {
                bytes[(at - window.start) as usize] = *byte;
            }
        }
    };
    let index = &piece.part.index;
    if window.start < index.header_len {
        // Its header is not needed again; players pass over `free`.
        put(4, b"free");
        put(index.ftyp_len + 4, b"free");
    }
    let mut entries = index.entries();
    let mut n = 0;
    while let Some(entry) = entries.next() {
        if entry.offset >= window.end {
            break;
        }
        if n >= piece.first && overlaps(entry.offset..entry.offset + entry.size, &window) {
            let sequence = piece.sequence.wrapping_add((n - piece.first) as u32);
            put(entry.offset + entry.sequence_at, &sequence.to_be_bytes());
            for traf in &entry.trafs {
                let time = film_time(piece, traf.track, traf.base);
                put(entry.offset + traf.base_at, &time.to_be_bytes());
            }
        }
        n += 1;
    }
}

fn overlaps(a: Range<u64>, b: &Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}

#[cfg(test)]
mod tests;
