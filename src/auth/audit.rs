//! The audit log: noted in memory by whoever answers a call, written down by a task of its own.
//!
//! A call never waits for it. What is not yet written is bounded ([`WAITING_MAX`] entries, 300 KiB at
//! the very most) and tried again; a database that stays away costs the oldest of it, and a power cut
//! what is younger than [`EVERY`].

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::base::{Mono, Result};
use crate::log::redact;
use crate::store::{AuditRow, Store};

/// How long an entry waits for others; each write is a commit that wears the disk.
pub(super) const EVERY: Duration = Duration::from_secs(2);
/// Entries that wait at most.
const WAITING_MAX: usize = 1000;
/// The same refusal or log-in of the same somebody is noted once in this time.
const AGAIN: Duration = Duration::from_secs(10);
/// Refusals and log-ins remembered for that.
const RECENT_MAX: usize = 1024;
/// The table is cut to its size after so many entries.
const PRUNE_AFTER: usize = 100;
/// The longest text of an entry that came from outside, bytes.
const TEXT_MAX: usize = 128;
/// The result of what was done.
const DONE: &str = "ok";

#[derive(Default)]
pub(super) struct Audit {
    inner: Mutex<Inner>,
    /// One write at a time, so that entries stay in order.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Inner {
    waiting: VecDeque<AuditRow>,
    lost: usize,
    since_prune: usize,
    /// Refusals and log-ins, without their time.
    recent: HashMap<AuditRow, Mono>,
}

impl Audit {
    /// Notes an entry; its user and target are cut to what may stand in a log.
    pub(super) fn note(&self, mut entry: AuditRow, now: Mono) {
        entry.user = entry.user.map(|user| text(&user));
        entry.target = entry.target.filter(|target| is_plain(target));
        let mut inner = self.inner();
        if is_frequent(&entry) && !inner.is_news(&entry, now) {
            return;
        }
        if inner.waiting.len() >= WAITING_MAX {
            inner.waiting.pop_front();
            inner.lost += 1;
        }
        inner.waiting.push_back(entry);
    }

