//! One camera's newest pictures: asking for them, waiting for them, having them made.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use super::cache::{Cache, Failure, Place, Promise};
use super::counters::{Counters, Tally, Waiting, Watching};
use super::makers::{Job, Makers, Original};
use super::source::{Decoding, Following, Raw, Source};
use crate::base::{Error, Mono};
use crate::capture::{Fanout, Frame, FramePool};
use crate::snapshot::{Decoder, Keyframe};
use crate::supervise::Group;

type Result<T, E = Error> = std::result::Result<T, E>;

/// A camera that nobody asks any more stops after this (contract.md: auto_close_after "300s").
const AUTO_CLOSE: Duration = Duration::from_secs(300);
/// How often a camera is told that it is still looked at.
const ASK_EVERY: Duration = Duration::from_secs(10);
/// Buffers for pictures as the camera gives them: those being sent, each to any number of clients.
const BUFFERS: usize = 64;
/// Of the JPEG that stands for a raw picture as the camera gave it.
const PIXELS_QUALITY: u8 = 85;

/// In which quality a picture is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quality(u8);

impl Quality {
    /// The camera's own picture, untouched.
    pub const OWN: Quality = Quality(0);

    /// 1 to 100; none beyond that.
    pub fn new(n: u8) -> Option<Self> {
        (1..=100).contains(&n).then_some(Self(n))
    }

    /// 1 to 100; none for the camera's own.
    pub fn number(self) -> Option<u8> {
        (self.0 > 0).then_some(self.0)
    }
}

/// Which picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Rises with every picture of one [`Preview::run`]. In the frame path it counts
    /// them, so that two numbers tell how many lie between.
    pub number: u64,
    /// When it was captured; for a network camera, when it arrived.
    pub captured: Mono,
}

/// A picture.
#[derive(Clone, Debug)]
pub struct Picture {
    /// As in [`Stamp`].
    pub number: u64,
    /// As in [`Stamp`].
    pub captured: Mono,
    /// From SOI to EOI. Clones share it.
    pub jpeg: Bytes,
}

/// A camera's newest pictures. Clones are the same.
#[derive(Clone)]
pub struct Preview(Arc<Inner>);

struct Inner {
    run: u32,
    source: Source,
    decoding: Decoding,
    /// Makes the camera deliver until then; false when it could not be told.
    ask: Box<dyn Fn(Mono) -> bool + Send + Sync>,
    asked: AtomicU64,
    makers: Makers,
    kept: Mutex<Kept>,
    counters: Arc<Counters>,
}

struct Kept {
    cache: Cache,
    buffers: FramePool,
}

impl Preview {
    /// Of a camera in the frame path; `ask` makes it deliver until that moment. Keyframes are decoded in `group`.
    pub fn of_frames(
        fanout: Fanout,
        decoder: Decoder,
        makers: Makers,
        group: Group,
        ask: impl Fn(Mono) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self::new(Source::Frames(fanout), Decoding { decoder, group }, makers, Box::new(ask))
    }

    /// Of a network camera, which is always asked for. Keyframes are decoded in `group`.
    pub fn of_keyframes(
        readers: watch::Receiver<Option<Following>>,
        decoder: Decoder,
        makers: Makers,
        group: Group,
    ) -> Self {
        Self::new(Source::Keyframes { readers }, Decoding { decoder, group }, makers, Box::new(|_| true))
    }

    fn new(
        source: Source,
        decoding: Decoding,
        makers: Makers,
        ask: Box<dyn Fn(Mono) -> bool + Send + Sync>,
    ) -> Self {
        let kept = Mutex::new(Kept { cache: Cache::default(), buffers: FramePool::new(BUFFERS) });
        Self(Arc::new(Inner {
            run: rand::random(),
            source,
            decoding,
            ask,
            asked: AtomicU64::new(0),
            makers,
            kept,
            counters: Arc::default(),
        }))
    }

    /// Tells these pictures' numbers from those of an earlier program, or of this camera before its
    /// settings were changed.
    pub fn run(&self) -> u32 {
        self.0.run
    }

    /// The camera is looked at: it starts when it is not running, and stops 300 s after the last call.
    pub fn touch(&self) {
        let now = Mono::now();
        let asked = &self.0.asked;
        if now.since(Mono(asked.load(Ordering::Relaxed))) < ASK_EVERY && asked.load(Ordering::Relaxed) > 0 {
            return;
        }
        if (self.0.ask)(now + AUTO_CLOSE) {
            asked.store(now.0, Ordering::Relaxed);
        }
    }

    /// The newest picture's stamp; none while the camera gives none. Never waits.
    pub fn newest(&self) -> Option<Stamp> {
        self.0.source.newest().map(|raw| stamp(&raw))
    }

