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
mod hls;
mod login;
mod page;
mod place;
mod upstream;
mod viewing;
mod whep;

use std::net::IpAddr;
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
            Some(Place::Urls(camera)) => page::urls(inner, &request, remote, camera),
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
    /// Starts the camera's stream if need be; answers with what it carries when it can be read.
    async fn open(&self, camera: CameraId) -> Result<Vec<Track>> {
        let view = self.cameras.get(camera)?;
        if view.status == CameraStatus::Disconnected {
            let why = view.problem.unwrap_or_else(|| "it is away".into());
            return Err(Error::state(format!("{camera} is not connected"), "DISCONNECTED", &["CONNECTED"])
                .with("details", why)
                .with("suggestion", "check the camera's power and cable; it comes back by itself"));
        }
        if !view.stream.ready {
            self.cameras.start_streaming(camera).await?;
        }
        let name = camera.to_string();
        let known = self.mediamtx.paths().get(&name).filter(|p| p.ready).map(|p| p.tracks.clone());
        match known {
            Some(tracks) if !tracks.is_empty() => Ok(tracks),
            _ => Ok(self.mediamtx.fetch_path(&name).await?.map(|p| p.tracks).unwrap_or_default()),
        }
    }
}
