//! Where a camera's stills come from: the newest frame that can be shown by itself, or the newest keyframe of its
//! stream.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::base::{CameraId, Error, Mono, Result};
use crate::capture::{Fanout, Frame, FrameFormat};
use crate::preview::{Following, Makers, Preview};
use crate::snapshot::{Decoder, Keyframes, SnapshotInfo, Snapshots};
use crate::supervise::Group;

use super::cameras::{Order, PATIENCE};

/// A camera's door to stills. Clones share it.
#[derive(Clone)]
pub(super) struct Stills {
    snapshots: Snapshots,
    decoder: Decoder,
    source: Source,
}

#[derive(Clone)]
enum Source {
    Frames {
        fanout: Fanout,
        fresh: Duration,
    },
    /// The reader exists while the camera is live.
    Keyframes {
        reader: Arc<Mutex<Option<Arc<Keyframes>>>>,
        /// The same for those who only look.
        following: watch::Sender<Option<Following>>,
    },
}

impl Stills {
    /// Of a camera in the frame path.
    pub fn of_frames(fanout: Fanout, fps: u32, decoder: Decoder, snapshots: Snapshots) -> Self {
        // Two and a half frame intervals: a frame that old is still what the camera sees now.
        let fresh = Duration::from_millis(2500 / u64::from(fps.max(1))).max(Duration::from_millis(200));
        Self { snapshots, decoder, source: Source::Frames { fanout, fresh } }
    }

    /// Of a network camera.
    pub fn of_keyframes(decoder: Decoder, snapshots: Snapshots) -> Self {
        let following = watch::Sender::new(None);
        Self { snapshots, decoder, source: Source::Keyframes { reader: Arc::default(), following } }
    }

    /// The camera is live and read by `reader`, or no longer.
    pub fn read_by(&self, reader: Option<Keyframes>) {
        if let Source::Keyframes { reader: slot, following, .. } = &self.source {
            following.send_replace(reader.as_ref().map(Keyframes::follow));
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = reader.map(Arc::new);
        }
    }

    /// The newest pictures of the same source, for those who look; `sender` is the camera's actor.
    pub fn preview(&self, makers: Makers, group: &Group, sender: mpsc::Sender<Order>) -> Preview {
        match &self.source {
            Source::Frames { fanout, .. } => {
                let ask = move |until| sender.try_send(Order::Peek(until)).is_ok();
                Preview::of_frames(fanout.clone(), self.decoder.clone(), makers, group.clone(), ask)
            }
            Source::Keyframes { following, .. } => {
                Preview::of_keyframes(following.subscribe(), self.decoder.clone(), makers, group.clone())
            }
        }
    }

    fn reader(&self) -> Option<Arc<Keyframes>> {
        match &self.source {
            Source::Frames { .. } => None,
            Source::Keyframes { reader, .. } => reader.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// Each still is decoded by an FFmpeg.
    pub fn needs_ffmpeg(&self) -> bool {
        matches!(self.source, Source::Keyframes { .. })
    }

    /// Frames a second of a network camera; 0 while unknown.
    pub fn fps(&self) -> u32 {
        self.reader().map_or(0, |reader| reader.fps())
    }

    /// How many of the readers that MediaMTX counts are ours.
    pub fn own_readers(&self) -> u32 {
        u32::from(self.reader().is_some_and(|reader| reader.latest().is_some()))
    }

    /// Takes one; `peek` makes an idle camera deliver frames.
    pub async fn take(
        &self,
        peek: impl Future<Output = Result<()>>,
        id: CameraId,
        filename: Option<String>,
    ) -> Result<SnapshotInfo> {
        match &self.source {
            Source::Frames { fanout, fresh } => {
                let frame = newest(fanout, *fresh, peek).await?;
                self.snapshots.take_from_frame(id, filename, &frame, &self.decoder).await
            }
            Source::Keyframes { .. } => {
                let Some(reader) = self.reader() else { return Err(no_picture()) };
                let Some(keyframe) = reader.wait(PATIENCE).await else { return Err(no_picture()) };
                self.snapshots.take_from_keyframe(id, filename, &keyframe, &self.decoder).await
            }
        }
    }
}

/// A keyframe that was captured so long ago is still taken for what the camera sees now.
const KEYFRAME_FRESH: Duration = Duration::from_millis(500);

async fn newest(fanout: &Fanout, fresh: Duration, peek: impl Future<Output = Result<()>>) -> Result<Frame> {
    let is_fresh = |frame: &Frame| {
        // Of H.264 the camera makes one now and then, sooner when it is asked and can.
        let fresh = if frame.format == FrameFormat::H264 { fresh.max(KEYFRAME_FRESH) } else { fresh };
        Mono::now().since(frame.captured) <= fresh
    };
    if let Some(frame) = fanout.latest().filter(is_fresh) {
        return Ok(frame);
    }
    let asked = Mono::now();
    peek.await?;
    fanout.want_key();
    let next = async {
        let mut known = 0;
        loop {
            let (number, frame) = fanout.newer_than(known).await;
            if frame.captured >= asked {
                return frame;
            }
            known = number;
        }
    };
    tokio::time::timeout(PATIENCE, next).await.map_err(|_| no_picture())
}

fn no_picture() -> Error {
    Error::dependency("camera", "no picture arrived in 8 s")
        .with("suggestion", "check the camera; get_camera_status tells its state")
}
