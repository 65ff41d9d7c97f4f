//! Who may do what, and who did: the box's secret, tokens, API keys, signed links, stream passwords, call
//! rates, the audit log.
//!
//! Owns `secrets/jwt.key` (made at the first start, 0600), `jwt.former` and `keys.revoked` beside it, the
//! tables `api_keys` and `audit`, the buckets that count calls and the table of what goes on beyond its link.
//! Promises: only HS256 tokens made with the box's secret, or a former one within its grace, and keys of
//! this box log in; every link and stream password is made with a key derived from that secret for this one
//! use; comparisons take constant time; what is withdrawn ends at once wherever it is in use; and
//! no answer says more than that a credential is bad or expired. Costs a few microseconds a check, never a
//! query, and one small table entry for each user who called within the last minute.

mod administration;
mod api_key;
mod attempts;
mod audit;
mod bucket;
mod claim;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
mod hs256;
mod key_ring;
mod keys;
mod login;
mod refusal;
mod remembered;
mod revoked;
mod secret_file;
mod secrets;
mod sessions;
mod signed;
mod standing;
mod stream;
mod token;

use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub use administration::Deed;
pub use claim::{
    ClaimCode, ClaimFile, ClaimKey, Claimed, Meeting, NOT_CLAIMED, Nonce, Proof, from_hex, to_hex, unclaimed,
};
pub use key_ring::{ApiKey, NewApiKey};
pub use login::{Login, Role};
pub use refusal::{is_link_late, is_link_refused, link_refused, no_login, tls_needed};
pub use remembered::Remembered;
pub use sessions::{SessionLease, Sessions};
pub use standing::Standing;
pub use stream::StreamLogin;

use crate::base::clock::Trust;
use crate::base::{Clock, Error, ErrorKind, Mono, Result, Secret, peer};
use crate::store::Store;
use attempts::Attempts;
use audit::Audit;
use bucket::Buckets;
use claim::Desk;
use key_ring::KeyRing;
use keys::Keys;
use secrets::Secrets;

/// How long a signed link can be followed for the first time (contract.md, "HTTP").
pub const LINK_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// The HTTP header that carries an API key.
pub const API_KEY: &str = "x-api-key";

/// The fewest bytes that a secret may have (contract.md).
pub const SECRET_MIN_BYTES: usize = 32;

/// The room's handle; clones share everything.
#[derive(Clone)]
pub struct Auth(Arc<Inner>);

struct Inner {
    secrets: Secrets,
    clock: Clock,
    buckets: Buckets<String>,
    strangers: Buckets<IpAddr>,
    attempts: Attempts,
    ring: KeyRing,
    audit: Audit,
    desk: Desk,
    store: OnceLock<Store>,
}

impl Auth {
    /// Reads the secret below `secrets_dir`, making it when there is none; `configured` replaces it.
    pub fn open(
        secrets_dir: &Path,
        configured: Option<&Secret>,
        clock: Clock,
        calls_per_minute: u32,
    ) -> Result<Self> {
        Ok(Self(Arc::new(Inner {
            secrets: Secrets::open(secrets_dir, configured, clock.wall_us())?,
            clock,
            buckets: Buckets::new("user", calls_per_minute),
            strangers: Buckets::new("address before log-in", calls_per_minute),
            attempts: Attempts::default(),
            ring: KeyRing::new(secrets_dir),
            audit: Audit::default(),
            desk: Desk::new(ClaimFile::below(secrets_dir)),
            store: OnceLock::new(),
        })))
    }

    /// Logs in with a token or an API key.
    pub fn verify(&self, token: &str) -> Result<Login> {
        if token.starts_with(api_key::PREFIX) {
            return self.verify_key(token);
        }
        let inner = &*self.0;
        inner.desk.check()?;
        let (wall_us, now) = (inner.clock.wall_us(), Mono::now());
        inner.secrets.judge(token::is_foreign, |keys| {
            let login = token::verify(keys, token, wall_us, now, &|| inner.clock.trust() == Trust::Ntp)?;
            Ok(Login { standing: Standing::of_secret(keys), ..login })
        })
    }

