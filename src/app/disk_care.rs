//! What becomes of the other rooms when the data disk goes or comes back, in which order.
//!
//! It goes: recordings pause and close their files, then the database is closed, then the disk is let
//! go. It comes back: the database is opened, then recordings go on.

use std::path::PathBuf;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::disk::{Condition, DataDisk};
use crate::mediamtx::MediaMtx;
use crate::recording::Recordings;
use crate::store::Store;

/// Recordings need a second or two to close their files; a disk that hangs is not waited for.
const PAUSE_LIMIT: Duration = Duration::from_secs(6);
/// A call that hangs in the kernel cannot be ended; the rest goes on without it.
const CLOSE_LIMIT: Duration = Duration::from_secs(3);
/// Between two attempts to open the database of a disk that is back.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// The task behind that.
pub(super) struct Care {
    pub disk: DataDisk,
    pub store: Store,
    pub recordings: Recordings,
    pub mediamtx: MediaMtx,
    pub database: PathBuf,
}

impl Care {
    /// Runs until `stop`.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut condition = self.disk.follow();
        let mut open = true;
        loop {
            let now = *condition.borrow_and_update();
            if now.is_fine() {
                open = open || self.reopen().await;
                if open {
                    self.mediamtx.use_run_dir(true);
                    self.recordings.hold(Condition::Fine);
                }
            } else {
                self.recordings.hold(now);
                if !now.is_readable() {
                    if open {
                        self.close(now).await;
                        open = false;
                    }
                    self.mediamtx.use_run_dir(false);
                    let disk = self.disk.clone();
                    let _ = tokio::task::spawn_blocking(move || disk.let_go()).await;
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                changed = condition.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(TRY_AGAIN), if now.is_fine() && !open => {}
            }
        }
    }

    async fn close(&self, now: Condition) {
        if !self.recordings.paused(PAUSE_LIMIT).await {
            tracing::error!("a recording's files could not be closed; the disk may stay in use");
        }
        match tokio::time::timeout(CLOSE_LIMIT, self.store.suspend(now.text())).await {
            Ok(Ok(())) => tracing::warn!("the database is closed until the data disk is back"),
            Ok(Err(error)) => tracing::error!(error = %error.chain(), "the database could not be closed"),
            Err(_) => tracing::error!("the database does not answer; the disk may stay in use"),
        }
    }

    /// Whether the database is open again.
    async fn reopen(&self) -> bool {
        let opened = self.store.resume(&self.database).await;
        // The database is opened by its name: was that on the right disk?
        let disk = self.disk.clone();
        let right = tokio::task::spawn_blocking(move || disk.check().is_ok()).await.unwrap_or(false);
        match opened {
            Ok(()) if right => {
                tracing::info!("the database is open again");
                return true;
            }
            Ok(()) => {
                let _ = self.store.suspend(Condition::Gone.text()).await;
            }
            Err(error) => {
                tracing::error!(error = %error.chain(), "the database could not be opened again");
                self.disk.suspect();
            }
        }
        false
    }
}
