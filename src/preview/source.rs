//! Where a camera's pictures come from, and waiting for the next one.

use tokio::sync::watch;

use crate::base::Mono;
use crate::capture::{Fanout, Frame, FrameFormat, with_tables};
use crate::snapshot::{Decoder, Keyframe};
use crate::supervise::Group;

/// A network camera's newest keyframe while it is live and read.
pub type Following = watch::Receiver<Option<Keyframe>>;

/// A camera's newest pictures, as the camera gives them.
pub(super) enum Source {
    /// In the frame path.
    Frames(Fanout),
    /// Pulled by MediaMTX.
    Keyframes {
        /// Another one each time the camera comes back.
        readers: watch::Receiver<Option<Following>>,
    },
}

/// Where keyframes are decoded.
pub(super) struct Decoding {
    pub decoder: Decoder,
    pub group: Group,
}

/// A picture as the camera gave it.
pub(super) enum Raw {
    Jpeg(u64, Frame),
    /// To be made a JPEG once.
    Pixels(u64, Frame),
    /// Of a camera in the frame path that delivers H.264.
    Unit(u64, Frame),
    Keyframe(Keyframe),
}

impl Raw {
    /// Rises with every picture of the camera, for as long as the program runs.
    pub fn number(&self) -> u64 {
        match self {
            Raw::Jpeg(number, _) | Raw::Pixels(number, _) | Raw::Unit(number, _) => *number,
            // The milliseconds of its arrival: a reader begins anew whenever the camera comes back,
            // and keyframes are much further apart.
            Raw::Keyframe(keyframe) => keyframe.arrived.0 / 1_000_000,
        }
    }

    pub fn captured(&self) -> Mono {
        match self {
            Raw::Jpeg(_, frame) | Raw::Pixels(_, frame) | Raw::Unit(_, frame) => frame.captured,
            Raw::Keyframe(keyframe) => keyframe.arrived,
        }
    }
}

impl Source {
    /// The newest picture; none while the camera gives none.
    pub fn newest(&self) -> Option<Raw> {
        match self {
            Source::Frames(fanout) => fanout.newest().map(raw),
            Source::Keyframes { readers } => {
                let following = readers.borrow();
                let keyframe = following.as_ref()?.borrow().clone();
                keyframe.map(Raw::Keyframe)
            }
        }
    }

    /// The newest picture once it is another than `number`, however long it takes; cancel-safe.
    pub async fn newer_than(&self, number: u64) -> Raw {
        match self {
            Source::Frames(fanout) => raw(fanout.newer_than(number).await),
            Source::Keyframes { readers } => {
                let mut readers = readers.clone();
                loop {
                    let following = readers.borrow_and_update().clone();
                    tokio::select! {
                        Some(keyframe) = next(following, number) => return keyframe,
                        Ok(()) = readers.changed() => {}
                        // The camera's actor is gone: the program is on its way out.
                        else => std::future::pending().await,
                    }
                }
            }
        }
    }
}

fn raw((number, frame): (u64, Frame)) -> Raw {
    match frame.format {
        FrameFormat::Mjpeg => match with_tables(&frame.data) {
            Some(whole) => Raw::Jpeg(number, Frame { data: whole.into(), ..frame }),
            None => Raw::Jpeg(number, frame),
        },
        FrameFormat::Raw(_) => Raw::Pixels(number, frame),
        FrameFormat::H264 => Raw::Unit(number, frame),
    }
}

/// None when this reader will not give one any more.
async fn next(following: Option<Following>, number: u64) -> Option<Raw> {
    let mut following = following?;
    loop {
        let newest = following.borrow_and_update().clone().map(Raw::Keyframe);
        match newest {
            Some(raw) if raw.number() != number => return Some(raw),
            _ => following.changed().await.ok()?,
        }
    }
}
