//! Viewing sessions, of HLS and of pages: a login is judged when one begins, which then goes on as
//! [`Sessions`] do.

use std::net::IpAddr;

use crate::auth::{Login, SessionLease, Sessions};
use crate::base::{CameraId, Mono, Secret};

/// Sessions in progress, by the secret that stands in their URLs. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Viewings(Sessions<Viewing>);

/// One session.
#[derive(Clone, Debug)]
pub(super) struct Viewing {
    pub camera: CameraId,
    pub login: Login,
    /// The signature it was opened with, when that was a signed query.
    pub link: Option<String>,
    /// MediaMTX ties its sessions to an address; a client's may change between two requests.
    pub remote: IpAddr,
    /// MediaMTX's own secret for it; none for a page, which opens sessions of its own.
    pub inner: Option<Secret>,
}

impl AsRef<Login> for Viewing {
    fn as_ref(&self) -> &Login {
        &self.login
    }
}

/// An answer being sent: as long as it is, the session is in use.
pub(super) type Lease = SessionLease<Viewing>;

impl Viewings {
    /// Begins a session under `key`, with its first answer.
    pub(super) fn begin(&self, key: &Secret, viewing: Viewing, now: Mono) -> Lease {
        self.0.begin(key.expose(), viewing, now)
    }

    /// Another request of a session of `camera`; none when there is no such session, or not any more.
    pub(super) fn enter(&self, key: &str, camera: CameraId, now: Mono) -> Option<(Viewing, Lease)> {
        self.0.enter(key, now, |v| v.camera == camera)
    }

    /// The login of a session that goes on and was opened with this signature.
    pub(super) fn by_link(&self, link: &str, camera: CameraId, now: Mono) -> Option<Login> {
        self.0.login_of(now, |v| v.link.as_deref() == Some(link) && v.camera == camera)
    }

    /// Ends a session.
    pub(super) fn end(&self, lease: &Lease) {
        self.0.end(lease);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::auth::{Role, Standing};

    #[test]
    fn a_session_is_for_its_camera_and_its_link_alone() {
        let (all, key, now) = (Viewings::default(), Secret::random(16), Mono::now());
        let login = Login {
            user: "ann".into(),
            role: Role::Viewer,
            issued_us: 0,
            expires_us: 0,
            deadline: now + Duration::from_secs(10),
            token_id: "abcdefghijkl".into(),
            standing: Standing::default(),
        };
        let (camera, other) = (CameraId(0), CameraId(1));
        let remote = IpAddr::from([127, 0, 0, 1]);
        let viewing = Viewing { camera, login, link: Some("sig".into()), remote, inner: None };
        let lease = all.begin(&key, viewing, now);
        assert!(all.enter(key.expose(), camera, now).is_some());
        assert!(all.enter(key.expose(), other, now).is_none());
        assert!(all.by_link("sig", camera, now).is_some());
        assert!(all.by_link("sig", other, now).is_none());
        assert!(all.by_link("other", camera, now).is_none());
        all.end(&lease);
        assert!(all.enter(key.expose(), camera, now).is_none());
    }
}
