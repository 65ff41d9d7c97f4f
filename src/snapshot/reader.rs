//! Our own reader of a network camera off MediaMTX on loopback: it keeps the newest keyframe.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use retina::client::{
    Credentials, PacketItem, PlayOptions, Session, SessionOptions, SetupOptions, TeardownPolicy,
};
use retina::codec::{ParametersRef, VideoParametersCodec};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::base::backoff::Backoff;
use crate::base::{Mono, Secret};
use crate::capture::Frame;
use crate::supervise::Group;

use super::keyframe::{Assembler, Codec};

const FIRST_RETRY: Duration = Duration::from_millis(200);
const LAST_RETRY: Duration = Duration::from_secs(3);
/// MediaMTX is on this machine; a camera that sends nothing for this long is not live.
const LOGIN: Duration = Duration::from_secs(5);
const QUIET: Duration = Duration::from_secs(10);

/// A picture that can be decoded on its own.
#[derive(Clone, Debug)]
pub struct Keyframe {
    /// Its codec.
    pub codec: Codec,
    /// Its access unit: Annex B, parameter sets first.
    pub data: Arc<[u8]>,
    /// When it arrived from the camera.
    pub arrived: Mono,
}

impl Keyframe {
    /// Of a frame of a camera that delivers H.264; `None` = it cannot be shown by itself.
    pub fn of(frame: &Frame) -> Option<Self> {
        let key = frame.key.as_ref()?;
        let data = [key.missing(), &frame.data].concat().into();
        Some(Self { codec: Codec::H264, data, arrived: frame.captured })
    }
}

/// Keeps the newest keyframe of one path, for as long as this exists.
pub struct Keyframes {
    stop: CancellationToken,
    newest: watch::Receiver<Option<Keyframe>>,
    trouble: Arc<Mutex<Option<String>>>,
    fps: Arc<AtomicU32>,
}

impl Keyframes {
    /// Starts reading `url`; it is tried again, ever more slowly, while it cannot be read.
    pub fn start(name: &str, url: Secret, group: &Group) -> Self {
        let stop = group.stop().child_token();
        let (sender, newest) = watch::channel(None);
        let trouble = Arc::default();
        let fps = Arc::default();
        let reader = Reader {
            name: name.to_owned(),
            url,
            sender,
            trouble: Arc::clone(&trouble),
            fps: Arc::clone(&fps),
        };
        let token = stop.clone();
        group.spawn(format!("keyframes {name}"), async move {
            tokio::select! {
                biased;
                () = token.cancelled() => {}
                () = reader.run() => {}
            }
        });
        Self { stop, newest, trouble, fps }
    }

    /// The newest keyframe; none while the camera is not live.
    pub fn latest(&self) -> Option<Keyframe> {
        self.newest.borrow().clone()
    }

    /// The newest keyframe and those to come; ends with this reader without keeping it alive.
    pub fn follow(&self) -> watch::Receiver<Option<Keyframe>> {
        self.newest.clone()
    }

    /// The newest keyframe, or the first one that comes within `limit`.
    pub async fn wait(&self, limit: Duration) -> Option<Keyframe> {
        let mut newest = self.newest.clone();
        let there = tokio::time::timeout(limit, newest.wait_for(Option::is_some)).await;
        there.ok()?.ok()?.clone()
    }

    /// Frames a second, rounded, over the newest group of pictures; 0 before there was a whole one.
    pub fn fps(&self) -> u32 {
        self.fps.load(Ordering::Relaxed)
    }

    /// Why there is none, for the log.
    pub fn trouble(&self) -> Option<String> {
        lock(&self.trouble).clone()
    }
}

impl Drop for Keyframes {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Counts the frames of a group of pictures against the RTP clock of video.
#[derive(Default)]
struct Group90k {
    start: Option<i64>,
    frames: u32,
}

impl Group90k {
    /// The marker ends a frame.
    fn packet(&mut self, mark: bool) {
        self.frames = self.frames.saturating_add(u32::from(mark));
    }

    /// A keyframe is whole: the rate of the group that it ends.
    fn keyframe(&mut self, time: i64) -> Option<u32> {
        let frames = i64::from(std::mem::take(&mut self.frames));
        let took = time.saturating_sub(self.start.replace(time)?);
        // Half a frame more: rounded, not cut.
        let rate = frames.saturating_mul(90_000).saturating_add(took / 2).checked_div(took)?;
        u32::try_from(rate).ok().filter(|rate| (1..=1000).contains(rate))
    }
}

struct Reader {
    name: String,
    url: Secret,
    sender: watch::Sender<Option<Keyframe>>,
    trouble: Arc<Mutex<Option<String>>>,
    fps: Arc<AtomicU32>,
}

impl Reader {
    async fn run(self) {
        let mut backoff = Backoff::new(FIRST_RETRY, LAST_RETRY);
        loop {
            let why = self.read(&mut backoff).await;
            self.sender.send_replace(None);
            tracing::debug!(camera = self.name, why, "no keyframes");
            *lock(&self.trouble) = Some(why);
            tokio::time::sleep(backoff.next_delay()).await;
        }
    }