    /// Waits for a picture newer than `after`, at most for `limit`, asking the camera for it. A number
    /// that was never given out counts as old.
    pub async fn newer_than(&self, after: u64, limit: Duration) -> Option<Stamp> {
        let _waiting = Waiting::new(&self.0.counters);
        let end = tokio::time::Instant::now() + limit;
        let mut next = std::pin::pin!(self.0.source.newer_than(after));
        loop {
            self.touch();
            let pause = end.min(tokio::time::Instant::now() + ASK_EVERY);
            match tokio::time::timeout_at(pause, next.as_mut()).await {
                Ok(raw) => return Some(stamp(&raw)),
                Err(_) if pause == end => return None,
                Err(_) => {}
            }
        }
    }

    /// The newest picture, made if need be; none while the camera gives none. One newer than `after`
    /// that is being made already is waited for instead.
    pub async fn picture(&self, quality: Quality, after: u64) -> Result<Option<Picture>> {
        let Some(raw) = self.0.source.newest() else { return Ok(None) };
        let made = async {
            let seen = raw.number();
            let own = match raw {
                Raw::Jpeg(_, frame) => self.keep(seen, frame).await?,
                Raw::Pixels(_, frame) => self.drawn(seen, frame, after).await?,
                Raw::Unit(_, frame) => {
                    let keyframe = Keyframe::of(&frame).ok_or(Failure::Undecodable)?;
                    drop(frame);
                    self.decoded(seen, keyframe, after).await?
                }
                Raw::Keyframe(keyframe) => self.decoded(seen, keyframe, after).await?,
            };
            match quality.number() {
                Some(number) => self.encoded(own, quality, number, after).await,
                None => Ok(own),
            }
        };
        made.await.map(Some).map_err(|failure| self.told(failure))
    }

    /// Counts a stream of pictures until the answer is dropped.
    pub fn watch(&self) -> Watching {
        Watching::new(&self.0.counters)
    }

    /// What it all cost.
    pub fn tally(&self) -> Tally {
        self.0.counters.tally()
    }
}

impl Preview {
    /// The frame as it is, copied once: whoever takes long to read it shall not hold a buffer that
    /// the capture needs.
    async fn keep(&self, number: u64, frame: Frame) -> Result<Picture, Failure> {
        let cell = {
            let mut kept = self.kept();
            match kept.cache.look(Quality::OWN, number, number) {
                Place::Known(cell) => cell,
                Place::Make(cell) => {
                    let jpeg = copy(&mut kept.buffers, &frame.data);
                    self.0.counters.copied.fetch_add(1, Ordering::Relaxed);
                    cell.set(Ok(Picture { number, captured: frame.captured, jpeg }));
                    cell
                }
            }
        };
        drop(frame);
        cell.wait().await
    }

    /// A raw picture as JPEG, made once for all who look.
    async fn drawn(&self, number: u64, frame: Frame, after: u64) -> Result<Picture, Failure> {
        let captured = frame.captured;
        self.made(Quality::OWN, number, captured, PIXELS_QUALITY, Original::Pixels(frame), after).await
    }

    /// A keyframe as JPEG.
    async fn decoded(&self, number: u64, keyframe: Keyframe, after: u64) -> Result<Picture, Failure> {
        let place = self.kept().cache.look(Quality::OWN, number, after);
        let cell = match place {
            Place::Known(cell) => cell,
            Place::Make(cell) => {
                self.decode(number, keyframe, Promise(cell.clone()));
                cell
            }
        };
        cell.wait().await
    }

    /// Decodes beside whoever asked, who may go away while others wait.
    fn decode(&self, number: u64, keyframe: Keyframe, promise: Promise) {
        let Decoding { decoder, group } = &self.0.decoding;
        let captured = keyframe.arrived;
        let (decoder, counters, stop) = (decoder.clone(), self.0.counters.clone(), group.stop().clone());
        group.spawn("preview decode", async move {
            let decode = decoder.decode(keyframe.codec, &keyframe.data);
            let Some(made) = stop.run_until_cancelled(decode).await else { return };
            counters.decoded.fetch_add(1, Ordering::Relaxed);
            promise.0.set(match made {
                Ok(jpeg) => Ok(Picture { number, captured, jpeg: jpeg.into() }),
                Err(error) => {
                    tracing::debug!("a keyframe cannot be shown: {}", error.chain());
                    Err(Failure::Undecodable)
                }
            });
        });
    }

    async fn encoded(
        &self,
        own: Picture,
        quality: Quality,
        number: u8,
        after: u64,
    ) -> Result<Picture, Failure> {
        self.made(quality, own.number, own.captured, number, Original::Jpeg(own.jpeg), after).await
    }

