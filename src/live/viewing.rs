//! Viewing sessions, of HLS and of pages: a login is judged when one begins; it then goes on for as long as
//! requests come within [`GRACE`] and the login is valid.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::auth::Login;
use crate::base::{CameraId, Mono, Secret};

/// The longest pause within a session (contract.md).
const GRACE: Duration = Duration::from_secs(30);
/// Ended sessions are forgotten when there are more entries than this.
const SWEEP_ABOVE: usize = 256;

/// Sessions in progress, by the secret that stands in their URLs. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Viewings(Arc<Mutex<HashMap<String, Entry>>>);

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

struct Entry {
    viewing: Viewing,
    seen: Mono,
    /// Answers being sent.
    open: usize,
}

impl Entry {
    fn is_live(&self, now: Mono) -> bool {
        self.viewing.login.is_valid(now) && (self.open > 0 || now.since(self.seen) < GRACE)
    }
}

/// An answer being sent: as long as it is, the session is in use.
pub(super) struct Lease {
    viewings: Viewings,
    key: String,
}

impl Viewings {
    /// Begins a session under `key`, with its first answer.
    pub(super) fn begin(&self, key: &Secret, viewing: Viewing, now: Mono) -> Lease {
        let key = key.expose().to_owned();
        let mut all = self.all();
        if all.len() > SWEEP_ABOVE {
            all.retain(|_, e| e.is_live(now));
        }
        all.insert(key.clone(), Entry { viewing, seen: now, open: 1 });
        drop(all);
        Lease { viewings: self.clone(), key }
    }

    /// Another request of a session of `camera`; none when there is no such session, or not any more.
    pub(super) fn enter(&self, key: &str, camera: CameraId, now: Mono) -> Option<(Viewing, Lease)> {
        let mut all = self.all();
        let entry = all.get_mut(key).filter(|e| e.viewing.camera == camera && e.is_live(now))?;
        entry.seen = now;
        entry.open += 1;
        let viewing = entry.viewing.clone();
        drop(all);
        Some((viewing, Lease { viewings: self.clone(), key: key.to_owned() }))
    }

    /// The login of a session that goes on and was opened with this signature.
    pub(super) fn by_link(&self, link: &str, camera: CameraId, now: Mono) -> Option<Login> {
        let opened_so = |e: &&Entry| {
            e.viewing.link.as_deref() == Some(link) && e.viewing.camera == camera && e.is_live(now)
        };
        self.all().values().find(opened_so).map(|e| e.viewing.login.clone())
    }

    /// Ends a session.
    pub(super) fn end(&self, lease: &Lease) {
        self.all().remove(&lease.key);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(entry) = self.viewings.all().get_mut(&self.key) {
            entry.open = entry.open.saturating_sub(1);
            entry.seen = Mono::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Role;

    const CAMERA: CameraId = CameraId(0);

    fn viewing(now: Mono, valid: Duration) -> Viewing {
        let login = Login {
            user: "ann".into(),
            role: Role::Viewer,
            issued_us: 0,
            expires_us: 0,
            deadline: now + valid,
            token_id: "abcdefghijkl".into(),
        };
        let remote = IpAddr::from([127, 0, 0, 1]);
        Viewing { camera: CAMERA, login, link: Some("sig".into()), remote, inner: Some(Secret::new("x")) }
    }

    #[test]
    fn a_session_goes_on_while_requests_come_and_answers_are_sent() {
        let (all, key, now) = (Viewings::default(), Secret::random(16), Mono::now());
        let first = all.begin(&key, viewing(now, Duration::from_secs(3600)), now);
        let late = now + GRACE * 3;
        assert!(all.enter(key.expose(), CAMERA, late).is_some(), "an answer is being sent");
        drop(first);
        let seen = Mono::now();
        assert!(all.enter(key.expose(), CAMERA, seen + GRACE - Duration::from_secs(1)).is_some());
        assert!(all.by_link("sig", CAMERA, Mono::now()).is_some());
        assert!(all.enter(key.expose(), CAMERA, Mono::now() + GRACE).is_none());
        assert!(all.by_link("sig", CAMERA, Mono::now() + GRACE).is_none());
    }

    #[test]
    fn it_ends_with_its_login_and_is_for_its_camera_alone() {
        let (all, key, now) = (Viewings::default(), Secret::random(16), Mono::now());
        let lease = all.begin(&key, viewing(now, Duration::from_secs(10)), now);
        assert!(all.enter(key.expose(), CAMERA, now + Duration::from_secs(9)).is_some());
        assert!(all.enter(key.expose(), CameraId(1), now).is_none());
        assert!(all.by_link("sig", CameraId(1), now).is_none());
        assert!(all.by_link("other", CAMERA, now).is_none());
        assert!(all.enter("other", CAMERA, now).is_none());
        assert!(all.enter(key.expose(), CAMERA, now + Duration::from_secs(10)).is_none());
        all.end(&lease);
        assert!(all.enter(key.expose(), CAMERA, now).is_none());
    }

    #[test]
    fn ended_sessions_do_not_pile_up() {
        let (all, now) = (Viewings::default(), Mono::now());
        for _ in 0..2 * SWEEP_ABOVE {
            drop(all.begin(&Secret::random(16), viewing(now, Duration::ZERO), now));
        }
        assert!(all.all().len() <= SWEEP_ABOVE + 1);
    }
}
