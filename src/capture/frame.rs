//! One captured frame and the buffers frames live in.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::h264::Key;
use crate::base::Mono;
use crate::v4l2::{FourCc, Lease};

/// What the bytes of a frame are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameFormat {
    /// One JPEG picture, from SOI to EOI.
    Mjpeg,
    /// One access unit of H.264, with start codes (ITU-T H.264, Annex B).
    H264,
    /// Pixels of one of the formats that have [`FourCc::raw_bits`], rows without padding.
    Raw(FourCc),
}

impl FrameFormat {
    /// Of what a device delivers; `None` = it cannot be taken.
    pub fn of(fourcc: FourCc) -> Option<Self> {
        match fourcc {
            FourCc::H264 => Some(Self::H264),
            f if f.is_jpeg() => Some(Self::Mjpeg),
            f => f.raw_bits().map(|_| Self::Raw(f)),
        }
    }
}

/// One whole frame. Cloning copies no picture.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The picture.
    pub data: FrameBytes,
    /// What `data` is.
    pub format: FrameFormat,
    /// Of H.264: what a picture is decoded with that can be shown by itself; `None` = it needs those before it.
    pub key: Option<Key>,
    /// When it was captured, as near as the source can tell.
    pub captured: Mono,
    /// Counts the frames of this start of the source, from 0; a gap is frames that were lost before they got here.
    pub sequence: u64,
    /// Picture width in pixels.
    pub width: u32,
    /// Picture height in pixels.
    pub height: u32,
}

impl Frame {
    /// Whether it can be shown without those before it.
    pub fn is_whole(&self) -> bool {
        self.format != FrameFormat::H264 || self.key.is_some()
    }
}

/// The shared bytes of a frame; its buffer goes back to the pool, or to the driver, with the last clone.
#[derive(Clone)]
pub struct FrameBytes(Bytes);

#[derive(Clone)]
enum Bytes {
    Ours(Arc<Vec<u8>>),
    Drivers(Lease),
}

impl Deref for FrameBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Bytes::Ours(bytes) => bytes,
            Bytes::Drivers(lease) => lease,
        }
    }
}

impl AsRef<[u8]> for FrameBytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<Vec<u8>> for FrameBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Bytes::Ours(Arc::new(bytes)))
    }
}

impl From<Lease> for FrameBytes {
    fn from(lease: Lease) -> Self {
        Self(Bytes::Drivers(lease))
    }
}

impl fmt::Debug for FrameBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}

/// A buffer being filled: nobody else holds it yet.
pub struct FrameBuffer(Arc<Vec<u8>>);

impl FrameBuffer {
    /// The bytes so far.
    pub fn bytes_mut(&mut self) -> &mut Vec<u8> {
        Arc::get_mut(&mut self.0).expect("a buffer being filled has one owner")
    }
}

/// Buffers for the frames of one source: at most `limit`, grown when the first frames need them.
///
/// The pool keeps one reference to each buffer it handed out; a buffer is free again as soon as
/// that is the only one, so letting go needs no lock and no message.
pub struct FramePool {
    slots: Vec<Arc<Vec<u8>>>,
    lent: usize,
    limit: usize,
    /// Most buffers in use at once since the last look, and takes until the next one.
    peak: usize,
    until_look: u32,
}

/// A slow moment may need many buffers for a second; half a minute later they are given back.
const LOOK_EVERY: u32 = 900;
/// Kept beyond the peak, so that a little more does not allocate.
const SPARE: usize = 2;

impl FramePool {
    /// A pool of at most `limit` buffers.
    pub fn new(limit: usize) -> Self {
        Self { slots: Vec::with_capacity(limit), lent: 0, limit, peak: 0, until_look: LOOK_EVERY }
    }

    /// An empty buffer with room for `size` bytes; `None` while readers hold all of them.
    pub fn take(&mut self, size: usize) -> Option<FrameBuffer> {
        self.look();
        // From the front, so that a short queue keeps using the same few buffers.
        let free = self.slots.iter_mut().position(|slot| Arc::get_mut(slot).is_some());
        let mut buffer = match free {
            Some(index) => FrameBuffer(self.slots.remove(index)),
            None if self.slots.len() + self.lent < self.limit => FrameBuffer(Arc::default()),
            None => return None,
        };
        self.lent += 1;
        let bytes = buffer.bytes_mut();
        bytes.clear();
        bytes.reserve(size);
        Some(buffer)
    }

    fn look(&mut self) {
        let in_use = self.lent + self.slots.iter().filter(|slot| Arc::strong_count(slot) > 1).count();
        self.peak = self.peak.max(in_use + 1);
        self.until_look -= 1;
        if self.until_look == 0 {
            let mut surplus = self.size().saturating_sub(self.peak + SPARE);
            self.slots.retain_mut(|slot| {
                let goes = surplus > 0 && Arc::get_mut(slot).is_some();
                surplus -= usize::from(goes);
                !goes
            });
            (self.peak, self.until_look) = (0, LOOK_EVERY);
        }
    }

    /// Makes a filled buffer a frame's bytes.
    pub fn seal(&mut self, buffer: FrameBuffer) -> FrameBytes {
        let bytes = FrameBytes(Bytes::Ours(buffer.0.clone()));
        self.give_back(buffer);
        bytes
    }

    /// Returns a buffer, filled or not.
    pub fn give_back(&mut self, buffer: FrameBuffer) {
        self.lent = self.lent.saturating_sub(1);
        self.slots.push(buffer.0);
    }

    /// Buffers that exist.
    pub fn size(&self) -> usize {
        self.slots.len() + self.lent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(pool: &mut FramePool, text: &[u8]) -> Option<FrameBytes> {
        let mut buffer = pool.take(text.len())?;
        buffer.bytes_mut().extend_from_slice(text);
        Some(pool.seal(buffer))
    }

    #[test]
    fn a_buffer_is_used_again_when_the_last_reader_lets_go() {
        let mut pool = FramePool::new(2);
        let first = fill(&mut pool, b"first").unwrap();
        let reader = first.clone();
        let address = first.as_ptr();
        drop(first);
        assert_ne!(fill(&mut pool, b"2").unwrap().as_ptr(), address, "still read");
        assert_eq!(&reader[..], b"first");
        drop(reader);
        let again: Vec<_> = (0..2).map(|_| fill(&mut pool, b"abc").unwrap()).collect();
        assert!(again.iter().any(|bytes| bytes.as_ptr() == address));
        assert_eq!(pool.size(), 2);
    }

    #[test]
    fn buffers_of_a_slow_moment_are_given_back() {
        let mut pool = FramePool::new(40);
        drop((0..30).map(|_| fill(&mut pool, b"x").unwrap()).collect::<Vec<_>>());
        assert_eq!(pool.size(), 30);
        for _ in 0..2 * LOOK_EVERY {
            fill(&mut pool, b"x").unwrap();
        }
        assert_eq!(pool.size(), 1 + SPARE);
    }

    #[test]
    fn a_pool_never_grows_beyond_its_limit() {
        let mut pool = FramePool::new(3);
        let held: Vec<_> = (0..3).map(|_| fill(&mut pool, b"x").unwrap()).collect();
        assert!(fill(&mut pool, b"x").is_none());
        drop(held);
        assert!(fill(&mut pool, b"x").is_some());
        assert_eq!(pool.size(), 3);
    }
}
