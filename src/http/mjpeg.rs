//! `stream.mjpeg`: picture after picture in one answer. The next one is chosen when the connection
//! has room for it, so a slow client skips pictures and never gets an old one.

use std::fmt::Write;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio_util::sync::ReusableBoxFuture;

use super::access::Guest;
use super::followers::Place;
use crate::base::clock::iso8601;
use crate::base::{CameraId, Clock, Mono};
use crate::pipeline::Cameras;
use crate::preview::{Picture, Preview, Quality, Watching};

/// What the answer says it is.
pub(super) const CONTENT_TYPE: &str = "multipart/x-mixed-replace; boundary=fieldcam-frame";
const BEGIN: &[u8] = b"--fieldcam-frame\r\n";
/// Right behind a picture: browsers show it when they see the next part begin.
const BETWEEN: &[u8] = b"\r\n--fieldcam-frame\r\n";
/// A camera that was away for less comes back into the same stream; a browser would not ask again.
const AWAY: Duration = Duration::from_secs(30);
/// How long a picture may be overdue before it is looked whether the camera is still the same.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// Before the next try when the box had too much to do.
const BUSY_PAUSE: Duration = Duration::from_millis(200);

/// Who follows what.
pub(super) struct Follower {
    pub cameras: Cameras,
    pub camera: CameraId,
    pub guest: Guest,
    pub quality: Quality,
    /// The least time between two pictures.
    pub interval: Duration,
    /// Given back when the stream ends.
    #[expect(dead_code, reason = "held, not read")]
    pub place: Place,
}

/// The body.
pub(super) struct Mjpeg {
    /// In one allocation for all pictures.
    next: ReusableBoxFuture<'static, (Walk, Option<Picture>)>,
    /// What is handed out next, last first.
    parts: Vec<Bytes>,
    heads: BytesMut,
    clock: Clock,
    over: bool,
}

impl Mjpeg {
    pub fn new(follower: Follower, preview: Preview, clock: Clock) -> Self {
        let watching = preview.watch();
        let walk = Walk { follower, preview, watching, last: 0, due: Mono::now() };
        Self {
            next: ReusableBoxFuture::new(walk.next()),
            parts: vec![Bytes::from_static(BEGIN)],
            heads: BytesMut::new(),
            clock,
            over: false,
        }
    }

    pub fn is_over(&self) -> bool {
        self.over && self.parts.is_empty()
    }

    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            if let Some(part) = self.parts.pop() {
                return Poll::Ready(Some(Ok(part)));
            }
            if self.over {
                return Poll::Ready(None);
            }
            let (walk, picture) = ready!(self.next.poll(cx));
            match picture {
                Some(picture) => {
                    self.next.set(walk.next());
                    self.push(picture);
                }
                None => self.over = true,
            }
        }
    }

    fn push(&mut self, picture: Picture) {
        let age = Mono::now().since(picture.captured);
        let captured = self.clock.wall_us() - i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
        let (size, number, age) = (picture.jpeg.len(), picture.number, age.as_millis());
        let time = iso8601(captured);
        write!(
            self.heads,
            "Content-Type: image/jpeg\r\nContent-Length: {size}\r\nX-Frame-Number: {number}\r\n\
             X-Frame-Age-Ms: {age}\r\nX-Frame-Time: {time}\r\n\r\n"
        )
        .expect("writing to memory does not fail");
        let head = self.heads.split().freeze();
        self.parts.extend([Bytes::from_static(BETWEEN), picture.jpeg, head]);
    }
}

/// From one picture to the next.
struct Walk {
    follower: Follower,
    preview: Preview,
    /// Held, not read.
    watching: Watching,
    /// The number of the last picture; 0 before the first.
    last: u64,
    /// Not before then.
    due: Mono,
}

impl Walk {
    /// The next picture; none at the end of the log-in, or when the camera stays away.
    async fn next(mut self) -> (Self, Option<Picture>) {
        let picture = self.look().await;
        if let Some(picture) = &picture {
            let interval = self.follower.interval;
            self.last = picture.number;
            // Steady, but a stream that was held up does not catch up.
            self.due = self.due.max(Mono::now() - interval) + interval;
        }
        (self, picture)
    }

    async fn look(&mut self) -> Option<Picture> {
        tokio::time::sleep(self.due.from_now()).await;
        let end = self.follower.guest.login.deadline.min(Mono::now() + AWAY);
        while !end.from_now().is_zero() && self.follower.guest.login.is_valid(Mono::now()) {
            let Some(_) = self.preview.newer_than(self.last, LOOK_AGAIN.min(end.from_now())).await else {
                self.follow_changes();
                continue;
            };
            match self.preview.picture(self.follower.quality, self.last).await {
                Ok(Some(picture)) if picture.number != self.last => return Some(picture),
                // Gone between look and take, or not to be shown: the next one may be.
                Ok(_) => tokio::task::yield_now().await,
                Err(_) => tokio::time::sleep(BUSY_PAUSE).await,
            }
        }
        None
    }

    /// A camera whose settings were changed meanwhile has its pictures elsewhere.
    fn follow_changes(&mut self) {
        let Follower { cameras, camera, .. } = &self.follower;
        if let Ok(preview) = cameras.preview(*camera)
            && preview.run() != self.preview.run()
        {
            (self.watching, self.preview, self.last) = (preview.watch(), preview, 0);
        }
    }
}
