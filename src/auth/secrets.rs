//! The box's secret, and those it had before for as long as they still count.
//!
//! Whatever a secret signed ends with it: tokens, links and stream passwords alike. A log-in stays with
//! the secret that its token was made with, and what it is given is signed with that one, so that nothing
//! outlives a former secret.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Mutex;

use super::keys::Keys;
use super::{SECRET_MIN_BYTES, secret_file};
use crate::base::{Error, ErrorKind, Result, Secret};

/// Former secrets that count at once: a bad token is tried with each of them.
const FORMER_MAX: usize = 8;

pub(super) struct Secrets {
    all: RwLock<Arc<Generations>>,
    /// Where they are kept; none: the secret is configured.
    dir: Option<PathBuf>,
    /// One change at a time. Waited for on blocking threads alone.
    changing: Mutex<()>,
}

struct Generations {
    current: Arc<Keys>,
    /// Each with the moment at which it ends, microseconds since 1970.
    former: Vec<(Arc<Keys>, i64)>,
}

impl Secrets {
    /// Reads what is kept below `dir`, making a secret when there is none; `configured` replaces it all.
    pub(super) fn open(dir: &Path, configured: Option<&Secret>, wall_us: i64) -> Result<Self> {
        let (secret, former) = match configured {
            Some(secret) => (secret.clone(), Vec::new()),
            None => (secret_file::read_or_make(dir)?, secret_file::read_former(dir, wall_us)),
        };
        if secret.expose().len() < SECRET_MIN_BYTES {
            return Err(Error::new(
                ErrorKind::Config,
                format!("auth.jwt_secret has {} bytes; {SECRET_MIN_BYTES} are needed", secret.expose().len()),
            ));
        }
        let former = former.iter().map(|f| (Arc::new(Keys::derive(&f.secret)), f.until_us)).collect();
        let all = Generations { current: Arc::new(Keys::derive(&secret)), former };
        let dir = configured.is_none().then(|| dir.to_owned());
        Ok(Self { all: RwLock::new(Arc::new(all)), dir, changing: Mutex::default() })
    }

    /// The keys that new credentials are made with.
    pub(super) fn current(&self) -> Arc<Keys> {
        self.all().current.clone()
    }

    /// Asks one set of keys after the other, the current one first, as long as what is judged `is_foreign`
    /// to them.
    pub(super) fn judge<T>(
        &self,
        is_foreign: fn(&Error) -> bool,
        ask: impl Fn(&Arc<Keys>) -> Result<T>,
    ) -> Result<T> {
        let all = self.all();
        let mut answer = ask(&all.current);
        for (keys, _) in &all.former {
            if !answer.as_ref().err().is_some_and(is_foreign) {
                break;
            }
            answer = ask(keys);
        }
        answer
    }

    /// Whether the keys with this tag still count.
    pub(super) fn has(&self, tag: &str) -> bool {
        let all = self.all();
        all.current.tag == tag || all.former.iter().any(|(keys, _)| keys.tag == tag)
    }

    /// Makes a new secret; the former one counts for `grace` more. Answers with until when, microseconds
    /// since 1970. Blocks.
    pub(super) fn rotate(&self, grace: Duration, wall_us: i64) -> Result<i64> {
        let Some(dir) = &self.dir else {
            let message = "the box's secret is part of its configuration";
            return Err(Error::state(message, "CONFIGURED", &["GENERATED"]).with(
                "suggestion",
                "change auth.jwt_secret where it is configured, and start the box again",
            ));
        };
        let _turn = self.changing.blocking_lock();
        self.end_late(wall_us);
        if self.all().former.len() >= FORMER_MAX {
            let message = format!("{FORMER_MAX} former secrets still count");
            return Err(
                Error::state(message, "FULL", &["FREE"]).with("suggestion", "wait until one of them ends")
            );
        }
        let until_us = wall_us.saturating_add(i64::try_from(grace.as_micros()).unwrap_or(i64::MAX));
        let secret = secret_file::rotate(dir, until_us, wall_us)?;
        let all = self.all();
        let mut former = vec![(all.current.clone(), until_us)];
        former.extend(all.former.iter().cloned());
        self.set(Generations { current: Arc::new(Keys::derive(&secret)), former });
        Ok(until_us)
    }

