//! Live video for browsers and players on the box's own port, in front of MediaMTX's loopback listeners.
//!
//! Owns the addresses below `/live/`, the viewing sessions and the connections to MediaMTX's HLS and
//! WebRTC servers. Promises: nothing of a client but what was read and judged here reaches MediaMTX,
//! and no secret of either side the other (MediaMTX is shown a stream password derived from the
//! login, the client a session of ours); a viewing session ends with its login, whatever it is
//! sending; asking for a stream starts it. Costs a few connections on loopback and some hundred bytes
//! a viewer; bodies pass through in the pieces they come in, no faster than the client takes them.

mod answer;
mod failure;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
mod hls;
mod login;
mod page;
mod place;
mod upstream;
mod viewing;
mod whep;

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Request, Response};

use crate::auth::Auth;
use crate::base::{CameraId, Error, Result};
use crate::mediamtx::{MediaMtx, Track};
use crate::pipeline::{CameraStatus, Cameras};
use crate::supervise::Group;
pub use answer::Body;
use place::Place;
pub use place::{page_path, shown, signed_path, whep_path};
use upstream::Upstream;
use viewing::Viewings;
use whep::Calls;

/// The room's handle. Clones share everything.
#[derive(Clone)]
pub struct Live(Arc<Inner>);

struct Inner {
    auth: Auth,
    cameras: Cameras,
    mediamtx: MediaMtx,
    upstream: Upstream,
    viewings: Viewings,
    calls: Calls,
}

impl Live {
    /// Connections to MediaMTX live in `group`.
    pub fn new(auth: Auth, cameras: Cameras, mediamtx: MediaMtx, group: &Group) -> Self {
        let endpoints = mediamtx.endpoints();
        let upstream = Upstream::new(endpoints.hls, endpoints.webrtc, group);
        Self(Arc::new(Inner {
            auth,
            cameras,
            mediamtx,
            upstream,
            viewings: Viewings::default(),
            calls: Calls::default(),
        }))
    }

    /// Answers a request whose path starts with `/live/`, from a client at `remote`.
    pub async fn answer(&self, request: Request<Incoming>, remote: IpAddr) -> Response<Body> {
        let inner = &*self.0;
        let answered = match place::read(request.uri().path()) {
            Some(Place::Hls { camera, file }) => hls::answer(inner, &request, remote, camera, &file).await,
            Some(Place::File(file)) => page::file(inner, &request, file).await,
            Some(Place::Urls(camera)) => page::urls(inner, &request, remote, camera).await,
            Some(Place::Whep(camera)) => whep::answer(inner, request, remote, camera).await,
            Some(Place::WhepSession { camera, secret }) => {
                whep::go_on(inner, request, remote, camera, &secret).await
            }
            None => Err(Error::not_found("Page", "").with(
                "suggestion",
                "live addresses are /live/camera0, /live/camera0/index.m3u8 and /live/camera0/whep",
            )),
        };
        answered.unwrap_or_else(|e| failure::answer(&e))
    }
}

impl Inner {
    /// Starts the camera's stream if need be, has what it carries judged, and asks MediaMTX for it. What
    /// this box encodes is known before it runs: MediaMTX is asked meanwhile and answers with the first
    /// picture, so that whatever it has to do until then is done beside the camera's start.
    async fn through<T>(
        &self,
        camera: CameraId,
        judge: impl Fn(&[Track]) -> Result<()>,
        ask: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let view = self.cameras.get(camera)?;
        if view.status == CameraStatus::Disconnected {
            let why = view.problem.unwrap_or_else(|| "it is away".into());
            return Err(Error::state(format!("{camera} is not connected"), "DISCONNECTED", &["CONNECTED"])
                .with("details", why)
                .with("suggestion", "check the camera's power and cable; it comes back by itself"));
        }
        if let Some(codec) = view.encoded_as.filter(|_| !view.stream.ready) {
            judge(&[Track { codec: codec.into(), ..Track::default() }])?;
            let (start, mut ask) = (pin!(self.cameras.start_streaming(camera)), pin!(ask));
            return tokio::select! {
                // The camera hears first; what it says of a start that fails is better than silence.
                biased;
                started = start => {
                    started?;
                    ask.await
                }
                answer = &mut ask => answer,
            };
        }
        if !view.stream.ready {
            self.cameras.start_streaming(camera).await?;
        }
        judge(&self.tracks(camera).await?)?;
        ask.await
    }

    /// What a stream that can be read carries.
    async fn tracks(&self, camera: CameraId) -> Result<Vec<Track>> {
        let name = camera.to_string();
        let known = self.mediamtx.paths().get(&name).filter(|p| p.ready).map(|p| p.tracks.clone());
        match known {
            Some(tracks) if !tracks.is_empty() => Ok(tracks),
            _ => Ok(self.mediamtx.fetch_path(&name).await?.map(|p| p.tracks).unwrap_or_default()),
        }
    }
}
