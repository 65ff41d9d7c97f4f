//! The API keys of the box: judged from memory, kept in the database.
//!
//! A key is withdrawn in memory first and at once, whatever the database does; its use is noted there
//! once a minute at most. Costs about 400 bytes a key, and 1 µs a check.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::api_key::{self, hash, same};
use super::{Login, Role, Standing, refused};
use crate::base::{Clock, Error, Mono, Result, Secret};
use crate::store::{ApiKeyRow, Store};

/// Nobody hands out so many; a list stays short enough to look through.
const KEYS_MAX: usize = 1000;
/// The last second that can be printed: when a key without expiry expires.
const NEVER_US: i64 = 253_402_300_799_000_000;
/// How long the use of a key may stay unwritten.
pub(super) const NOTE_USE: Duration = Duration::from_secs(60);
/// Before the token id of a login by key; no token's own has a dot.
const KEY_MARK: &str = "k.";
/// Before the id in the user name that reads streams with a key's own password.
const STREAM_MARK: &str = "key-";

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

struct Entry {
    name: String,
    role: Role,
    key_hash: [u8; 32],
    stream_hash: [u8; 32],
    created_us: i64,
    expires_us: i64,
    /// 0: never.
    used_us: AtomicI64,
    noted_us: AtomicI64,
    withdrawn: CancellationToken,
    /// Its log-ins were ended at its expiry.
    ended: bool,
}

impl ApiKey {
    /// Whether a text could be a key's id.
    pub fn is_id(text: &str) -> bool {
        api_key::is_id(text)
    }

    /// Refuses a name that would not stand in a list or a log.
    pub fn check_name(name: &str) -> Result<()> {
        api_key::check_name(name)
    }
}

#[derive(Default)]
pub(super) struct KeyRing {
    all: RwLock<HashMap<String, Arc<Entry>>>,
    store: OnceLock<Store>,
}

impl KeyRing {
    /// Takes in the keys of `store`, and keeps changes there from now on.
    pub(super) async fn load(&self, store: Store) -> Result<()> {
        let rows = store.api_keys().await?;
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        for row in rows {
            let Ok(role) = row.role.parse() else {
                tracing::warn!(id = row.id, "an API key has a role that this version does not know");
                continue;
            };
            all.insert(row.id.clone(), Arc::new(Entry::of(row, role)));
        }
        drop(all);
        let _ = self.store.set(store);
        Ok(())
    }

    /// Logs in with a key.
    pub(super) fn verify(&self, key: &str, clock: &Clock) -> Result<Login> {
        let bad = |reason| refused(reason, "check the key, or make a new one with `fieldcam key create`");
        let given = hash(key);
        let found = api_key::id_of(key).and_then(|id| Some((id, self.get(id)?)));
        let Some((id, entry)) = found.filter(|(_, e)| same(&e.key_hash, &given)) else {
            return Err(bad("invalid_key"));
        };
        let wall_us = clock.wall_us();
        let deadline = entry.deadline(wall_us).ok_or_else(|| bad("key_expired"))?;
        entry.used_us.store(wall_us, Ordering::Relaxed);
        Ok(Login {
            user: format!("key:{}", entry.name),
            role: entry.role,
            issued_us: entry.created_us,
            expires_us: entry.expires_us,
            deadline,
            token_id: format!("{KEY_MARK}{id}"),
            standing: Standing::until(entry.withdrawn.clone()),
        })
    }

    /// What a token id of an earlier log-in rests on now; none: on a key that is gone.
    pub(super) fn standing(&self, token_id: &str) -> Option<Standing> {
        match token_id.strip_prefix(KEY_MARK) {
            None => Some(Standing::default()),
            Some(id) => self.get(id).map(|e| Standing::until(e.withdrawn.clone())),
        }
    }

    /// The id of the key that a stream's reader names itself after.
    pub(super) fn stream_user(user: &str) -> Option<&str> {
        user.strip_prefix(STREAM_MARK).filter(|id| api_key::is_id(id))
    }