    /// Reads until it cannot; answers why.
    async fn read(&self, backoff: &mut Backoff) -> String {
        let (mut session, mut assembler) = match tokio::time::timeout(LOGIN, self.log_in()).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(why)) => return why,
            Err(_) => return "MediaMTX did not answer".to_owned(),
        };
        let codec = assembler.1;
        let mut group = Group90k::default();
        loop {
            let item = match tokio::time::timeout(QUIET, session.next()).await {
                Ok(Some(Ok(item))) => item,
                Ok(Some(Err(error))) => return error.to_string(),
                Ok(None) => return "the stream ended".to_owned(),
                Err(_) => return "the stream is silent".to_owned(),
            };
            let PacketItem::Rtp(packet) = item else { continue };
            let time = packet.timestamp().timestamp();
            let unit = assembler.0.push(time, packet.mark(), packet.loss() > 0, packet.payload());
            group.packet(packet.mark());
            if let Some(data) = unit {
                if let Some(fps) = group.keyframe(time) {
                    self.fps.store(fps, Ordering::Relaxed);
                }
                backoff.reset();
                let keyframe = Keyframe { codec, data: data.into(), arrived: Mono::now() };
                self.sender.send_replace(Some(keyframe));
                lock(&self.trouble).take();
            }
        }
    }

    async fn log_in(&self) -> Result<(Session<retina::client::Playing>, (Assembler, Codec)), String> {
        let (url, credentials) = split_credentials(&self.url).ok_or("not an RTSP URL")?;
        let options = SessionOptions::default().creds(credentials).teardown(TeardownPolicy::Never);
        let mut session = Session::describe(url, options).await.map_err(|e| e.to_string())?;
        let found = session.streams().iter().enumerate().find_map(|(index, stream)| {
            let codec = match (stream.media(), stream.encoding_name()) {
                ("video", "h264") => Codec::H264,
                ("video", "h265") => Codec::H265,
                _ => return None,
            };
            let assembler = match stream.parameters() {
                Some(ParametersRef::Video(parameters)) => match parameters.codec_params() {
                    VideoParametersCodec::H264 { sps, pps } => Assembler::new(codec, [&sps[..], &pps[..]]),
                    VideoParametersCodec::H265 { vps, sps, pps } => {
                        Assembler::new(codec, [&vps[..], &sps[..], &pps[..]])
                    }
                    _ => Assembler::new(codec, []),
                },
                _ => Assembler::new(codec, []),
            };
            Some((index, (assembler, codec)))
        });
        let (index, assembler) = found.ok_or("no H.264 or H.265 picture")?;
        session.setup(index, SetupOptions::default()).await.map_err(|e| e.to_string())?;
        let session = session.play(PlayOptions::default()).await.map_err(|e| e.to_string())?;
        Ok((session, assembler))
    }
}

fn split_credentials(url: &Secret) -> Option<(Url, Option<Credentials>)> {
    let mut url = Url::parse(url.expose()).ok()?;
    let credentials = url
        .password()
        .map(|password| Credentials { username: url.username().to_owned(), password: password.to_owned() });
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    Some((url, credentials))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_a_whole_group() {
        let mut group = Group90k::default();
        group.packet(true);
        assert_eq!(group.keyframe(1000), None);
        for _ in 0..15 {
            group.packet(false);
            group.packet(true);
        }
        assert_eq!(group.keyframe(91_000), Some(15));
        // A clock that stands still or goes back tells nothing.
        group.packet(true);
        assert_eq!(group.keyframe(91_000), None);
        group.packet(true);
        assert_eq!(group.keyframe(i64::MIN), None);
    }

    #[test]
    fn the_password_leaves_the_url() {
        let (url, credentials) = split_credentials(&Secret::new("rtsp://u:p@127.0.0.1:8554/a/b")).unwrap();
        assert_eq!(url.as_str(), "rtsp://127.0.0.1:8554/a/b");
        assert_eq!(credentials, Some(Credentials { username: "u".into(), password: "p".into() }));
        assert!(split_credentials(&Secret::new("nonsense")).is_none());
    }
}
