//! Downloads by signed link: the link is judged when a download starts; it then goes on for as long
//! as requests come within [`GRACE`] and its login is valid, however long that takes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::auth::{Auth, Login};
use crate::base::query::member;
use crate::base::{Error, Mono, Result};

/// The longest pause within a download (contract.md).
const GRACE: Duration = Duration::from_secs(30);
/// Ended downloads are forgotten when there are more entries than this.
const SWEEP_ABOVE: usize = 1024;

/// Downloads in progress. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Downloads(Arc<Mutex<HashMap<String, Session>>>);

struct Session {
    login: Login,
    seen: Mono,
    /// Answers being sent.
    open: usize,
}

/// An answer being sent.
pub(super) struct Lease {
    downloads: Downloads,
    key: String,
}

impl Downloads {
    /// Lets a request for `path` with a signed `query` through, as whose it was made, or says why not.
    pub(super) fn enter(
        &self,
        auth: &Auth,
        method: &str,
        path: &str,
        query: &str,
        now: Mono,
    ) -> Result<(Login, Lease)> {
        let judged = auth.check_signed(method, path, query);
        // The signature stands for path and login alike.
        let key = member(query, "sig").unwrap_or_default().to_owned();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() > SWEEP_ABOVE {
            all.retain(|_, s| s.is_live(now));
        }
        let login = match judged {
            Ok(login) => {
                let new = Session { login: login.clone(), seen: now, open: 0 };
                let session = all.entry(key.clone()).or_insert(new);
                session.seen = now;
                session.open += 1;
                login
            }
            // Only an authentic link is told that it is too old.
            Err(e) if is_late(&e) => match all.get_mut(&key).filter(|s| s.is_live(now)) {
                Some(session) => {
                    session.seen = now;
                    session.open += 1;
                    session.login.clone()
                }
                None => return Err(e),
            },
            Err(e) => return Err(e),
        };
        drop(all);
        Ok((login, Lease { downloads: self.clone(), key }))
    }
}

fn is_late(e: &Error) -> bool {
    e.data().get("reason").is_some_and(|r| r == "link_expired")
}

impl Session {
    fn is_live(&self, now: Mono) -> bool {
        self.login.is_valid(now) && (self.open > 0 || now.since(self.seen) < GRACE)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut all = self.downloads.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = all.get_mut(&self.key) {
            session.open = session.open.saturating_sub(1);
            session.seen = Mono::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Role;
    use crate::base::Clock;

    const PATH: &str = "/files/recordings/x.mp4";
    const QUARTER: Duration = Duration::from_secs(15 * 60);

    fn setup(dir: &tempfile::TempDir, ttl: Duration) -> (Auth, String) {
        let auth = Auth::open(dir.path(), None, Clock::new(), 0).unwrap();
        let login = auth.verify(auth.mint(Role::Viewer, "ann", ttl).unwrap().expose()).unwrap();
        let query = auth.sign_path(&login, PATH);
        (auth, query)
    }

    /// The link's own clock cannot be moved; what a link that is late meets is the table.
    fn late(all: &Downloads, now: Mono) -> bool {
        all.0.lock().unwrap().values().any(|s| s.is_live(now))
    }

    #[test]
    fn a_download_goes_on_while_requests_come() {
        let dir = tempfile::tempdir().unwrap();
        let (auth, query) = setup(&dir, Duration::from_secs(3600));
        let all = Downloads::default();
        let now = Mono::now();
        let lease = all.enter(&auth, "GET", PATH, &query, now).unwrap();
        assert!(late(&all, now + QUARTER * 2), "as long as an answer is being sent");
        drop(lease);
        assert!(late(&all, Mono::now() + GRACE - Duration::from_secs(1)));
        assert!(!late(&all, Mono::now() + GRACE));
    }

    #[test]
    fn it_ends_with_its_login() {
        let dir = tempfile::tempdir().unwrap();
        let (auth, query) = setup(&dir, Duration::from_secs(60));
        let all = Downloads::default();
        let now = Mono::now();
        let _lease = all.enter(&auth, "GET", PATH, &query, now).unwrap();
        assert!(late(&all, now + Duration::from_secs(50)));
        assert!(!late(&all, now + Duration::from_secs(61)));
    }

    #[test]
    fn another_path_or_a_forged_link_starts_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (auth, query) = setup(&dir, Duration::from_secs(60));
        let all = Downloads::default();
        assert!(all.enter(&auth, "GET", "/files/recordings/y.mp4", &query, Mono::now()).is_err());
        assert!(all.enter(&auth, "GET", PATH, &query.replace("exp=", "exp=9"), Mono::now()).is_err());
        assert!(all.0.lock().unwrap().is_empty());
    }
}