    /// A picture that is made of `original` once for all who ask for it in this quality.
    async fn made(
        &self,
        quality: Quality,
        number: u64,
        captured: Mono,
        percent: u8,
        original: Original,
        after: u64,
    ) -> Result<Picture, Failure> {
        let place = self.kept().cache.look(quality, number, after);
        let cell = match place {
            Place::Known(cell) => cell,
            Place::Make(cell) => {
                let job = Job {
                    number,
                    captured,
                    original,
                    quality: percent,
                    counters: self.0.counters.clone(),
                    promise: Promise(cell.clone()),
                };
                if !self.0.makers.submit(job) {
                    self.kept().cache.forget(&cell);
                }
                cell
            }
        };
        cell.wait().await
    }

    fn told(&self, failure: Failure) -> Error {
        match failure {
            Failure::Busy => {
                self.0.counters.refused.fetch_add(1, Ordering::Relaxed);
                Error::dependency("preview", "more pictures are asked for than this box can make")
                    .with("reason", "overload")
                    .with("suggestion", "ask again later, less often, or without quality")
            }
            Failure::Undecodable => Error::dependency("camera", "its picture cannot be decoded")
                .with("suggestion", "try the next one; in the frame path, ask without quality"),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stamp(raw: &Raw) -> Stamp {
    Stamp { number: raw.number(), captured: raw.captured() }
}

fn copy(buffers: &mut FramePool, data: &[u8]) -> Bytes {
    let Some(mut buffer) = buffers.take(data.len()) else { return Bytes::copy_from_slice(data) };
    buffer.bytes_mut().extend_from_slice(data);
    Bytes::from_owner(buffers.seal(buffer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::FrameFormat;

    fn frame(sequence: u64) -> Frame {
        Frame {
            data: vec![sequence as u8; 100].into(),
            format: FrameFormat::Mjpeg,
            key: None,
            captured: Mono::now(),
            sequence,
            width: 1,
            height: 1,
        }
    }

    type Asks = Arc<Mutex<Vec<Duration>>>;

    fn preview(answer: bool) -> (Preview, Fanout, Asks) {
        let (fanout, asks) = (Fanout::new(), Asks::default());
        let heard = asks.clone();
        let ask = move |until: Mono| {
            heard.lock().unwrap().push(until.from_now());
            answer
        };
        let group = crate::supervise::Phases::default().add("test");
        let decoder =
            Decoder::new("ffmpeg".into(), crate::supervise::Spawner::start().unwrap(), group.clone());
        (Preview::of_frames(fanout.clone(), decoder, Makers::new(), group, ask), fanout, asks)
    }

    #[tokio::test]
    async fn whoever_looks_keeps_the_camera_for_300_s_and_says_so_now_and_then() {
        let (preview, _fanout, asks) = preview(true);
        (0..100).for_each(|_| preview.touch());
        let asks = asks.lock().unwrap().clone();
        assert_eq!(asks.len(), 1);
        assert!(asks[0] > AUTO_CLOSE - Duration::from_secs(60) && asks[0] <= AUTO_CLOSE, "{asks:?}");
    }

    #[tokio::test]
    async fn a_camera_that_could_not_be_told_is_told_again() {
        let (preview, _fanout, asks) = preview(false);
        (0..3).for_each(|_| preview.touch());
        assert_eq!(asks.lock().unwrap().len(), 3);
    }

    #[tokio::test]
    async fn a_picture_is_copied_once_and_its_frame_let_go() {
        let (preview, fanout, _) = preview(true);
        assert!(preview.picture(Quality::OWN, 0).await.unwrap().is_none());
        assert!(preview.newer_than(0, Duration::from_millis(1)).await.is_none());
        fanout.publish(frame(7));
        let first = preview.picture(Quality::OWN, 0).await.unwrap().unwrap();
        let second = preview.picture(Quality::OWN, 0).await.unwrap().unwrap();
        assert_eq!((first.number, first.jpeg.as_ptr()), (1, second.jpeg.as_ptr()));
        assert_ne!(first.jpeg.as_ptr(), fanout.latest().unwrap().data.as_ptr());
        assert_eq!(preview.newest().unwrap().number, 1);
        fanout.publish(frame(8));
        assert_eq!(preview.newer_than(1, Duration::ZERO).await.unwrap().number, 2);
        assert_eq!(preview.picture(Quality::OWN, 1).await.unwrap().unwrap().jpeg[0], 8);
        assert_eq!(preview.tally().copied, 2);
        // What is no JPEG cannot be encoded anew, and is as it is.
        let error = preview.picture(Quality(50), 0).await.unwrap_err();
        assert!(error.message().contains("cannot be decoded"), "{error}");
    }
}