    /// Until when a key's stream password opens.
    pub(super) fn check_stream(&self, id: &str, password: &str, wall_us: i64) -> Option<(i64, Mono)> {
        let given = hash(password);
        let entry = self.get(id).filter(|e| same(&e.stream_hash, &given))?;
        let deadline = entry.deadline(wall_us)?;
        entry.used_us.store(wall_us, Ordering::Relaxed);
        Some((entry.expires_us, deadline))
    }

    /// Whether a key is there and not expired.
    pub(super) fn is_good(&self, id: &str, wall_us: i64) -> bool {
        self.get(id).is_some_and(|e| e.deadline(wall_us).is_some())
    }

    /// Every key, newest first.
    pub(super) fn list(&self) -> Vec<ApiKey> {
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        let mut list: Vec<_> = all.iter().map(|(id, e)| e.shown(id)).collect();
        list.sort_by(|a, b| (b.created_us, &b.id).cmp(&(a.created_us, &a.id)));
        list
    }

    /// Makes a key that expires after `lasts`.
    pub(super) async fn create(
        &self,
        role: Role,
        name: &str,
        lasts: Option<Duration>,
        wall_us: i64,
    ) -> Result<NewApiKey> {
        api_key::check_name(name)?;
        self.make(role, name, lasts, wall_us, None).await
    }

    /// Makes a key in place of another one, which goes on for `overlap`.
    pub(super) async fn rotate(
        &self,
        id: &str,
        overlap: Duration,
        lasts: Option<Duration>,
        wall_us: i64,
    ) -> Result<(NewApiKey, i64)> {
        let former = self.get(id).ok_or_else(|| unknown(id))?;
        let until_us = after(wall_us, overlap).min(former.expires_us);
        let replaced = Some((id.to_owned(), until_us));
        let new = self.make(former.role, &former.name, lasts, wall_us, replaced).await?;
        Ok((new, until_us))
    }

    async fn make(
        &self,
        role: Role,
        name: &str,
        lasts: Option<Duration>,
        wall_us: i64,
        replaces: Option<(String, i64)>,
    ) -> Result<NewApiKey> {
        if self.all.read().unwrap_or_else(PoisonError::into_inner).len() >= KEYS_MAX {
            let message = format!("there are {KEYS_MAX} API keys already");
            return Err(
                Error::state(message, "FULL", &[]).with("suggestion", "revoke those that nobody uses")
            );
        }
        let (id, key) = api_key::make();
        let stream_password = api_key::stream_password(&key);
        let row = ApiKeyRow {
            id: id.clone(),
            name: name.to_owned(),
            role: role.word().to_owned(),
            key_hash: hash(key.expose()),
            stream_hash: hash(stream_password.expose()),
            created_us: wall_us,
            expires_us: lasts.map(|lasts| after(wall_us, lasts)),
            used_us: None,
        };
        self.store()?.add_api_key(row.clone(), replaces.clone()).await?;
        let entry = Arc::new(Entry::of(row, role));
        let shown = entry.shown(&id);
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        all.insert(id.clone(), entry);
        if let Some((id, until_us)) = replaces
            && let Some(former) = all.get_mut(&id)
        {
            *former = Arc::new(former.until(until_us));
        }
        drop(all);
        Ok(NewApiKey { shown, key, stream_user: format!("{STREAM_MARK}{id}"), stream_password })
    }

    /// Withdraws a key, at once.
    pub(super) async fn revoke(&self, id: &str) -> Result<ApiKey> {
        let gone = self.all.write().unwrap_or_else(PoisonError::into_inner).remove(id);
        if let Some(entry) = &gone {
            entry.withdrawn.cancel();
        }
        // Also when it is not in memory: an earlier try may have failed at the database.
        let removed = self.store()?.remove_api_key(id.to_owned()).await;
        let kept = |e: Error| {
            e.with("suggestion", "the key works no more until the box starts again; revoke it again before")
        };
        match (gone, removed.map_err(kept)?) {
            (Some(entry), _) => Ok(entry.shown(id)),
            (None, true) => Ok(ApiKey {
                id: id.to_owned(),
                name: String::new(),
                role: Role::Viewer,
                created_us: 0,
                expires_us: None,
                used_us: None,
            }),
            (None, false) => Err(unknown(id)),
        }
    }

