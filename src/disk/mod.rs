//! The data disk: whether what is at the data directory is the right disk, and whether it takes what
//! is written.
//!
//! Owns the identity file (`DATA/disk-id`, made at the first start), the one descriptor of the data
//! directory that everything else goes through, the lock that keeps a second daemon away, and a task
//! that looks twice a second.
//!
//! Promises: whoever reaches the disk through [`DataDisk::held`] never writes to the bare mount point
//! or to another disk, not even in the moment between an unmount and the next look: the path leads to
//! the directory that was opened, wherever it is mounted, and nowhere once it was let go. A disk that
//! comes back is taken up again only when its identity is the same and it takes a write. Another disk
//! at the same place is refused until the daemon is started again. A disk that was let go is really
//! let go: nothing of this room keeps it from being repaired or detached.
//!
//! Costs one stat of a cached file and one statvfs every 500 ms; a small write is tried only after
//! something else failed to write, and twice a second as long as that does.

mod condition;
mod held;
mod identity;
mod look;
mod temporary;
mod watch;

pub use condition::Condition;
pub use temporary::Temporary;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::Notify;

use self::held::Held;
use crate::base::Result;

/// The room's handle. Clones are the same disk.
#[derive(Clone)]
pub struct DataDisk {
    inner: Arc<Inner>,
}

struct Inner {
    /// As the settings say it.
    root: PathBuf,
    /// The same through the held descriptor.
    through: PathBuf,
    held: Mutex<Held>,
    condition: tokio::sync::watch::Sender<Condition>,
    /// Somebody could not write, or wants to know.
    doubt: Notify,
    /// Why it is only for now.
    temporary: OnceLock<Temporary>,
}

impl DataDisk {
    /// Takes up the data directory `root`, whose folders are there: makes its identity when it has
    /// none, and takes the lock. Blocks.
    ///
    /// Fails with `Config` when nothing can be written there or another daemon uses it.
    pub fn open(root: &Path) -> Result<Self> {
        let held = Held::first(root)?;
        let inner = Inner {
            root: root.to_owned(),
            through: held.path(),
            held: Mutex::new(held),
            condition: tokio::sync::watch::Sender::new(Condition::Fine),
            doubt: Notify::new(),
            temporary: OnceLock::new(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The data directory through the held descriptor, for this process and its children. The same
    /// path as long as the daemon lives, whatever is mounted where.
    pub fn held(&self) -> &Path {
        &self.inner.through
    }

    /// The condition as of the last look, and each change of it.
    pub fn follow(&self) -> tokio::sync::watch::Receiver<Condition> {
        self.inner.condition.subscribe()
    }

    /// The condition as of the last look.
    pub fn condition(&self) -> Condition {
        *self.inner.condition.borrow()
    }

    /// What is written is gone at the next start. Said once, before anything is recorded.
    pub fn only_for_now(&self, why: Temporary) {
        let _ = self.inner.temporary.set(why);
    }

    /// Why what is written is gone at the next start; none: it is kept.
    pub fn temporary(&self) -> Option<Temporary> {
        self.inner.temporary.get().copied()
    }

    /// Somebody failed to read or write: the disk is looked at now, with a write of our own.
    pub fn suspect(&self) {
        self.inner.doubt.notify_one();
    }

    /// Whether something new may be begun: a look at this very moment. Blocks for a stat.
    pub fn check(&self) -> Result<()> {
        let known = self.condition();
        let now = if known.is_fine() { look::at(&self.inner).condition() } else { known };
        if now != known {
            self.suspect();
        }
        now.error().map_or(Ok(()), Err)
    }

    /// Lets go of the disk: the held path leads nowhere, the lock is free. Blocks.
    pub fn let_go(&self) {
        self.inner.held().let_go();
    }
}

impl Inner {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
