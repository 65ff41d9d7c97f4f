//! The API keys of the box: judged from memory, kept in the database.
//!
//! A key is withdrawn in memory first and at once, whatever the database does; its use is noted there
//! once a minute at most, for all keys in one commit. Costs a few hundred bytes a key; a check is a look-up
//! by the key's id and one hash.

mod entry;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

pub use entry::{ApiKey, NewApiKey};

use super::api_key::{self, hash};
use super::keys::same;
use super::revoked::Revoked;
use super::{Login, Role, Standing, refused};
use crate::base::{Clock, Error, Mono, Result};
use crate::store::{ApiKeyRow, Store};
use entry::{Entry, NEVER_US};

/// Nobody hands out so many; a list stays short enough to look through.
const KEYS_MAX: usize = 1000;
/// How long the use of a key may stay unwritten.
pub(super) const NOTE_USE: Duration = Duration::from_secs(60);
/// Before the token id of a login by key; no token's own has a dot.
const KEY_MARK: &str = "k.";
/// Before the id in the user name that reads streams with a key's own password.
const STREAM_MARK: &str = "key-";

pub(super) struct KeyRing {
    all: RwLock<HashMap<String, Arc<Entry>>>,
    store: OnceLock<Store>,
    revoked: Arc<Revoked>,
}

impl KeyRing {
    /// Without keys; `dir` is where those that were revoked are noted.
    pub(super) fn new(dir: &Path) -> Self {
        Self { all: RwLock::default(), store: OnceLock::new(), revoked: Arc::new(Revoked::new(dir)) }
    }

