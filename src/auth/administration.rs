//! What administrators do with the room: API keys, the audit log, another secret.

use std::net::IpAddr;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{ApiKey, Auth, NewApiKey, Role, audit, key_ring};
use crate::base::{Error, ErrorKind, Mono, Result};
use crate::store::{AuditRow, Store};

/// What somebody did, for the audit log. No secret, path or query in it.
pub struct Deed {
    /// Who; none before a log-in.
    pub user: Option<String>,
    /// From where; none: the box itself.
    pub address: Option<IpAddr>,
    /// The method, or what else was tried.
    pub action: &'static str,
    /// What it was done to: a camera, a file, a key.
    pub target: Option<String>,
    /// Why it was not done.
    pub failed: Option<ErrorKind>,
}

impl Auth {
    /// Takes in the API keys that `store` has, and keeps changes there from now on.
    pub async fn keep_keys_in(&self, store: Store) -> Result<()> {
        self.0.ring.load(store.clone()).await?;
        let _ = self.0.store.set(store);
        Ok(())
    }

    /// Notes what somebody did or was refused; waits for nothing.
    pub fn audit(&self, deed: Deed) {
        let entry = AuditRow {
            at_us: self.0.clock.wall_us(),
            user: deed.user,
            address: deed.address.map(|address| address.to_canonical().to_string()),
            action: deed.action.to_owned(),
            target: deed.target,
            result: deed.failed.map_or("ok".to_owned(), |kind| kind.rpc_code().to_string()),
        };
        self.0.audit.note(entry, Mono::now());
    }

    /// Part of the audit log, newest first, and how many entries there are in all.
    pub async fn audit_log(&self, limit: u32, offset: u32) -> Result<(Vec<AuditRow>, u64)> {
        let store = self.store()?;
        if let Err(error) = self.write_audit().await {
            tracing::debug!("the newest entries of the audit log are not written: {}", error.chain());
        }
        store.audit(limit, offset).await
    }

    /// Writes down what the audit log was told so far.
    pub async fn write_audit(&self) -> Result<()> {
        match self.0.store.get() {
            Some(store) => self.0.audit.write(store).await,
            None => Ok(()),
        }
    }

    /// Writes down what the audit log was told, until `stop`.
    pub async fn keep_audit(self, stop: CancellationToken) {
        loop {
            let goes_on = stop.run_until_cancelled(tokio::time::sleep(audit::EVERY)).await.is_some();
            if let Err(error) = self.write_audit().await {
                tracing::debug!("the audit log waits: {}", error.chain());
            }
            if !goes_on {
                return;
            }
        }
    }

    /// Every API key, newest first.
    pub fn api_keys(&self) -> Vec<ApiKey> {
        self.0.ring.list()
    }

    /// Makes an API key that expires after `lasts`, or never.
    pub async fn create_api_key(&self, role: Role, name: &str, lasts: Option<Duration>) -> Result<NewApiKey> {
        self.0.ring.create(role, name, lasts, self.0.clock.wall_us()).await
    }

    /// Makes an API key in place of another one, which ends after `overlap`; answers with when that is,
    /// microseconds since 1970.
    pub async fn rotate_api_key(
        &self,
        id: &str,
        overlap: Duration,
        lasts: Option<Duration>,
    ) -> Result<(NewApiKey, i64)> {
        self.0.ring.rotate(id, overlap, lasts, self.0.clock.wall_us()).await
    }

    /// Ends an API key and whatever goes on in its name, at once.
    pub async fn revoke_api_key(&self, id: &str) -> Result<()> {
        self.0.ring.revoke(id).await
    }

    /// Makes another secret for the box; what the former one signed counts for `grace` more. Answers with
    /// until when that is, microseconds since 1970.
    pub async fn rotate_secret(&self, grace: Duration) -> Result<i64> {
        let auth = self.clone();
        let wall_us = self.0.clock.wall_us();
        let rotated = tokio::task::spawn_blocking(move || auth.0.secrets.rotate(grace, wall_us));
        rotated.await.map_err(Error::internal)?
    }

    /// Follows the expiry of keys and former secrets and notes the keys' use, until `stop`.
    pub async fn look_after_keys(self, stop: CancellationToken) {
        let mut noted = Mono::now();
        while stop.run_until_cancelled(tokio::time::sleep(Duration::from_secs(1))).await.is_some() {
            let wall_us = self.0.clock.wall_us();
            self.0.ring.sweep(wall_us);
            self.0.secrets.sweep(wall_us);
            if Mono::now().since(noted) >= key_ring::NOTE_USE {
                self.0.ring.note_use().await;
                noted = Mono::now();
            }
        }
        self.0.ring.note_use().await;
    }

    /// As [`Auth::failed`] for a request over HTTP, which the audit log is told of; `near`: of the box itself.
    pub fn failed_over_http(&self, address: IpAddr, near: bool) -> Duration {
        self.audit_stranger((!near).then_some(address), "http");
        self.failed(address)
    }

    /// Tells the audit log of a reader of streams that was refused.
    pub fn refused_over_rtsp(&self, address: Option<IpAddr>) {
        self.audit_stranger(address.filter(|a| !a.to_canonical().is_loopback()), "rtsp");
    }

    fn audit_stranger(&self, address: Option<IpAddr>, action: &'static str) {
        self.audit(Deed { user: None, address, action, target: None, failed: Some(ErrorKind::AuthFailed) });
    }
}