    /// Logs in with an API key.
    pub fn verify_key(&self, key: &str) -> Result<Login> {
        self.0.desk.check()?;
        self.0.ring.verify(key, &self.0.clock)
    }

    /// As [`Auth::verify`] with the value of an HTTP `Authorization` header (RFC 6750). `None`: one
    /// that is not text.
    pub fn verify_header(&self, value: Option<&str>) -> Result<Login> {
        let bearer =
            value.and_then(|v| v.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        self.verify(bearer.map(|(_, token)| token.trim()).unwrap_or_default())
    }

    /// Whether a log-in rests on a token, and not on an API key.
    pub fn is_token(&self, login: &Login) -> bool {
        KeyRing::key_of(&login.token_id).is_none()
    }

    /// A token for `user`, valid from now for `ttl`.
    pub fn mint(&self, role: Role, user: &str, ttl: Duration) -> Result<Secret> {
        token::mint(&self.0.secrets.current(), role, user, self.0.clock.wall_us(), ttl)
    }

    /// The query (without `?`) that opens `path` by GET or HEAD for whoever holds it.
    pub fn sign_path(&self, login: &Login, path: &str) -> String {
        self.sign("GET", login, path)
    }

    /// As [`Self::sign_path`], to be followed for the first time within `lifetime`.
    pub fn sign_path_for(&self, login: &Login, path: &str, lifetime: Duration) -> String {
        signed::sign(&self.keys_for(login), "GET", path, Mono::now() + lifetime, login)
    }

    /// As [`Self::sign_path`] for another method.
    pub fn sign(&self, method: &str, login: &Login, path: &str) -> String {
        signed::sign(&self.keys_for(login), method, path, Mono::now() + LINK_LIFETIME, login)
    }

    /// The login behind a signed query. Other members of the query are ignored.
    pub fn check_signed(&self, method: &str, path: &str, query: &str) -> Result<Login> {
        self.0.desk.check()?;
        let (wall_us, now) = (self.0.clock.wall_us(), Mono::now());
        let (mut login, keys) = self.0.secrets.judge(signed::is_foreign, |keys| {
            Ok((signed::check(keys, method, path, query, now, wall_us)?, keys.clone()))
        })?;
        login.standing = self.standing(&login.token_id, &keys, wall_us).ok_or_else(gone)?;
        Ok(login)
    }

    /// Name and password that read streams, and do nothing else, until `login`'s token expires. The
    /// same for every socket that logged in with that token.
    pub fn stream_credential(&self, login: &Login) -> (String, Secret) {
        stream::credential(&self.keys_for(login), login)
    }

    /// Checks what a stream's reader sent.
    pub fn check_stream(&self, user: &str, password: &str) -> Result<StreamLogin> {
        self.0.desk.check()?;
        let wall_us = self.0.clock.wall_us();
        if let Some(id) = KeyRing::stream_user(user) {
            let (expires_us, deadline) = self.0.ring.check_stream(id, password, wall_us).ok_or_else(gone)?;
            return Ok(StreamLogin { expires_us, deadline, token_id: user.to_owned() });
        }
        let now = Mono::now();
        let (login, keys) = self.0.secrets.judge(stream::is_foreign, |keys| {
            Ok((stream::check(keys, user, password, wall_us, now)?, keys.clone()))
        })?;
        self.standing(&login.token_id, &keys, wall_us).ok_or_else(gone)?;
        Ok(login)
    }

    /// Whether a stream's reader who was let in as `user` may go on, as far as not expired.
    pub fn may_go_on(&self, user: &str) -> bool {
        let wall_us = self.0.clock.wall_us();
        let is_good = |key: &str| self.0.ring.standing(key, wall_us).is_some();
        match KeyRing::stream_user(user) {
            Some(key) => is_good(key),
            None => stream::parts(user).is_some_and(|(_, tag, token_id)| {
                self.0.secrets.has(tag) && KeyRing::key_of(token_id).is_none_or(is_good)
            }),
        }
    }

    fn store(&self) -> Result<&Store> {
        self.0.store.get().ok_or_else(|| Error::internal("the database is not open yet"))
    }

    /// What a credential for this token rests on, that was made with these keys; none: on nothing any more.
    fn standing(&self, token_id: &str, keys: &Arc<Keys>, wall_us: i64) -> Option<Standing> {
        match KeyRing::key_of(token_id) {
            Some(key) => self.0.ring.standing(key, wall_us),
            None => Some(Standing::of_secret(keys)).filter(|standing| !standing.is_revoked()),
        }
    }

    /// The keys for what a log-in is given: it ends with the secret that its token was made with.
    fn keys_for(&self, login: &Login) -> Arc<Keys> {
        login.standing.keys().cloned().unwrap_or_else(|| self.0.secrets.current())
    }

    /// Counts a failed log-in; answers with how long to wait before `address` is told. Nothing else of it,
    /// and nothing of other addresses, has to wait.
    pub fn failed(&self, address: IpAddr) -> Duration {
        self.0.attempts.failed(peer::counted(address), Mono::now())
    }

    /// Counts one call of `login`'s user; refuses when there were too many.
    pub fn admit(&self, login: &Login) -> Result<()> {
        self.0.buckets.admit(login.user.as_str(), Mono::now())
    }

    /// Counts one message from `address` on a socket that is not logged in; refuses when there were too
    /// many. As many as a user's calls: whoever shares an address with others can still log in.
    pub fn admit_stranger(&self, address: IpAddr) -> Result<()> {
        self.0.strangers.admit(&peer::counted(address), Mono::now())
    }
}

fn gone() -> Error {
    refused("key_revoked", "ask for a new key, then for the address again")
}

/// "Not logged in" in the contract's words; `reason` is a word for programs.
pub(crate) fn refused(reason: &str, suggestion: &str) -> Error {
    Error::new(ErrorKind::AuthFailed, "Authentication failed or token expired")
        .with("reason", reason)
        .with("suggestion", suggestion)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_survives_a_restart_and_a_short_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let first = Auth::open(dir.path(), None, Clock::new(), 0).unwrap();
        let token = first.mint(Role::Viewer, "ann", Duration::from_secs(60)).unwrap();
        let second = Auth::open(dir.path(), None, Clock::new(), 0).unwrap();
        assert_eq!(second.verify(token.expose()).unwrap().user, "ann");
        let Err(e) = Auth::open(dir.path(), Some(&Secret::new("x".repeat(31))), Clock::new(), 0) else {
            panic!("31 bytes were accepted");
        };
        assert_eq!(e.kind(), ErrorKind::Config);
        assert!(e.message().contains("31"), "{e}");
    }

    #[test]
    fn links_and_streams_of_one_box_do_not_open_another() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let a = Auth::open(a.path(), None, Clock::new(), 0).unwrap();
        let b = Auth::open(b.path(), None, Clock::new(), 0).unwrap();
        let token = a.mint(Role::Operator, "ann", Duration::from_secs(60)).unwrap();
        assert!(b.verify(token.expose()).is_err());
        let login = a.verify(token.expose()).unwrap();
        let query = a.sign_path(&login, "/files/snapshots/x.jpg");
        assert!(a.check_signed("HEAD", "/files/snapshots/x.jpg", &query).is_ok());
        assert!(b.check_signed("GET", "/files/snapshots/x.jpg", &query).is_err());
        let (user, password) = a.stream_credential(&login);
        assert!(a.check_stream(&user, password.expose()).is_ok());
        assert!(b.check_stream(&user, password.expose()).is_err());
    }
}