    /// Takes in the keys of `store`, and keeps changes there from now on.
    pub(super) async fn load(&self, store: Store) -> Result<()> {
        let rows = store.api_keys().await?;
        let revoked = self.revoked.clone();
        let revoked = tokio::task::spawn_blocking(move || revoked.all()).await.map_err(Error::internal)?;
        let (back, rows): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| revoked.contains(&row.id));
        for row in back {
            tracing::warn!(id = row.id, "a revoked API key is still in the database; it goes again");
            if let Err(error) = store.remove_api_key(row.id).await {
                tracing::warn!("it stays there for now, and opens nothing: {}", error.chain());
            }
        }
        let mut all = self.write();
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
        entry.use_at(wall_us);
        Ok(Login {
            user: format!("key:{} {id}", entry.name),
            role: entry.role,
            issued_us: entry.created_us,
            expires_us: entry.expires_us,
            deadline,
            token_id: format!("{KEY_MARK}{id}"),
            standing: entry.standing(),
        })
    }

    /// The key's id in the token id of a log-in by key.
    pub(super) fn key_of(token_id: &str) -> Option<&str> {
        token_id.strip_prefix(KEY_MARK)
    }

    /// What log-ins by a key rest on; none: it is gone or expired.
    pub(super) fn standing(&self, id: &str, wall_us: i64) -> Option<Standing> {
        self.get(id).filter(|e| e.deadline(wall_us).is_some()).map(|e| e.standing())
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
        entry.use_at(wall_us);
        Some((entry.expires_us, deadline))
    }

    /// Every key, newest first.
    pub(super) fn list(&self) -> Vec<ApiKey> {
        let all = self.read();
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
        // Without an overlap the former one is over now.
        self.sweep(wall_us);
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
        let (new, row) = self.draft(role, name, lasts, wall_us)?;
        self.store()?.add_api_key(row.clone(), replaces.clone()).await?;
        self.enter(row, role);
        if let Some((id, until_us)) = replaces
            && let Some(former) = self.write().get_mut(&id)
        {
            *former = Arc::new(former.until(until_us));
        }
        Ok(new)
    }

    /// A key that is nowhere yet, and what is kept of it.
    pub(super) fn draft(
        &self,
        role: Role,
        name: &str,
        lasts: Option<Duration>,
        wall_us: i64,
    ) -> Result<(NewApiKey, ApiKeyRow)> {
        if self.read().len() >= KEYS_MAX {
            let message = format!("there are {KEYS_MAX} API keys already");
            let full = Error::state(message, "FULL", &["FREE"]);
            return Err(full.with("suggestion", "revoke those that nobody uses"));
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
        let shown = Entry::of(row.clone(), role).shown(&id);
        Ok((NewApiKey { shown, key, stream_user: format!("{STREAM_MARK}{id}"), stream_password }, row))
    }

    /// Takes in a key that the database has.
    pub(super) fn enter(&self, row: ApiKeyRow, role: Role) {
        self.write().insert(row.id.clone(), Arc::new(Entry::of(row, role)));
    }

    /// Withdraws a key, at once. It stays so when either the database or the file of revoked keys takes it.
    pub(super) async fn revoke(&self, id: &str) -> Result<()> {
        let gone = self.write().remove(id);
        let store = self.store()?;
        let Some(entry) = gone else {
            // An earlier try may have got no further than the memory.
            let removed = store.remove_api_key(id.to_owned()).await?;
            return if removed { Ok(()) } else { Err(unknown(id)) };
        };
        entry.withdraw();
        let (revoked, noted) = (self.revoked.clone(), id.to_owned());
        let noted =
            tokio::task::spawn_blocking(move || revoked.add(&noted)).await.map_err(Error::internal)?;
        match (store.remove_api_key(id.to_owned()).await, noted) {
            (Ok(_), Ok(())) => Ok(()),
            (Ok(_), Err(error)) => {
                tracing::warn!(id, %error, "the revoked key is noted in the database alone");
                Ok(())
            }
            (Err(error), Ok(())) => {
                tracing::warn!(id, "the revoked key is still in the database: {}", error.chain());
                Ok(())
            }
            (Err(error), Err(_)) => Err(error.with(
                "suggestion",
                "the key works no more until the box starts again; revoke it again when the disk is back",
            )),
        }
    }

    /// Ends log-ins of keys whose expiry was brought forward.
    pub(super) fn sweep(&self, wall_us: i64) {
        if !self.read().values().any(|e| e.is_late(wall_us)) {
            return;
        }
        for entry in self.write().values_mut().filter(|e| e.is_late(wall_us)) {
            entry.withdraw();
            *entry = Arc::new(entry.without_log_ins());
        }
    }

    /// Writes down which keys were used since the last time.
    pub(super) async fn note_use(&self) {
        let Some(store) = self.store.get() else { return };
        let used = self.used_since();
        if used.is_empty() {
            return;
        }
        let rows = used.iter().map(|(id, _, used_us)| (id.clone(), *used_us)).collect();
        match store.api_keys_used(rows).await {
            Ok(()) => used.iter().for_each(|(_, entry, used_us)| entry.use_noted(*used_us)),
            Err(error) => tracing::debug!("the use of API keys was not noted: {}", error.chain()),
        }
    }

    /// Keys whose last use is not written down.
    fn used_since(&self) -> Vec<(String, Arc<Entry>, i64)> {
        let used = |(id, e): (&String, &Arc<Entry>)| Some((id.clone(), e.clone(), e.use_to_note()?));
        self.read().iter().filter_map(used).collect()
    }

    fn get(&self, id: &str) -> Option<Arc<Entry>> {
        self.read().get(id).cloned()
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<String, Arc<Entry>>> {
        self.all.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<String, Arc<Entry>>> {
        self.all.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn store(&self) -> Result<&Store> {
        self.store.get().ok_or_else(|| Error::internal("API keys without a database"))
    }
}

fn after(wall_us: i64, lasts: Duration) -> i64 {
    wall_us.saturating_add(i64::try_from(lasts.as_micros()).unwrap_or(i64::MAX)).min(NEVER_US)
}

fn unknown(id: &str) -> Error {
    Error::not_found("Key", id).with("suggestion", "`fieldcam key list` and list_api_keys show the ids")
}

#[cfg(test)]
mod tests;
