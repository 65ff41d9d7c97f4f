//! Keyframe → JPEG, in an FFmpeg that was started beforehand and waits at its input.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::base::Result;
use crate::supervise::{Child, ChildSpec, Group, Spawner, Stdio};

use super::keyframe::Codec;
use super::picture::one_picture;

/// A 4K keyframe on a slow box takes one second.
const LIMIT: Duration = Duration::from_secs(8);

/// The decoder of all cameras; clones are the same one.
#[derive(Clone)]
pub struct Decoder {
    inner: Arc<Inner>,
}

struct Inner {
    ffmpeg: PathBuf,
    spawner: Spawner,
    group: Group,
    /// One that waits, for each codec.
    waiting: Mutex<[Option<Child>; 2]>,
}

impl Decoder {
    /// A decoder; nothing is started before [`Decoder::warm`] or the first use.
    pub fn new(ffmpeg: PathBuf, spawner: Spawner, group: Group) -> Self {
        let waiting = Mutex::default();
        Self { inner: Arc::new(Inner { ffmpeg, spawner, group, waiting }) }
    }

    /// Starts the one that will wait for `codec`, unless it is there.
    pub async fn warm(&self, codec: Codec) -> Result<()> {
        if self.slot(|slots| slots[index(codec)].is_none()) {
            let child = self.spawn(codec).await?;
            // Had another been faster, this one goes again.
            let surplus = self.slot(|slots| match &slots[index(codec)] {
                None => {
                    slots[index(codec)] = Some(child);
                    None
                }
                Some(_) => Some(child),
            });
            drop(surplus);
        }
        Ok(())
    }

    /// The full picture of a keyframe's access unit (Annex B with parameter sets), as JPEG.
    pub async fn decode(&self, codec: Codec, unit: &[u8]) -> Result<Vec<u8>> {
        let warm = self.slot(|slots| slots[index(codec)].take());
        let was_warm = warm.is_some();
        let child = match warm {
            Some(child) => child,
            None => self.spawn(codec).await?,
        };
        let next = self.clone();
        self.inner.group.spawn("snapshot decoder", async move {
            if let Err(error) = next.warm(codec).await {
                tracing::warn!(error = error.chain(), "no decoder waits for the next snapshot");
            }
        });
        match picture(child, unit).await {
            // The one that waited may have been killed meanwhile.
            Err(_) if was_warm => picture(self.spawn(codec).await?, unit).await,
            outcome => outcome,
        }
    }

    fn slot<T>(&self, act: impl FnOnce(&mut [Option<Child>; 2]) -> T) -> T {
        act(&mut self.inner.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn spawn(&self, codec: Codec) -> Result<Child> {
        let mut spec = ChildSpec::new("snapshot decoder", &self.inner.ffmpeg).args(args(codec));
        (spec.stdin, spec.stdout) = (Stdio::Pipe, Stdio::Pipe);
        self.inner.spawner.spawn(spec).await
    }
}

fn index(codec: Codec) -> usize {
    match codec {
        Codec::H264 => 0,
        Codec::H265 => 1,
    }
}

fn args(codec: Codec) -> [&'static str; 33] {
    let format = match codec {
        Codec::H264 => "h264",
        Codec::H265 => "hevc",
    };
    [
        "-hide_banner",
        "-nostdin",
        "-nostats",
        "-loglevel",
        "quiet",
        // More threads would hold the only picture back until the end of input, and cost their start.
        "-threads",
        "1",
        "-probesize",
        "32",
        "-analyzeduration",
        "0",
        "-fpsprobesize",
        "0",
        "-f",
        format,
        "-i",
        "pipe:0",
        "-filter_threads",
        "1",
        "-frames:v",
        "1",
        "-c:v",
        "mjpeg",
        "-threads",
        "1",
        "-q:v",
        "2",
        // Full range: what every viewer takes a JPEG for.
        "-pix_fmt",
        "yuvj420p",
        "-f",
        "mjpeg",
        "pipe:1",
        "-y",
    ]
}

async fn picture(child: Child, unit: &[u8]) -> Result<Vec<u8>> {
    one_picture(child, unit, LIMIT, "the camera's picture").await
}
