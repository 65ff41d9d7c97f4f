//! Who is reading a recording, so that it is not deleted under a download.
//!
//! A lease holds for as long as bytes are taken: one that has made no progress for [`STALLED`] counts
//! no more, so that a laptop that was closed in the middle keeps nothing on the disk.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::base::{Error, Mono, RecordingName, Result};

/// Longest pause within a download.
const STALLED: Duration = Duration::from_secs(600);

/// All leases of the box. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Leases(Arc<Mutex<BTreeMap<RecordingName, Entry>>>);

#[derive(Debug, Default)]
struct Entry {
    readers: Vec<Reader>,
    deleting: bool,
}

#[derive(Clone, Debug)]
struct Reader {
    who: String,
    since: Mono,
    /// A [`Mono`].
    progress: Arc<AtomicU64>,
    revoked: Arc<AtomicBool>,
}

/// The right to read a recording's files; dropping it gives it back.
#[derive(Debug)]
pub struct Lease {
    leases: Leases,
    name: RecordingName,
    progress: Arc<AtomicU64>,
    revoked: Arc<AtomicBool>,
}

/// While this is held nobody starts to read.
#[derive(Debug)]
pub(super) struct Deleting {
    leases: Leases,
    name: RecordingName,
}

impl Leases {
    fn all(&self) -> MutexGuard<'_, BTreeMap<RecordingName, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn take(&self, name: &RecordingName, who: &str) -> Result<Lease> {
        let now = Mono::now();
        let progress = Arc::new(AtomicU64::new(now.0));
        let mut all = self.all();
        let entry = all.entry(name.clone()).or_default();
        if entry.deleting {
            return Err(Error::not_found("Recording", name));
        }
        let revoked = Arc::<AtomicBool>::default();
        entry.readers.push(Reader {
            who: who.to_owned(),
            since: now,
            progress: progress.clone(),
            revoked: revoked.clone(),
        });
        Ok(Lease { leases: self.clone(), name: name.clone(), progress, revoked })
    }

    pub(super) fn is_leased(&self, name: &RecordingName) -> bool {
        self.all().get(name).is_some_and(|e| e.reader(Mono::now()).is_some())
    }

    /// Ends the leases that there are, and says whose: the disk needs the room.
    pub(super) fn revoke(&self, name: &RecordingName) -> Vec<String> {
        let mut readers = Vec::new();
        self.tidy(name, |entry| readers = std::mem::take(&mut entry.readers));
        for reader in &readers {
            reader.revoked.store(true, Ordering::Relaxed);
        }
        readers.into_iter().map(|r| r.who).collect()
    }

    /// Keeps new readers away, or says who reads.
    pub(super) fn begin_delete(&self, name: &RecordingName) -> Result<Deleting> {
        let now = Mono::now();
        let mut all = self.all();
        let entry = all.entry(name.clone()).or_default();
        if entry.deleting {
            return Err(Error::not_found("Recording", name));
        }
        if let Some((reader, idle)) = entry.reader(now) {
            return Err(refusal(reader, now.since(reader.since), idle));
        }
        entry.deleting = true;
        Ok(Deleting { leases: self.clone(), name: name.clone() })
    }

    fn tidy(&self, name: &RecordingName, change: impl FnOnce(&mut Entry)) {
        let mut all = self.all();
        if let Some(entry) = all.get_mut(name) {
            change(entry);
            if entry.readers.is_empty() && !entry.deleting {
                all.remove(name);
            }
        }
    }
}

impl Entry {
    /// One that makes progress, and since when it has made none.
    fn reader(&self, now: Mono) -> Option<(&Reader, Duration)> {
        let idle = |r: &Reader| now.since(Mono(r.progress.load(Ordering::Relaxed)));
        self.readers.iter().map(|r| (r, idle(r))).filter(|(_, idle)| *idle < STALLED).min_by_key(|(_, i)| *i)
    }
}

fn refusal(reader: &Reader, since: Duration, idle: Duration) -> Error {
    let who = &reader.who;
    let left = (STALLED - idle.min(STALLED)).as_secs();
    let text = format!("the recording is being downloaded by {who} since {} s", since.as_secs());
    Error::state(text, "DOWNLOADING", &["STOPPED"])
        .with("reason", format!("downloaded by {who}"))
        .with(
            "suggestion",
            format!("wait for the download; a stalled one is given up in {left} s at the latest"),
        )
        .with("retry_after_ms", left * 1000)
}

impl Lease {
    /// Bytes were taken. `false` = what is read is being deleted: reading ends here.
    pub fn progress(&self) -> bool {
        self.progress.store(Mono::now().0, Ordering::Relaxed);
        !self.revoked.load(Ordering::Relaxed)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.leases.tidy(&self.name, |e| e.readers.retain(|r| !Arc::ptr_eq(&r.progress, &self.progress)));
    }
}

impl Drop for Deleting {
    fn drop(&mut self) {
        self.leases.tidy(&self.name, |e| e.deleting = false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ErrorKind;

    #[test]
    fn what_is_read_is_not_deleted_and_what_is_deleted_is_not_read() {
        let leases = Leases::default();
        let name: RecordingName = "camera0_x".parse().unwrap();
        let lease = leases.take(&name, "ann").unwrap();
        let second = leases.take(&name, "bob").unwrap();
        let refused = leases.begin_delete(&name).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidState);
        drop(lease);
        assert!(leases.is_leased(&name));
        assert!(leases.begin_delete(&name).unwrap_err().message().contains("bob"));
        drop(second);
        let deleting = leases.begin_delete(&name).unwrap();
        assert_eq!(leases.take(&name, "ann").unwrap_err().kind(), ErrorKind::NotFound);
        drop(deleting);
        assert!(leases.take(&name, "ann").is_ok());
        assert!(leases.all().is_empty());
    }

    #[test]
    fn a_revoked_lease_tells_its_reader_and_holds_nothing() {
        let leases = Leases::default();
        let name: RecordingName = "camera0_x".parse().unwrap();
        let lease = leases.take(&name, "ann").unwrap();
        assert!(lease.progress());
        assert_eq!(leases.revoke(&name), ["ann"]);
        assert!(!lease.progress());
        assert!(!leases.is_leased(&name));
        let later = leases.take(&name, "ann").unwrap();
        assert!(later.progress());
        drop(lease);
        assert!(leases.is_leased(&name));
        assert!(leases.revoke(&"camera0_y".parse().unwrap()).is_empty());
    }

    #[test]
    fn a_download_that_stands_still_holds_nothing() {
        let leases = Leases::default();
        let name: RecordingName = "camera0_x".parse().unwrap();
        let lease = leases.take(&name, "ann").unwrap();
        lease.progress.store((Mono::now() - STALLED).0, Ordering::Relaxed);
        assert!(!leases.is_leased(&name));
        lease.progress();
        assert!(leases.is_leased(&name));
        lease.progress.store((Mono::now() - STALLED).0, Ordering::Relaxed);
        assert!(leases.begin_delete(&name).is_ok());
    }
}
