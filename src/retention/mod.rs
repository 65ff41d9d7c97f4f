//! Retention: which footage goes by itself, and when.
//!
//! Owns the policy in force and one task that carries it out: by age, by the size of all recordings or
//! of each camera's, and by how full the disk is. What goes is decided without I/O (`plan`); the unit is
//! the closed segment, oldest first, also of a recording that runs.
//!
//! Promises: nothing is deleted that was not asked for by configuration or API; never the segment that
//! grows, never anything of a protected recording, never from the middle of a recording, never more than
//! the policy needs. Age and size leave alone what is being downloaded; the disk's floor does not, because
//! recording goes on is worth more than a download. Age judges only by times that can be trusted (`times`):
//! not for ten minutes after the wall clock was set, and not by a time from before this program was made
//! or from the future.
//!
//! Costs: with nothing to do a look at numbers in memory a second; with a size policy a sum in the index
//! every two seconds; with an age policy the outlines of all recordings once a minute.

mod clean;
mod plan;
mod policy;
mod times;
mod work;

pub use policy::{Kind, Policy, Wish};
pub use work::Cleaned;

use std::sync::Arc;

use crate::base::{Clock, RecordingName, Result};
use crate::disk::DataDisk;
use crate::recording::Recordings;
use crate::snapshot::Snapshots;
use crate::store::{Sizes, Store};
use crate::supervise::Group;

/// What the room works with.
pub struct RetentionOptions {
    /// Whose segments go.
    pub recordings: Recordings,
    /// Whose stills go.
    pub snapshots: Snapshots,
    /// The index.
    pub store: Store,
    /// The clock that ages are told by.
    pub clock: Clock,
    /// Nothing is deleted while it is not fit.
    pub disk: DataDisk,
}

/// The room's handle. Clones are the same room.
#[derive(Clone)]
pub struct Retention(Arc<Inner>);

struct Inner {
    options: RetentionOptions,
    policy: tokio::sync::watch::Sender<Policy>,
    /// Held while something is deleted.
    turn: tokio::sync::Mutex<work::State>,
}

/// Bytes of what is kept, as the index knows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// In recordings.
    pub recordings: u64,
    /// In stills.
    pub snapshots: u64,
}

impl Retention {
    /// Starts, in `group`, what carries `policy` out.
    pub async fn start(options: RetentionOptions, policy: Policy, group: &Group) -> Result<Self> {
        let state = work::State::read(&options).await?;
        let inner = Inner {
            options,
            policy: tokio::sync::watch::Sender::new(policy),
            turn: tokio::sync::Mutex::new(state),
        };
        let this = Self(Arc::new(inner));
        group.spawn("retention", this.clone().run(group.stop().clone()));
        Ok(this)
    }

    /// The policy in force.
    pub fn policy(&self) -> Policy {
        self.0.policy.borrow().clone()
    }

    /// From now on this is the policy.
    pub fn set(&self, policy: Policy) {
        self.0.policy.send_if_modified(|now| {
            let news = *now != policy;
            if news {
                tracing::info!("retention: {}", policy.message());
            }
            *now = policy;
            news
        });
    }

    /// How much is kept. From the index; the disk is not asked.
    pub async fn kept(&self) -> Result<Kept> {
        let sizes = self.sizes().await?;
        Ok(Kept { recordings: sizes.recordings.values().sum(), snapshots: sizes.snapshots })
    }

    /// Keeps a recording from retention, or gives it free.
    pub async fn protect(&self, name: &RecordingName, protected: bool) -> Result<()> {
        self.0.options.recordings.protect(name, protected).await
    }

    /// The index's sums with what grows at this moment.
    async fn sizes(&self) -> Result<Sizes> {
        let mut sizes = self.0.options.store.sizes().await?;
        for (camera, size) in self.0.options.recordings.growing() {
            let sum = sizes.recordings.entry(camera).or_default();
            *sum = sum.saturating_add(size);
        }
        Ok(sizes)
    }
}
