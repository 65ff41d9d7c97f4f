//! What goes on beyond its link: downloads, and whoever watches. A login is judged when one begins; it
//! then goes on for as long as requests come within 30 s of each other and the login is valid.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Login;
use crate::base::Mono;

/// The longest pause within a session (contract.md).
const GRACE: Duration = Duration::from_secs(30);
/// Ended sessions are forgotten when there are more entries than this.
const SWEEP_ABOVE: usize = 1024;

/// Sessions in progress, each under a key that only its client has. Clones are the same.
pub struct Sessions<T>(Arc<Mutex<HashMap<String, Entry<T>>>>);

struct Entry<T> {
    session: T,
    seen: Mono,
    /// Answers being sent.
    open: usize,
}

/// An answer being sent: as long as it is, its session is in use.
pub struct SessionLease<T: AsRef<Login>> {
    sessions: Sessions<T>,
    key: String,
}

impl<T: AsRef<Login>> Sessions<T> {
    /// Begins a session, or goes on with the one that has this key, with an answer to be sent.
    pub fn begin(&self, key: &str, session: T, now: Mono) -> SessionLease<T> {
        let mut all = self.all();
        if all.len() > SWEEP_ABOVE {
            all.retain(|_, e| e.is_live(now));
        }
        let entry = all.entry(key.to_owned()).or_insert(Entry { session, seen: now, open: 0 });
        entry.seen = now;
        entry.open += 1;
        self.lease(key)
    }

    /// Another request of a session that `fits`; none when there is no such session, or not any more.
    pub fn enter(&self, key: &str, now: Mono, fits: impl Fn(&T) -> bool) -> Option<(T, SessionLease<T>)>
    where
        T: Clone,
    {
        let mut all = self.all();
        let entry = all.get_mut(key).filter(|e| fits(&e.session) && e.is_live(now))?;
        entry.seen = now;
        entry.open += 1;
        Some((entry.session.clone(), self.lease(key)))
    }

    /// The login of a session that goes on and `fits`.
    pub fn login_of(&self, now: Mono, fits: impl Fn(&T) -> bool) -> Option<Login> {
        let all = self.all();
        let found = all.values().find(|e| fits(&e.session) && e.is_live(now))?;
        Some(found.session.as_ref().clone())
    }

    /// Ends a session.
    pub fn end(&self, lease: &SessionLease<T>) {
        self.all().remove(&lease.key);
    }

    fn lease(&self, key: &str) -> SessionLease<T> {
        SessionLease { sessions: self.clone(), key: key.to_owned() }
    }
}

impl<T> Sessions<T> {
    fn all(&self) -> MutexGuard<'_, HashMap<String, Entry<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: AsRef<Login>> Entry<T> {
    fn is_live(&self, now: Mono) -> bool {
        self.session.as_ref().is_valid(now) && (self.open > 0 || now.since(self.seen) < GRACE)
    }
}

impl<T: AsRef<Login>> Drop for SessionLease<T> {
    fn drop(&mut self) {
        if let Some(entry) = self.sessions.all().get_mut(&self.key) {
            entry.open = entry.open.saturating_sub(1);
            entry.seen = Mono::now();
        }
    }
}

impl<T> Clone for Sessions<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Sessions<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl AsRef<Login> for Login {
    fn as_ref(&self) -> &Login {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Role, Standing};

    fn login(now: Mono, valid: Duration) -> Login {
        Login {
            user: "ann".into(),
            role: Role::Viewer,
            issued_us: 0,
            expires_us: 0,
            deadline: now + valid,
            token_id: "abcdefghijkl".into(),
            standing: Standing::default(),
        }
    }

    fn hour(now: Mono) -> Login {
        login(now, Duration::from_secs(3600))
    }

    #[test]
    fn a_session_goes_on_while_requests_come_and_answers_are_sent() {
        let (all, now) = (Sessions::default(), Mono::now());
        let enter = |now| all.enter("key", now, |_| true);
        let first = all.begin("key", hour(now), now);
        assert!(enter(now + GRACE * 3).is_some(), "an answer is being sent");
        drop(first);
        assert!(enter(Mono::now() + GRACE - Duration::from_secs(1)).is_some());
        assert!(all.login_of(Mono::now(), |_| true).is_some());
        assert!(enter(Mono::now() + GRACE).is_none());
        assert!(all.login_of(Mono::now() + GRACE, |_| true).is_none());
    }

    #[test]
    fn it_ends_with_its_login_or_when_it_is_ended_and_is_for_whom_it_fits() {
        let (all, now) = (Sessions::default(), Mono::now());
        let lease = all.begin("key", login(now, Duration::from_secs(10)), now);
        let enter =
            |key: &str, seconds| all.enter(key, now + Duration::from_secs(seconds), |l| l.user == "ann");
        assert!(enter("key", 9).is_some());
        assert!(enter("key", 10).is_none());
        assert!(enter("other", 0).is_none());
        assert!(all.enter("key", now, |l| l.user == "bob").is_none());
        assert!(all.login_of(now, |l| l.user == "bob").is_none());
        all.end(&lease);
        assert!(enter("key", 0).is_none());
    }

    #[test]
    fn one_that_begins_again_is_the_same_until_its_last_answer_is_sent() {
        let (all, now) = (Sessions::default(), Mono::now());
        let (first, second) = (all.begin("key", hour(now), now), all.begin("key", hour(now), now));
        drop(first);
        assert!(all.login_of(now + GRACE * 2, |_| true).is_some());
        drop(second);
        assert!(all.login_of(now + GRACE * 2, |_| true).is_none());
    }

    #[test]
    fn ended_sessions_do_not_pile_up() {
        let (all, now) = (Sessions::default(), Mono::now());
        for n in 0..2 * SWEEP_ABOVE {
            drop(all.begin(&n.to_string(), login(now, Duration::ZERO), now));
        }
        assert!(all.all().len() <= SWEEP_ABOVE + 1);
    }
}
