//! One key of the ring.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::auth::standing::Basis;
use crate::auth::{Role, Standing, api_key};
use crate::base::{Mono, Result, Secret};
use crate::store::ApiKeyRow;

/// The last second that can be printed: when a key without expiry expires.
pub(super) const NEVER_US: i64 = 253_402_300_799_000_000;

/// A key as an administrator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id.
    pub id: String,
    /// What its maker calls it.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Microseconds since 1970.
    pub created_us: i64,
    /// The same; none: never.
    pub expires_us: Option<i64>,
    /// The same; none: not yet used.
    pub used_us: Option<i64>,
}

/// A key that was just made; what is secret in it is shown this once.
pub struct NewApiKey {
    /// As it is listed.
    pub shown: ApiKey,
    /// The key itself.
    pub key: Secret,
    /// The user name that reads streams.
    pub stream_user: String,
    /// Its password.
    pub stream_password: Secret,
}

impl ApiKey {
    /// Whether a text could be a key's id.
    pub fn is_id(text: &str) -> bool {
        api_key::is_id(text)
    }

    /// Whether a text could be a key.
    pub fn is_key(text: &str) -> bool {
        let secret = |text: &str| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        api_key::id_of(text).is_some() && text.rsplit('_').next().is_some_and(secret)
    }

    /// What is kept of a key that was made elsewhere, from when it is taken in; none: it is no key.
    pub fn record(key: &Secret, name: &str, role: Role) -> Option<ApiKeyRow> {
        let id = api_key::id_of(key.expose())?;
        let stream = api_key::hash(api_key::stream_password(key).expose());
        Some(Self::record_of_hash(id, api_key::hash(key.expose()), Some(stream), name, role))
    }

    /// The same for one that is not known itself; without the hash of its stream password it reads no streams
    /// over RTSP.
    pub fn record_of_hash(
        id: &str,
        key_hash: [u8; 32],
        stream_hash: Option<[u8; 32]>,
        name: &str,
        role: Role,
    ) -> ApiKeyRow {
        // Of no password that anybody knows.
        let nobody = || api_key::hash(Secret::random(32).expose());
        ApiKeyRow {
            id: id.to_owned(),
            name: name.to_owned(),
            role: role.word().to_owned(),
            key_hash,
            stream_hash: stream_hash.unwrap_or_else(nobody),
            created_us: 0,
            expires_us: None,
            used_us: None,
        }
    }

    /// Refuses a name that would not stand in a list or a log.
    pub fn check_name(name: &str) -> Result<()> {
        api_key::check_name(name)
    }
}

#[derive(Clone)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) key_hash: [u8; 32],
    pub(super) stream_hash: [u8; 32],
    pub(super) created_us: i64,
    pub(super) expires_us: i64,
    used: Arc<Used>,
    basis: Arc<Basis>,
    /// Its log-ins were ended at its expiry.
    ended: bool,
}

/// When a key was used last, and which of its uses the database knows; 0: never.
struct Used {
    last_us: AtomicI64,
    noted_us: AtomicI64,
}

impl Entry {
    pub(super) fn of(row: ApiKeyRow, role: Role) -> Self {
        let used = row.used_us.unwrap_or_default();
        Self {
            name: row.name,
            role,
            key_hash: row.key_hash,
            stream_hash: row.stream_hash,
            created_us: row.created_us,
            expires_us: row.expires_us.unwrap_or(NEVER_US),
            used: Arc::new(Used { last_us: used.into(), noted_us: used.into() }),
            basis: Arc::default(),
            ended: false,
        }
    }

    /// The same key with another expiry; its log-ins go on until then.
    pub(super) fn until(&self, expires_us: i64) -> Self {
        Self { expires_us, ended: false, ..self.clone() }
    }

    /// Ends every log-in of it.
    pub(super) fn withdraw(&self) {
        self.basis.withdraw();
    }

    /// Whether it expired and log-ins of it may still go on.
    pub(super) fn is_late(&self, wall_us: i64) -> bool {
        self.expires_us <= wall_us && !self.ended
    }

    /// The same key without its log-ins. The clock may have been wrong, and the key may be good again when
    /// that is set.
    pub(super) fn without_log_ins(&self) -> Self {
        Self { basis: Arc::default(), ended: true, ..self.clone() }
    }

    /// When it ends on the clock that does not step; none when that is over.
    pub(super) fn deadline(&self, wall_us: i64) -> Option<Mono> {
        let left_us = self.expires_us.saturating_sub(wall_us);
        (left_us > 0 && !self.basis.is_over())
            .then(|| Mono::now() + Duration::from_micros(left_us.unsigned_abs()))
    }

    /// What its log-ins rest on.
    pub(super) fn standing(&self) -> Standing {
        Standing::of_api_key(&self.basis)
    }

    /// Remembers that it was used.
    pub(super) fn use_at(&self, wall_us: i64) {
        self.used.last_us.store(wall_us, Ordering::Relaxed);
    }

    /// When it was used last, if that is not written down.
    pub(super) fn use_to_note(&self) -> Option<i64> {
        let last_us = self.used.last_us.load(Ordering::Relaxed);
        (last_us != self.used.noted_us.load(Ordering::Relaxed)).then_some(last_us)
    }

    /// That use is written down.
    pub(super) fn use_noted(&self, used_us: i64) {
        self.used.noted_us.store(used_us, Ordering::Relaxed);
    }

    pub(super) fn shown(&self, id: &str) -> ApiKey {
        let used_us = self.used.last_us.load(Ordering::Relaxed);
        ApiKey {
            id: id.to_owned(),
            name: self.name.clone(),
            role: self.role,
            created_us: self.created_us,
            expires_us: Some(self.expires_us).filter(|us| *us < NEVER_US),
            used_us: Some(used_us).filter(|us| *us != 0),
        }
    }
}
