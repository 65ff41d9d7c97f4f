//! Cameras that are plugged into the box, from the kernel's word to the lists of clients.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::base::Clock;
use crate::device;
use crate::hotplug::{self, Hotplug, Plugs};
use crate::pipeline::Cameras;
use crate::reload::Reloader;
use crate::store::Store;
use crate::supervise::Group;
use crate::v4l2;

/// A start does not wait longer for devices that hang; they come later.
const FIRST_LOOK: Duration = Duration::from_secs(3);
/// A new camera that could not be taken is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// Begins to look, and waits for what is plugged in already: it decides whether synthetic cameras stand in.
pub(super) async fn look(store: Store, clock: Clock, group: &Group) -> Hotplug {
    let devices = device::of_this_machine();
    let is_camera = |node: &Path| v4l2::role_at(node).map(|role| role == v4l2::Role::Camera);
    let options = hotplug::Options { devices, judge: Arc::new(is_camera), store, clock };
    let hotplug = hotplug::start(options, group);
    let mut plugs = hotplug.plugs();
    if tokio::time::timeout(FIRST_LOOK, plugs.wait_for(|plugs| plugs.complete)).await.is_err() {
        tracing::warn!("a device that is plugged in does not answer; its camera comes when it does");
    }
    hotplug
}

/// Takes every camera that was never seen before, until told to stop.
pub(super) async fn take_new(
    mut plugs: watch::Receiver<Plugs>,
    cameras: Cameras,
    reloader: Reloader,
    stop: CancellationToken,
) {
    let take = async {
        loop {
            let here: Vec<_> = plugs.borrow_and_update().present.keys().copied().collect();
            let known = cameras.defs();
            if here.iter().any(|id| !known.iter().any(|def| def.id == *id))
                && let Err(error) = reloader.take_devices().await
            {
                tracing::error!("a new camera is not taken yet: {}", error.chain());
                tokio::time::sleep(AGAIN).await;
                continue;
            }
            if plugs.changed().await.is_err() {
                return;
            }
        }
    };
    stop.run_until_cancelled(take).await;
}