    /// Writes down what waits. What cannot be written waits on.
    pub(super) async fn write(&self, store: &Store) -> Result<()> {
        let _turn = self.writing.lock().await;
        let (batch, prune, lost) = self.inner().take();
        if batch.is_empty() {
            return Ok(());
        }
        let written = store.add_audit(batch.clone(), prune).await;
        let mut inner = self.inner();
        match &written {
            Ok(()) => {
                if lost > 0 {
                    tracing::warn!(lost, "entries of the audit log could not be written and are lost");
                }
                if prune {
                    inner.since_prune = 0;
                }
            }
            Err(_) => inner.put_back(batch, lost),
        }
        written
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn is_news(&mut self, entry: &AuditRow, now: Mono) -> bool {
        if self.recent.len() >= RECENT_MAX {
            self.recent.retain(|_, since| now.since(*since) < AGAIN);
            if self.recent.len() >= RECENT_MAX {
                // So many at once are a flood; the log of the box counts them.
                return false;
            }
        }
        let key = AuditRow { at_us: 0, ..entry.clone() };
        if self.recent.get(&key).is_some_and(|since| now.since(*since) < AGAIN) {
            return false;
        }
        self.recent.insert(key, now);
        true
    }

    /// What waits, whether the table is to be cut with it, and how many entries were lost before.
    fn take(&mut self) -> (Vec<AuditRow>, bool, usize) {
        let batch: Vec<_> = self.waiting.drain(..).collect();
        self.since_prune += batch.len();
        (batch, self.since_prune >= PRUNE_AFTER, std::mem::take(&mut self.lost))
    }

    fn put_back(&mut self, batch: Vec<AuditRow>, lost: usize) {
        self.lost += lost;
        for entry in batch.into_iter().rev() {
            if self.waiting.len() >= WAITING_MAX {
                self.lost += 1;
            } else {
                self.waiting.push_front(entry);
            }
        }
    }
}

/// What somebody may cause as often as they like.
fn is_frequent(entry: &AuditRow) -> bool {
    entry.result != DONE || entry.action == "authenticate"
}

/// A name from outside, without what could be a secret, on one line.
fn text(from: &str) -> String {
    let mut end = from.len().min(TEXT_MAX);
    while !from.is_char_boundary(end) {
        end -= 1;
    }
    redact(&from[..end]).chars().filter(|c| !c.is_control()).collect()
}

/// Whether a target is a name: no path, no query, nothing that looks like a secret.
fn is_plain(target: &str) -> bool {
    let odd = |c: char| c.is_control() || matches!(c, '/' | '\\' | '?' | '&' | '=' | '@' | ':');
    !target.is_empty()
        && target.len() <= TEXT_MAX
        && !target.contains(odd)
        && !target.contains("..")
        && redact(target) == target
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Mono = Mono(1_000_000_000_000);

    fn entry(user: &str, target: &str, result: &str) -> AuditRow {
        AuditRow {
            at_us: 1,
            user: Some(user.into()),
            address: Some("192.0.2.1".into()),
            action: "delete_recording".into(),
            target: Some(target.into()),
            result: result.into(),
        }
    }

    async fn written(audit: &Audit, store: &Store) -> Vec<AuditRow> {
        audit.write(store).await.unwrap();
        store.audit(100, 0).await.unwrap().0
    }

    #[tokio::test]
    async fn deeds_are_all_noted_and_refusals_once() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("t.db")).unwrap();
        let audit = Audit::default();
        for _ in 0..3 {
            audit.note(entry("ann", "a", "ok"), NOW);
            audit.note(entry("ann", "a", "-32002"), NOW);
        }
        audit.note(entry("bob", "a", "-32002"), NOW);
        audit.note(entry("ann", "a", "-32002"), NOW + AGAIN);
        let results: Vec<_> = written(&audit, &store).await.into_iter().map(|e| e.result).collect();
        assert_eq!(results, ["-32002", "-32002", "ok", "ok", "-32002", "ok"]);
    }

    #[tokio::test]
    async fn a_database_that_is_away_costs_the_oldest_and_delays_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.db");
        let store = Store::open(&path).unwrap();
        let audit = Audit::default();
        store.suspend("the data disk is gone").await.unwrap();
        audit.note(entry("first", "a", "ok"), NOW);
        assert!(audit.write(&store).await.is_err());
        for n in 0..WAITING_MAX {
            // Of one action fewer are kept.
            audit.note(AuditRow { action: n.to_string(), ..entry("ann", "a", "ok") }, NOW);
        }
        assert!(audit.write(&store).await.is_err());
        store.resume(&path).await.unwrap();
        audit.write(&store).await.unwrap();
        let (oldest, total) = store.audit(1, u32::try_from(WAITING_MAX).unwrap() - 1).await.unwrap();
        assert_eq!((total, oldest[0].user.as_deref()), (WAITING_MAX as u64, Some("ann")));
    }

    #[test]
    fn paths_queries_and_secrets_are_no_targets() {
        for bad in
            ["/etc/passwd", "../x", "a?sig=b", "rtsp://u:p@h/", "a\nb", "", "eyJhbGciOiJIUzI1NiJ9.e30.x"]
        {
            assert!(!is_plain(bad), "{bad}");
        }
        for good in ["camera0", "camera0_2025-01-15_14-30-00", "gate.jpg", "recorder hall", "0a1b2c3d4e"] {
            assert!(is_plain(good), "{good}");
        }
        assert_eq!(text("a\nb"), "ab");
        assert!(text(&"ü".repeat(200)).len() <= TEXT_MAX);
    }

    proptest! {
        #[test]
        fn no_text_panics(user in ".{0,300}", target in ".{0,300}") {
            Audit::default().note(entry(&user, &target, "ok"), NOW);
        }
    }
}
