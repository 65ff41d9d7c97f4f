//! The looks at a node that may take long: what it says of itself, and whether it is a camera.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::device::{Devices, Node};

/// Says whether a node is a camera. It opens it, so it may block; its errors are taken for passing.
pub type Judge = Arc<dyn Fn(&Path) -> io::Result<bool> + Send + Sync>;

/// A look that takes longer is told of. A USB device that answers no control transfer takes 5 s for each.
const LIMIT: Duration = Duration::from_secs(2);
/// Looks at a time, each a thread while it lasts. Devices that hang keep theirs.
const LOOKS: usize = 32;

#[derive(Clone)]
pub(super) struct Looks {
    devices: Arc<dyn Devices>,
    judge: Judge,
    free: Arc<Semaphore>,
}

impl Looks {
    pub fn new(devices: Arc<dyn Devices>, judge: Judge) -> Looks {
        Looks { devices, judge, free: Arc::new(Semaphore::new(LOOKS)) }
    }

    /// What the node says of itself; `None` = nothing yet.
    pub async fn read(self, devpath: String) -> Option<Node> {
        let (devices, what) = (self.devices.clone(), devpath.clone());
        self.look(&what, move || devices.read(&devpath)).await.ok()?
    }

    /// Whether it is a camera.
    pub async fn judge(self, devpath: String, path: PathBuf) -> io::Result<bool> {
        let judge = self.judge.clone();
        self.look(&devpath, move || judge(&path)).await?
    }

    async fn look<T: Send + 'static>(
        &self,
        devpath: &str,
        look: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let permit = self.free.clone().acquire_owned().await.map_err(io::Error::other)?;
        let mut job = spawn_blocking(move || {
            let _permit = permit;
            look()
        });
        let done = match tokio::time::timeout(LIMIT, &mut job).await {
            Ok(done) => done,
            Err(_) => {
                tracing::warn!(devpath, "a video device does not answer; the others go on without it");
                job.await
            }
        };
        done.map_err(io::Error::other)
    }
}
