//! The threads that make pictures of another quality: few, started when there is work, gone with
//! their memory half a second after it ends.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::cache::{Failure, Promise};
use super::camera::Picture;
use super::counters::Counters;
use super::jpeg;
use crate::base::Mono;
use crate::capture::{Frame, FramePool};
use crate::snapshot::jpeg_of_pixels;

/// Waiting jobs beyond this are refused: at 10 ms each their pictures would be old when they came.
const QUEUE: usize = 32;
/// Longer than the time between two frames of a slow camera; the box's end waits for it.
const LINGER: Duration = Duration::from_millis(500);
/// Buffers that one thread's finished pictures may use; beyond it each gets one of its own.
const BUFFERS: usize = 32;

/// The threads. Clones are the same.
#[derive(Clone)]
pub struct Makers(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    work: Condvar,
    most: usize,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
}

/// What a picture is made of.
pub(super) enum Original {
    Jpeg(Bytes),
    Pixels(Frame),
}

impl Original {
    /// Bytes.
    fn len(&self) -> usize {
        match self {
            Original::Jpeg(jpeg) => jpeg.len(),
            Original::Pixels(frame) => frame.data.len(),
        }
    }
}

/// One picture to be made.
pub(super) struct Job {
    pub number: u64,
    pub captured: Mono,
    pub original: Original,
    pub quality: u8,
    pub counters: Arc<Counters>,
    pub promise: Promise,
}

impl Makers {
    /// As many threads as the machine has processors, at most four.
    pub fn new() -> Self {
        Self::of(std::thread::available_parallelism().map_or(1, |n| n.get().min(4)))
    }

    fn of(most: usize) -> Self {
        Self(Arc::new(Shared { state: Mutex::default(), work: Condvar::new(), most }))
    }

    /// Has a picture made; false: there is too much to do.
    pub(super) fn submit(&self, job: Job) -> bool {
        let mut state = lock(&self.0.state);
        if state.jobs.len() >= QUEUE {
            return false;
        }
        state.jobs.push_back(job);
        if state.idle >= state.jobs.len() {
            self.0.work.notify_one();
        } else if state.threads < self.0.most {
            state.threads += 1;
            let shared = self.0.clone();
            tokio::task::spawn_blocking(move || shared.work());
        }
        true
    }
}

impl Default for Makers {
    fn default() -> Self {
        Self::new()
    }
}

impl Shared {
    fn work(&self) {
        let mut pixels = Vec::new();
        let mut buffers = FramePool::new(BUFFERS);
        while let Some(job) = self.next() {
            job.run(&mut pixels, &mut buffers);
        }
    }

    fn next(&self) -> Option<Job> {
        let mut state = lock(&self.state);
        if state.jobs.is_empty() {
            state.idle += 1;
            let waited = self.work.wait_timeout_while(state, LINGER, |state| state.jobs.is_empty());
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            state.idle -= 1;
        }
        let job = state.jobs.pop_front();
        if job.is_none() {
            state.threads -= 1;
        }
        job
    }
}

impl Job {
    fn run(self, pixels: &mut Vec<u8>, buffers: &mut FramePool) {
        // A finished one is about half of what it is made of.
        let mut own = Vec::new();
        let mut pooled = buffers.take(self.original.len() / 2);
        let out = pooled.as_mut().map_or(&mut own, |buffer| buffer.bytes_mut());
        let made = match &self.original {
            Original::Jpeg(jpeg) => jpeg::reencode(jpeg, self.quality, pixels, out),
            Original::Pixels(frame) => jpeg_of_pixels(frame, self.quality, out),
        };
        self.counters.encoded(self.quality);
        let bytes = match pooled {
            Some(buffer) if made.is_ok() => Bytes::from_owner(buffers.seal(buffer)),
            Some(buffer) => {
                buffers.give_back(buffer);
                Bytes::new()
            }
            None => Bytes::from(own),
        };
        self.promise.0.set(match made {
            Ok(()) => Ok(Picture { number: self.number, captured: self.captured, jpeg: bytes }),
            Err(why) => {
                tracing::debug!(why, "a picture cannot be encoded anew");
                Err(Failure::Undecodable)
            }
        });
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preview::cache::Cell;

    fn job(original: &'static [u8]) -> (Job, Arc<Cell>) {
        let cell = Arc::new(Cell::default());
        let job = Job {
            number: 1,
            captured: Mono(1),
            original: Original::Jpeg(Bytes::from_static(original)),
            quality: 50,
            counters: Arc::default(),
            promise: Promise(cell.clone()),
        };
        (job, cell)
    }

    #[tokio::test]
    async fn too_much_to_do_is_refused_and_told() {
        let makers = Makers::of(0);
        for _ in 0..QUEUE {
            assert!(makers.submit(job(b"x").0));
        }
        let (late, cell) = job(b"x");
        assert!(!makers.submit(late));
        assert_eq!(cell.wait().await.unwrap_err(), Failure::Busy);
    }

    #[tokio::test]
    async fn threads_come_with_the_work_and_go_after_it() {
        let makers = Makers::of(2);
        let cells: Vec<_> = (0..10)
            .map(|_| {
                let (job, cell) = job(b"not a picture");
                assert!(makers.submit(job));
                assert!(lock(&makers.0.state).threads <= 2);
                cell
            })
            .collect();
        for cell in cells {
            assert_eq!(cell.wait().await.unwrap_err(), Failure::Undecodable);
        }
        let limit = Mono::now() + Duration::from_secs(30);
        while lock(&makers.0.state).threads > 0 {
            assert!(limit > Mono::now(), "a thread stays");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // And come again.
        let (again, cell) = job(b"not a picture");
        assert!(makers.submit(again));
        assert_eq!(cell.wait().await.unwrap_err(), Failure::Undecodable);
    }
}