    /// Ends log-ins of keys whose expiry was brought forward.
    pub(super) fn sweep(&self, wall_us: i64) {
        let is_late = |e: &Entry| e.expires_us <= wall_us && !e.ended;
        if !self.all.read().unwrap_or_else(PoisonError::into_inner).values().any(|e| is_late(e)) {
            return;
        }
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        for entry in all.values_mut().filter(|e| is_late(e)) {
            entry.withdrawn.cancel();
            // The clock may have been wrong, and the key may be good again when it is set.
            *entry = Arc::new(Entry {
                withdrawn: CancellationToken::new(),
                ended: true,
                ..entry.until(entry.expires_us)
            });
        }
    }

    /// Writes down which keys were used since the last time.
    pub(super) async fn note_use(&self) {
        let Some(store) = self.store.get() else { return };
        let used = self.used_since();
        if used.is_empty() {
            return;
        }
        let rows = used.iter().map(|(id, _, used)| (id.clone(), *used)).collect();
        match store.api_keys_used(rows).await {
            Ok(()) => used.iter().for_each(|(_, e, used)| e.noted_us.store(*used, Ordering::Relaxed)),
            Err(error) => tracing::debug!("the use of API keys was not noted: {}", error.chain()),
        }
    }

    /// Keys whose last use is not written down.
    fn used_since(&self) -> Vec<(String, Arc<Entry>, i64)> {
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        all.iter()
            .map(|(id, e)| (id, e, e.used_us.load(Ordering::Relaxed)))
            .filter(|(_, e, used)| *used != e.noted_us.load(Ordering::Relaxed))
            .map(|(id, e, used)| (id.clone(), e.clone(), used))
            .collect()
    }

    fn get(&self, id: &str) -> Option<Arc<Entry>> {
        self.all.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    fn store(&self) -> Result<&Store> {
        self.store.get().ok_or_else(|| Error::internal("API keys without a database"))
    }
}

impl Entry {
    fn of(row: ApiKeyRow, role: Role) -> Self {
        let used = row.used_us.unwrap_or_default();
        Self {
            name: row.name,
            role,
            key_hash: row.key_hash,
            stream_hash: row.stream_hash,
            created_us: row.created_us,
            expires_us: row.expires_us.unwrap_or(NEVER_US),
            used_us: used.into(),
            noted_us: used.into(),
            withdrawn: CancellationToken::new(),
            ended: false,
        }
    }

    /// The same key with another expiry; its log-ins go on until then.
    fn until(&self, expires_us: i64) -> Self {
        Self {
            name: self.name.clone(),
            role: self.role,
            key_hash: self.key_hash,
            stream_hash: self.stream_hash,
            created_us: self.created_us,
            expires_us,
            used_us: self.used_us.load(Ordering::Relaxed).into(),
            noted_us: self.noted_us.load(Ordering::Relaxed).into(),
            withdrawn: self.withdrawn.clone(),
            ended: false,
        }
    }

    /// When it ends on the clock that does not step; none when that is over.
    fn deadline(&self, wall_us: i64) -> Option<Mono> {
        let left_us = self.expires_us.saturating_sub(wall_us);
        (left_us > 0 && !self.withdrawn.is_cancelled())
            .then(|| Mono::now() + Duration::from_micros(left_us.unsigned_abs()))
    }

    fn shown(&self, id: &str) -> ApiKey {
        let used = self.used_us.load(Ordering::Relaxed);
        ApiKey {
            id: id.to_owned(),
            name: self.name.clone(),
            role: self.role,
            created_us: self.created_us,
            expires_us: Some(self.expires_us).filter(|us| *us < NEVER_US),
            used_us: Some(used).filter(|us| *us != 0),
        }
    }
}

fn after(wall_us: i64, lasts: Duration) -> i64 {
    wall_us.saturating_add(i64::try_from(lasts.as_micros()).unwrap_or(i64::MAX)).min(NEVER_US)
}

fn unknown(id: &str) -> Error {
    Error::not_found("Key", id).with("suggestion", "`fieldcam key list` and list_api_keys show the ids")
}
