//! What the pictures of one camera cost.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

/// Counted since the program's start.
#[derive(Default)]
pub(super) struct Counters {
    pub copied: AtomicU64,
    pub decoded: AtomicU64,
    pub refused: AtomicU64,
    pub waiting: AtomicU64,
    pub streams: AtomicU64,
    /// By quality; 0 is not one.
    encoded: Mutex<Vec<(u8, u64)>>,
}

/// A copy of the counters.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Tally {
    /// Pictures taken over from the camera as they are.
    pub copied: u64,
    /// Keyframes of a network camera decoded.
    pub decoded: u64,
    /// Pictures encoded at a quality, each with how many.
    pub encoded: Vec<Encoded>,
    /// Requests refused because there was too much to do.
    pub refused: u64,
    /// Clients that wait for a picture now.
    pub waiting: u64,
    /// Streams of pictures being sent now.
    pub streams: u64,
}

/// How many pictures were made of one quality.
#[derive(Clone, Debug, Serialize)]
pub struct Encoded {
    /// 1 to 100.
    pub quality: u8,
    /// Pictures.
    pub pictures: u64,
}

impl Counters {
    pub(super) fn encoded(&self, quality: u8) {
        let mut all = self.encoded.lock().unwrap_or_else(PoisonError::into_inner);
        match all.iter_mut().find(|(q, _)| *q == quality) {
            Some((_, count)) => *count += 1,
            // At most a hundred.
            None => all.push((quality, 1)),
        }
    }

    pub(super) fn tally(&self) -> Tally {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let all = self.encoded.lock().unwrap_or_else(PoisonError::into_inner);
        Tally {
            copied: read(&self.copied),
            decoded: read(&self.decoded),
            encoded: all.iter().map(|&(quality, pictures)| Encoded { quality, pictures }).collect(),
            refused: read(&self.refused),
            waiting: read(&self.waiting),
            streams: read(&self.streams),
        }
    }
}

/// One more, for as long as this lives.
pub(super) struct Waiting<'a>(&'a AtomicU64);

impl<'a> Waiting<'a> {
    pub(super) fn new(counters: &'a Counters) -> Self {
        counters.waiting.fetch_add(1, Ordering::Relaxed);
        Self(&counters.waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream of pictures, counted for as long as this lives.
pub struct Watching(Arc<Counters>);

impl Watching {
    pub(super) fn new(counters: &Arc<Counters>) -> Self {
        counters.streams.fetch_add(1, Ordering::Relaxed);
        Self(counters.clone())
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}
