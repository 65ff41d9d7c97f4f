//! Hears of controls that change while the camera delivers: by themselves, or by another program.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::spawn_blocking;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Controls, rows};
use crate::supervise::Group;
use crate::v4l2::{Device, Listing, Watch};

/// Between two looks at what changed: an automatic control may move its manual one with every picture.
const CALM: Duration = Duration::from_millis(250);

struct Ear(Arc<Watch>);

impl std::os::fd::AsRawFd for Ear {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.0.as_raw_fd()
    }
}

impl Controls {
    /// Listens until the answer is dropped, the device is gone, or the group stops.
    pub fn watch(&self, node: PathBuf, group: &Group) -> DropGuard {
        let stop = group.stop().child_token();
        let (this, token): (_, CancellationToken) = (self.clone(), stop.clone());
        group.spawn(format!("controls {}", self.0.camera), async move {
            if let Some(Err(error)) = token.run_until_cancelled(this.follow(node)).await {
                tracing::debug!(camera = %this.0.camera, %error, "its controls are no longer listened to");
            }
        });
        stop.drop_guard()
    }

    async fn follow(&self, node: PathBuf) -> io::Result<()> {
        let kept = self.kept_ids().await;
        let this = self.clone();
        let watch = spawn_blocking(move || {
            let device = Device::open(&node)?;
            let listing = this.listing(&device);
            // Changes from here on are told of, those before are seen now.
            let watch = Watch::new(device, &listing.controls);
            if let Some(watch) = &watch {
                this.tell(rows(watch.device(), &listing, &kept));
            }
            Ok::<_, io::Error>(watch)
        });
        let Some(watch) = watch.await.map_err(io::Error::other)?? else { return Ok(()) };
        let watch = Arc::new(watch);
        #[expect(
            unsafe_code,
            reason = "the descriptor is the watch's own, which lives in it and never changes"
        )]
        let ear = unsafe { AsyncFd::register_with_interest(Ear(watch.clone()), Interest::PRIORITY)? };
        loop {
            let mut ready = ear.ready(Interest::PRIORITY).await?;
            ready.clear_ready();
            let kept = self.kept_ids().await;
            let (this, watch) = (self.clone(), watch.clone());
            spawn_blocking(move || {
                let changed = watch.changed()?;
                if !changed.is_empty() {
                    let all = this.listing(watch.device());
                    let controls = all.controls.into_iter().filter(|c| changed.contains(&c.id)).collect();
                    this.tell(rows(watch.device(), &Listing { controls, ..Listing::default() }, &kept));
                }
                Ok::<_, io::Error>(())
            })
            .await
            .map_err(io::Error::other)??;
            tokio::time::sleep(CALM).await;
        }
    }
}
