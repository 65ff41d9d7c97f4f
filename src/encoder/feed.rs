//! Frames into FFmpeg's standard input, each whole or not at all.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;

use crate::base::Mono;
use crate::capture::{Consumer, Frame, Key};

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
    /// Frames that were not later than the one before, are no part of this stream, or need one that is missing.
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
        let mut chain = Chain::default();
        let mut is_open = false;
        loop {
            let frame = self.frames.next().await;
            let now = Mono::now();
            if !is_open && now.since(frame.captured) > STALE {
                continue;
            }
            // A device that was set up anew may deliver something else until its encoder is started anew too.
            if !self.stream.takes(frame.format, frame.width, frame.height) {
                self.shared.refused.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            if !chain.takes(&frame) {
                self.frames.want_key();
                self.shared.refused.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let sets = frame.key.as_ref().map_or(&[][..], Key::missing);
            let size = sets.len() + frame.data.len();
            if !self.stream.frame_head(frame.captured, size, frame.is_whole(), &mut head) {
                chain.breaks();
                self.shared.refused.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            head.extend(sets);
            self.shared.watch().fed(now);
            if !std::mem::replace(&mut is_open, true) {
                let header = self.stream.header(frame.key.as_ref().map_or(&[], |key| &key.sets));
                if self.pipe.write_all(&header).await.is_err() {
                    return;
                }
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

/// Pictures of H.264, each of which needs those before it, up to one that can be shown by itself. Where one is
/// missing, nobody wants the others before the next such one.
#[derive(Default)]
struct Chain {
    /// The number of the frame that goes on.
    next: Option<u64>,
}

impl Chain {
    /// Whether the frame can be decoded after those that were taken.
    fn takes(&mut self, frame: &Frame) -> bool {
        let goes_on = frame.is_whole() || self.next == Some(frame.sequence);
        self.next = goes_on.then(|| frame.sequence.wrapping_add(1));
        goes_on
    }

    /// One that was taken is left out.
    fn breaks(&mut self) {
        self.next = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::FrameFormat;

    /// Numbers of frames that are taken; `key` says which can be shown by themselves.
    fn taken(format: FrameFormat, numbers: &[u64], key: impl Fn(u64) -> bool) -> Vec<u64> {
        let mut chain = Chain::default();
        let frame = |sequence| Frame {
            data: Vec::new().into(),
            format,
            key: key(sequence).then(|| Key { sets: Vec::new().into(), has_own: true }),
            captured: Mono(1),
            sequence,
            width: 1,
            height: 1,
        };
        numbers.iter().copied().filter(|number| chain.takes(&frame(*number))).collect()
    }

    #[test]
    fn what_follows_a_hole_waits_for_the_next_keyframe() {
        let tens = |n: u64| n.is_multiple_of(10);
        assert_eq!(taken(FrameFormat::H264, &[8, 9, 10, 11, 12, 14, 15, 20, 21], tens), [10, 11, 12, 20, 21]);
        // A source that began anew, at its keyframe.
        assert_eq!(taken(FrameFormat::H264, &[30, 31, 0, 1, 5, 6], tens), [30, 31, 0, 1]);
    }

    #[test]
    fn pictures_of_other_formats_are_each_whole() {
        assert_eq!(taken(FrameFormat::Mjpeg, &[3, 5, 6, 2], |_| false), [3, 5, 6, 2]);
    }
}
