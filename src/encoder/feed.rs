//! Frames into FFmpeg's standard input, each whole or not at all.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;

use crate::base::Mono;
use crate::capture::Consumer;

use super::matroska::MatroskaStream;
use super::stall::StallWatch;

/// A first frame older than this would stretch the stream's first interval; the next one is near.
const STALE: Duration = Duration::from_millis(500);

/// What feeder, keeper and handle of one encoder share.
#[derive(Default)]
pub struct Shared {
    watch: Mutex<StallWatch>,
    /// Frames written whole.
    pub written: AtomicU64,
    /// Bytes written.
    pub bytes: AtomicU64,
    /// Frames that were not later than the one before, or are no part of this stream.
    pub refused: AtomicU64,
}

impl Shared {
    /// Its stall watch.
    pub fn watch(&self) -> MutexGuard<'_, StallWatch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is needed to feed one FFmpeg.
pub struct Feed {
    /// The stream around the pictures.
    pub stream: MatroskaStream,
    /// FFmpeg's standard input.
    pub pipe: ChildStdin,
    /// Where the frames come from.
    pub frames: Consumer,
    /// Counters and stall watch.
    pub shared: Arc<Shared>,
}

impl Feed {
    /// Ends when FFmpeg closes its input. While FFmpeg does not read, only the consumer's queue
    /// fills up, and that loses its oldest frames.
    pub async fn run(mut self) {
        let mut head = Vec::with_capacity(64);
        let mut opening = Some(self.stream.header());
        loop {
            let frame = self.frames.next().await;
            let now = Mono::now();
            if opening.is_some() && now.since(frame.captured) > STALE {
                continue;
            }
            // A device that was set up anew may deliver something else until its encoder is started anew too.
            if !self.stream.takes(frame.format, frame.width, frame.height) {
                self.shared.refused.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            if !self.stream.frame_head(frame.captured, frame.data.len(), &mut head) {
                self.shared.refused.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            self.shared.watch().fed(now);
            if let Some(header) = opening.take()
                && self.pipe.write_all(&header).await.is_err()
            {
                return;
            }
            if self.pipe.write_all(&head).await.is_err() || self.pipe.write_all(&frame.data).await.is_err() {
                return;
            }
            self.shared.watch().taken();
            self.shared.written.fetch_add(1, Ordering::Relaxed);
            self.shared.bytes.fetch_add((head.len() + frame.data.len()) as u64, Ordering::Relaxed);
        }
    }
}
