//! What an operator asks of the room.

use tokio::sync::oneshot;

use super::table::Change;
use super::task::{Done, Task};
use crate::base::{CameraId, Error, Result};

/// What the handle asks for.
pub(super) struct Order {
    pub camera: CameraId,
    pub change: Change,
    pub reply: oneshot::Sender<Result<()>>,
}

impl Task {
    pub(super) fn order(&mut self, order: Order) {
        let (id, store) = (order.camera, self.store.clone());
        if !self.table.known().unwrap_or_default().iter().any(|row| row.camera == id) {
            let error = Error::not_found("Camera", id).with(
                "suggestion",
                "only a camera that was plugged in once can be pinned, named or forgotten",
            );
            return drop(order.reply.send(Err(error)));
        }
        if matches!(order.change, Change::Forget) && !self.table.forget(id) {
            let error = Error::state(format!("{id} is plugged in"), "CONNECTED", &["DISCONNECTED"])
                .with("suggestion", "unplug it first");
            return drop(order.reply.send(Err(error)));
        }
        self.doing.push(Box::pin(async move {
            let changed = match &order.change {
                Change::Name(name) => store.name_device(id, name.clone()).await,
                Change::Pin(pinned) => store.pin_device(id, *pinned).await,
                Change::Forget => store.forget_device(id).await,
            };
            Done::Changed(order, changed)
        }));
    }

    pub(super) fn changed(&mut self, order: Order, changed: Result<bool>) {
        let Order { camera, change, reply } = order;
        let answer = match (changed, change) {
            (Ok(true), change) => {
                self.table.changed(camera, change);
                Ok(())
            }
            (other, change) => {
                if matches!(change, Change::Forget) {
                    // It is in the database still, and what it says there is as true as before.
                    let store = self.store.clone();
                    self.doing.push(Box::pin(async move { Done::Known(store.devices().await) }));
                }
                other.and_then(|_| {
                    let what = format!("there is footage of {camera}, or nothing is known of it");
                    Err(Error::state(what, "IN_USE", &["FREE"])
                        .with("suggestion", "delete all its recordings and snapshots first"))
                })
            }
        };
        self.publish();
        drop(reply.send(answer));
    }
}