    /// Ends what a former secret signed, once its time is over.
    pub(super) fn sweep(&self, wall_us: i64) {
        // Never waits for the disk; a change under way sweeps itself.
        if let Ok(_turn) = self.changing.try_lock() {
            self.end_late(wall_us);
        }
    }

    fn end_late(&self, wall_us: i64) {
        let all = self.all();
        if all.former.iter().all(|(_, until_us)| *until_us > wall_us) {
            return;
        }
        let (stay, ended): (Vec<_>, Vec<_>) =
            all.former.iter().cloned().partition(|(_, until_us)| *until_us > wall_us);
        self.set(Generations { current: all.current.clone(), former: stay });
        for (keys, _) in ended {
            keys.basis.withdraw();
        }
    }

    fn all(&self) -> Arc<Generations> {
        self.all.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, all: Generations) {
        *self.all.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Auth, Role};
    use crate::base::Clock;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_former_secret_counts_for_its_grace_also_after_a_restart_and_then_nothing_of_it_does() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::new();
        let auth = Auth::open(dir.path(), None, clock.clone(), 0).unwrap();
        let token = auth.mint(Role::Viewer, "ann", 2 * HOUR).unwrap();
        let before = auth.verify(token.expose()).unwrap();
        let link = auth.sign_path(&before, "/files/x");
        let (user, password) = auth.stream_credential(&before);

        let secrets = &auth.0.secrets;
        let until_us = secrets.rotate(HOUR, clock.wall_us()).unwrap();
        let new = auth.mint(Role::Viewer, "ann", HOUR).unwrap();
        let again = Auth::open(dir.path(), None, clock.clone(), 0).unwrap();
        for auth in [&auth, &again] {
            for token in [&token, &new] {
                assert_eq!(auth.verify(token.expose()).unwrap().user, "ann");
            }
            assert!(auth.check_signed("GET", "/files/x", &link).is_ok());
            assert!(auth.check_stream(&user, password.expose()).is_ok());
            assert!(auth.may_go_on(&user));
        }
        // What a log-in of before is given now ends with its secret too.
        let late = auth.sign_path(&before, "/files/x");
        let last = auth.stream_credential(&before);

        secrets.sweep(until_us - 1);
        assert!(before.is_valid(crate::base::Mono::now()));
        secrets.sweep(until_us);
        assert!(!before.is_valid(crate::base::Mono::now()), "open sockets too");
        assert!(auth.verify(token.expose()).is_err());
        assert!(auth.verify(new.expose()).is_ok());
        for link in [&link, &late] {
            assert!(auth.check_signed("GET", "/files/x", link).is_err());
        }
        for (user, password) in [(&user, &password), (&last.0, &last.1)] {
            assert!(auth.check_stream(user, password.expose()).is_err());
            assert!(!auth.may_go_on(user), "viewers are sent away");
        }
        assert_eq!(Secrets::open(dir.path(), None, until_us).unwrap().all().former.len(), 0);
    }

    #[test]
    fn only_so_many_former_secrets_count_and_a_configured_one_stays() {
        let dir = tempfile::tempdir().unwrap();
        let secrets = Secrets::open(dir.path(), None, 0).unwrap();
        for n in 0..FORMER_MAX {
            secrets.rotate(HOUR, n as i64).unwrap();
        }
        assert_eq!(secrets.rotate(HOUR, 0).unwrap_err().kind(), ErrorKind::InvalidState);
        // Once their time is over there is room again.
        secrets.rotate(HOUR, 2 * 3600 * 1_000_000).unwrap();
        assert_eq!(secrets.all().former.len(), 1);
        let configured = Secret::new("0123456789abcdef0123456789abcdef");
        let secrets = Secrets::open(dir.path(), Some(&configured), 0).unwrap();
        assert_eq!(secrets.rotate(HOUR, 0).unwrap_err().kind(), ErrorKind::InvalidState);
    }
}
