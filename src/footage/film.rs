//! A film that is read: bytes of files, with what changes laid over them.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::plan::{Piece, Plan, Source, film_time};
use crate::base::RecordingName;
use crate::recording::SegmentFile;
use crate::recording::mp4::{Halves, ReadAt};

/// No header is larger (the MP4 reader refuses it).
const MAX_HEADER: u64 = 2 << 20;

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
}

/// The file that a download reads at present; it goes from front to back. Films are remembered and hold
/// no file, so that a disk that is to be unmounted is let go.
#[derive(Default)]
pub struct Reading(Mutex<Option<(usize, Readable)>>);

impl Film {
    pub(super) fn new(name: &RecordingName, plan: Plan, modified_us: Option<i64>) -> Self {
        let seconds = |us: u64| us as f64 / 1e6;
        let file_name = match plan.cut {
            None => format!("{name}.mp4"),
            Some((from, to)) => format!("{name}_{:.1}s-{:.1}s.mp4", seconds(from), seconds(to)),
        };
        let open: Opener = |path| Ok(Arc::new(File::open(path)?));
        Self { plan, file_name, modified_us, front: OnceLock::new(), open }
    }

    /// As [`Film::new`], with the files counted by a test.
    #[cfg(test)]
    pub(super) fn opened_by(mut self, open: Opener) -> Self {
        self.open = open;
        self
    }

    /// Whether each of its files is one of these: retention may have taken its beginning.
    pub(super) fn is_of(&self, files: &[SegmentFile]) -> bool {
        self.plan.pieces.iter().all(|p| files.iter().any(|f| f.path == p.part.path))
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
    pub fn read(&self, reading: &Reading, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let end = offset.saturating_add(length as u64).min(self.plan.len);
        let mut out = vec![0; usize::try_from(end.saturating_sub(offset)).map_err(io::Error::other)?];
        let spans = &self.plan.spans;
        let mut n = spans.partition_point(|s| s.at <= offset).saturating_sub(1);
        let mut at = offset;
        while at < end {
            let span = spans.get(n).ok_or(io::ErrorKind::UnexpectedEof)?;
            n += 1;
            let span_end = spans.get(n).map_or(self.plan.len, |s| s.at);
            let until = end.min(span_end);
            if until <= at {
                continue;
            }
            let bytes = &mut out[(at - offset) as usize..(until - offset) as usize];
            let into = at - span.at;
            match span.source {
                Source::Front => copy(bytes, self.front(reading)?, into)?,
                Source::File { piece, offset } => {
                    self.file(reading, piece)?.fill_at(bytes, offset + into)?;
                    overlay(&self.plan.pieces[piece], bytes, offset + into);
                }
                Source::First { piece, split } => {
                    copy(bytes, &self.half(reading, piece, split, false)?, into)?
                }
                Source::Second { piece, split } => {
                    copy(bytes, &self.half(reading, piece, split, true)?, into)?
                }
                Source::Fill => {
                    let size = u32::try_from(span_end - span.at).map_err(io::Error::other)?;
                    let mut head = size.to_be_bytes().to_vec();
                    head.extend(b"free");
                    for (place, byte) in bytes.iter_mut().zip(into..) {
                        *place = usize::try_from(byte).ok().and_then(|n| head.get(n)).copied().unwrap_or(0);
                    }
                }
            }
            at = until;
        }
        Ok(out)
    }

    fn front(&self, reading: &Reading) -> io::Result<&[u8]> {
        if let Some(front) = self.front.get() {
            return Ok(front);
        }
        let index = &self.plan.pieces[0].part.index;
        let mut header = vec![0; usize::try_from(index.header_len).map_err(io::Error::other)?];
        self.file(reading, 0)?.fill_at(&mut header, 0)?;
        let front = self.plan.front().make(&header).map_err(io::Error::other)?;
        if front.len() as u64 != self.plan.front_len {
            return Err(io::Error::other("the segment's header has changed"));
        }
        Ok(self.front.get_or_init(|| front))
    }

    /// The `moof` of half a fragment.
    fn half(&self, reading: &Reading, n: usize, split: usize, second: bool) -> io::Result<Vec<u8>> {
        let piece = &self.plan.pieces[n];
        let at = &piece.splits[split];
        let mut moof = vec![0; usize::try_from(at.split.moof_len).map_err(io::Error::other)?];
        self.file(reading, n)?.fill_at(&mut moof, at.offset)?;
        let (tracks, lead) = (&piece.part.index.tracks, piece.part.index.lead());
        let halves = Halves { moof: &moof, split: at.split, tracks, lead };
        let time = |track, base| film_time(piece, track, base);
        let sequence = sequence(piece, at.number);
        let made = match second {
            false => halves.first(sequence, time),
            true if at.only_second => halves.second(sequence, at.size, time),
            true => halves.second(sequence.wrapping_add(1), at.size, time),
        };
        made.map_err(io::Error::other)
    }

    fn file(&self, reading: &Reading, n: usize) -> io::Result<Readable> {
        let current = || reading.0.lock().unwrap_or_else(PoisonError::into_inner);
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

fn copy(out: &mut [u8], from: &[u8], at: u64) -> io::Result<()> {
    let at = usize::try_from(at).map_err(io::Error::other)?;
    let part = from.get(at..at + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
    out.copy_from_slice(part);
    Ok(())
}

/// The sequence number in the film of a piece's fragment, or of its first half.
fn sequence(piece: &Piece, number: u64) -> u32 {
    let doubled = piece.splits.iter().filter(|s| s.number < number && !s.only_second).count();
    piece.sequence.wrapping_add((number - piece.first) as u32).wrapping_add(doubled as u32)
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
        // Its header is not needed again; players pass over `free`. Nothing of what it says stays: the
        // recorder writes the duration into it when it closes the file, and a film never changes.
        let (ftyp, header) = (index.ftyp_len, index.header_len);
        put(4, b"free");
        put(8, &vec![0; ftyp.saturating_sub(8) as usize]);
        put(ftyp + 4, b"free");
        put(ftyp + 8, &vec![0; header.saturating_sub(ftyp + 8).min(MAX_HEADER) as usize]);
    }
    let mut entries = index.entries();
    let mut n = 0;
    while let Some(entry) = entries.next() {
        if entry.offset >= window.end {
            break;
        }
        if n >= piece.first && overlaps(entry.offset..entry.offset + entry.size, &window) {
            put(entry.offset + entry.sequence_at, &sequence(piece, n).to_be_bytes());
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
