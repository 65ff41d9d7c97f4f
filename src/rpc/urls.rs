//! Addresses that clients are given. The host is the one by which this client reached us.

use std::net::IpAddr;

use url::form_urlencoded::byte_serialize;

use super::session::Call;
use crate::base::{CameraId, Mono, RecordingName};
use crate::{live, preview};

/// How a client reached us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// Name or address, IPv6 in brackets.
    pub host: String,
    /// The port of our HTTP server as the client sees it.
    pub port: u16,
    /// The client runs on this box.
    pub near: bool,
    /// Where it is.
    pub peer: IpAddr,
    /// The box's own address on this way.
    pub local: IpAddr,
    /// When the connection was made.
    pub since: Mono,
    /// By TLS.
    pub secure: bool,
    /// This box takes log-ins without TLS from everywhere.
    pub plain_allowed: bool,
}

impl Reached {
    /// Whether what a log-in needs may come this way. What stays on the box needs no TLS.
    pub fn may_log_in(&self) -> bool {
        self.secure || self.near || self.plain_allowed
    }

    /// Host and port as this client knows them.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// How addresses for this client begin: of the socket, and of everything else.
    pub fn schemes(&self) -> [&'static str; 2] {
        if self.secure { ["wss", "https"] } else { ["ws", "http"] }
    }
}

impl Call {
    /// The camera's stream, with this token's right to read it.
    pub(super) fn rtsp_url(&self, camera: CameraId) -> String {
        let (user, password) = self.services.auth.stream_credential(self.login());
        let endpoints = self.services.mediamtx.endpoints();
        let Reached { host, secure, plain_allowed, .. } = &*self.reached;
        // Without TLS from elsewhere nobody but this box could use the plain one.
        let (scheme, port) = match endpoints.rtsps {
            Some(rtsps) if *secure || !plain_allowed => ("rtsps", rtsps.port()),
            _ => ("rtsp", endpoints.rtsp.port()),
        };
        format!("{scheme}://{user}:{}@{host}:{port}/{camera}", password.expose())
    }

    /// The camera's stream for players that speak HTTP, as a link that needs no log-in.
    pub(super) fn hls_url(&self, camera: CameraId) -> String {
        self.live_url(camera, &live::signed_path(camera))
    }

    /// Where a WebRTC player sends its offer (WHEP), as a link that needs no log-in.
    pub(super) fn whep_url(&self, camera: CameraId) -> String {
        self.live_url(camera, &live::whep_path(camera))
    }

    /// The page that plays the camera, as a link that needs no log-in.
    pub(super) fn page_url(&self, camera: CameraId) -> String {
        self.live_url(camera, &live::page_path(camera))
    }

    fn base(&self) -> String {
        let Reached { host, port, .. } = &*self.reached;
        let [_, http] = self.reached.schemes();
        format!("{http}://{host}:{port}")
    }

    fn live_url(&self, camera: CameraId, path: &str) -> String {
        let signature = self.services.auth.sign_path(self.login(), &live::signed_path(camera));
        format!("{}{path}?{signature}", self.base())
    }

    /// The camera's newest picture, and picture after picture, as links that need no log-in.
    pub(super) fn preview_urls(&self, camera: CameraId) -> [String; 2] {
        let base = self.base();
        let path = preview::signed_path(camera);
        let signature = self.services.auth.sign_path(self.login(), &path);
        ["frame.jpg", "stream.mjpeg"].map(|file| format!("{base}{path}{file}?{signature}"))
    }

    /// A recording, or one segment of it, as a link that needs no log-in.
    pub(super) fn recording_url(&self, name: &RecordingName, segment: Option<u32>) -> String {
        self.file_url(&format!("/files/recordings/{name}.mp4"), segment)
    }

    /// A recording's thumbnail as a link that needs no log-in.
    pub(super) fn thumbnail_url(&self, name: &RecordingName) -> String {
        self.file_url(&format!("/files/recordings/{name}.jpg"), None)
    }

    /// A still as a link that needs no log-in.
    pub(super) fn snapshot_url(&self, name: &str) -> String {
        self.file_url(
            &format!("/files/snapshots/{}", byte_serialize(name.as_bytes()).collect::<String>()),
            None,
        )
    }

    fn file_url(&self, path: &str, segment: Option<u32>) -> String {
        let signature = self.services.auth.sign_path(self.login(), path);
        let segment = segment.map(|n| format!("segment={n}&")).unwrap_or_default();
        format!("{}{path}?{segment}{signature}", self.base())
    }
}
