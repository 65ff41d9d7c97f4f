//! What operators set, set again on a device that was just opened.

use std::sync::PoisonError;
use std::time::Duration;

use serde_json::Value as Json;

use super::Controls;
use crate::store::ControlRow;
use crate::v4l2::{Control, Device, Flag, Listing, Refused, apply_order, check, settle};

/// A database that takes longer must not keep a camera from delivering.
const LIMIT: Duration = Duration::from_secs(2);

impl Controls {
    /// What sets a device as operators want it, before it delivers. Called on a thread that may block. Whoever
    /// asks for the controls meanwhile sees them as they are afterwards.
    pub fn prepare(&self) -> impl FnOnce(&Device) + Send + 'static {
        let (this, runtime) = (self.clone(), tokio::runtime::Handle::current());
        move |device| {
            let camera = this.0.camera;
            // One that hangs in another call has no pictures to be late with.
            let turn = this.0.turn.clone();
            let _turn = runtime.block_on(async { tokio::time::timeout(LIMIT, turn.lock_owned()).await });
            let kept = async { tokio::time::timeout(LIMIT, this.0.store.kept_controls(camera)).await };
            match runtime.block_on(kept) {
                Ok(Ok(kept)) => this.apply(device, kept),
                Ok(Err(error)) => {
                    tracing::warn!(%camera, "what its controls were set to cannot be read: {}", error.chain());
                }
                Err(_) => tracing::warn!(%camera, "what its controls were set to cannot be read in time"),
            }
        }
    }

    fn apply(&self, device: &Device, kept: Vec<ControlRow>) {
        if kept.is_empty() {
            return;
        }
        let mut listing = self.listing(device);
        let mut all: Vec<_> = kept.into_iter().map(|row| (wanted(&listing, &row).cloned(), row)).collect();
        all.sort_by_cached_key(|(control, _)| control.as_ref().map(apply_order));
        for (_, row) in all {
            // Those before may have changed what there is, and what has an effect.
            let Some(control) = wanted(&listing, &row).cloned() else {
                self.refused(&row, "the camera has no such control now");
                continue;
            };
            match set_kept(device, &listing, &control, &row) {
                Ok(false) => {}
                Ok(true) => {
                    let mut refused = self.0.refused.lock().unwrap_or_else(PoisonError::into_inner);
                    refused.retain(|(id, _)| *id != row.id);
                    drop(refused);
                    if control.has(Flag::Update) || control.changes_modes() {
                        listing = self.listing(device);
                    }
                }
                Err(why) => self.refused(&row, &why.to_string()),
            }
        }
    }

    fn refused(&self, row: &ControlRow, why: &str) {
        let mut refused = self.0.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.insert((row.id, why.to_owned())) {
            let camera = self.0.camera;
            tracing::warn!(%camera, control = row.name, why, "a control cannot be set as it was; others are");
        }
    }
}

/// The control that is meant, by number; by name when the driver has given it another.
fn wanted<'a>(listing: &'a Listing, row: &ControlRow) -> Option<&'a Control> {
    let by_number = listing.controls.iter().find(|control| control.id == row.id);
    by_number.or_else(|| listing.controls.iter().find(|control| control.name == row.name))
}

/// Sets a control as it was kept; answers whether it was set otherwise before.
fn set_kept(
    device: &Device,
    listing: &Listing,
    control: &Control,
    row: &ControlRow,
) -> Result<bool, Refused> {
    let kept: Json = serde_json::from_str(&row.value).unwrap_or(Json::Null);
    if kept.is_null() {
        return Err(Refused::Value("is kept in a form that cannot be read".into()));
    }
    if control.read(device).is_some_and(|value| value.to_json(control.kind) == kept) {
        return Ok(false);
    }
    let value = check(listing, control, &kept)?;
    settle(device, control, &value)?;
    Ok(true)
}
