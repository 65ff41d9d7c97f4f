//! Downloads by signed link: the link is judged when a download starts, which then goes on as
//! [`Sessions`] do, however long that takes.

use crate::auth::{Auth, Login, SessionLease, Sessions, is_link_late};
use crate::base::query::member;
use crate::base::{Mono, Result};

/// Downloads in progress, by the signature of their link. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Downloads(Sessions<Login>);

/// An answer being sent.
pub(super) type Lease = SessionLease<Login>;

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
        // The signature stands for path and login alike.
        let key = member(query, "sig").unwrap_or_default();
        match auth.check_signed(method, path, query) {
            Ok(login) => {
                let lease = self.0.begin(key, login.clone(), now);
                Ok((login, lease))
            }
            Err(e) if is_link_late(&e) => self.0.enter(key, now, |_| true).ok_or(e),
            Err(e) => Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::auth::Role;
    use crate::base::Clock;

    const PATH: &str = "/files/recordings/x.mp4";
    const QUARTER: Duration = Duration::from_secs(15 * 60);
    const GRACE: Duration = Duration::from_secs(30);

    fn setup(dir: &tempfile::TempDir, ttl: Duration) -> (Auth, String) {
        let auth = Auth::open(dir.path(), None, Clock::new(), 0).unwrap();
        let login = auth.verify(auth.mint(Role::Viewer, "ann", ttl).unwrap().expose()).unwrap();
        let query = auth.sign_path(&login, PATH);
        (auth, query)
    }

    /// The link's own clock cannot be moved; what a link that is late meets is the table.
    fn late(all: &Downloads, now: Mono) -> bool {
        all.0.login_of(now, |_| true).is_some()
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
        assert!(!late(&all, Mono::now()));
    }
}
