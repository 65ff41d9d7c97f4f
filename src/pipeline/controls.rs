//! The controls of a V4L2 camera: shown, set, kept, set again after every open, and told when they change.
//!
//! Promises: one call at a time asks the device, in a thread of its own, and whoever waits gets an answer
//! within some seconds whatever the driver does; only what an operator set is kept; a kept value that is
//! refused keeps no other from being applied. Costs a descriptor while a call runs or the camera delivers.

mod keep;
mod row;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value as Json;
use tokio::sync::{Notify, watch as channel};

pub use row::{ControlList, ControlView};

use super::cameras::{PATIENCE, away};
use crate::base::{CameraId, Error, Result};
use crate::hotplug::Plugs;
use crate::notice::{Fact, Notices};
use crate::store::{ControlRow, Store};
use crate::v4l2::{
    Control, Device, Flag, Listing, Refused, Value, check, controls, detected, settle, signal,
};

/// The controls of one camera. Clones are the same.
#[derive(Clone)]
pub struct Controls(Arc<Inner>);

struct Inner {
    camera: CameraId,
    plugs: channel::Receiver<Plugs>,
    store: Store,
    notices: Notices,
    /// Held by whoever asks the device.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// As clients were told, by number.
    told: Mutex<BTreeMap<u32, ControlView>>,
    /// Kept values that were refused, and why: told once.
    refused: Mutex<BTreeSet<(u32, String)>>,
    /// What the driver got wrong was logged.
    odd: Mutex<BTreeSet<&'static str>>,
    modes: Notify,
}

/// What came of setting one.
struct Set {
    control: Control,
    /// What is to be kept; `None` = nothing any more.
    keep: Option<Json>,
}

impl Controls {
    /// Nothing is asked yet.
    pub fn new(camera: CameraId, plugs: channel::Receiver<Plugs>, store: Store, notices: Notices) -> Self {
        Self(Arc::new(Inner {
            camera,
            plugs,
            store,
            notices,
            turn: Arc::default(),
            told: Mutex::default(),
            refused: Mutex::default(),
            odd: Mutex::default(),
            modes: Notify::new(),
        }))
    }

    /// Everything that can be set, with what it is now.
    ///
    /// Fails with `InvalidState` when the camera is not plugged in, and `DependencyFailed` when it does not answer.
    pub async fn list(&self) -> Result<ControlList> {
        let kept = self.kept_ids().await;
        let this = self.clone();
        self.ask(move |device| {
            let listing = this.listing(device);
            let rows = rows(device, &listing, &kept);
            let signal = signal(device).map(|words| (words, detected(device)));
            Ok(ControlList::new(rows, signal))
        })
        .await
    }

    /// Sets one, by name or number, and keeps that; `Null` puts it back to its default and forgets it. Answers
    /// with how it is then.
    ///
    /// Fails with `InvalidParams` for a control that the camera does not have and for a value that does not
    /// fit, with `Unsupported` for one that cannot be set, with `InvalidState` for one that has no effect at
    /// present or is in use, and as [`Controls::list`] does.
    pub async fn set(&self, name: String, wanted: Json) -> Result<ControlView> {
        let mut kept = self.kept_ids().await;
        let (this, before) = (self.clone(), kept.clone());
        let set = self
            .ask(move |device| {
                let listing = this.listing(device);
                this.tell(rows(device, &listing, &before));
                set(device, &listing, &name, &wanted)
            })
            .await?;
        let (camera, id, store) = (self.0.camera, set.control.id, &self.0.store);
        match &set.keep {
            Some(value) => {
                let row = ControlRow { id, name: set.control.name.clone(), value: value.to_string() };
                store.keep_control(camera, row).await?;
                kept.insert(id);
            }
            None => {
                store.forget_control(camera, id).await?;
                kept.remove(&id);
            }
        }
        tracing::info!(%camera, control = set.control.name, kept = set.keep.is_some(), "a control was set");
        if set.control.changes_modes() {
            self.0.modes.notify_one();
        }
        let this = self.clone();
        self.ask(move |device| {
            let rows = rows(device, &this.listing(device), &kept);
            let row = rows.iter().find(|row| row.id == id).cloned();
            this.tell(rows);
            row.ok_or_else(|| Error::dependency("camera", "it no longer has this control"))
        })
        .await
    }

    /// Waits until the camera may have other modes than when it was last asked.
    pub async fn modes_may_differ(&self) {
        self.0.modes.notified().await;
    }

    /// Asks the device, alone and in a thread of its own.
    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Device) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let silent = || {
            Error::dependency("camera", "it does not answer")
                .with("suggestion", "wait a little, or unplug the camera and plug it in again")
        };
        let node = self.node()?;
        let id = self.0.camera;
        let turn = self.0.turn.clone();
        let answer = async {
            let turn = turn.lock_owned().await;
            let work = move || {
                let _turn = turn;
                let device = Device::open(&node).map_err(|e| gone(id, &e))?;
                work(&device)
            };
            tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
        };
        tokio::time::timeout(PATIENCE, answer).await.map_err(|_| silent())?
    }

    /// Where the device is.
    fn node(&self) -> Result<PathBuf> {
        let plugs = self.0.plugs.borrow();
        let plug = plugs.present.get(&self.0.camera);
        plug.map(|plug| plug.node.path.clone())
            .ok_or_else(|| away(self.0.camera, Some("it is not plugged in")))
    }

    async fn kept_ids(&self) -> BTreeSet<u32> {
        // What the camera can does not depend on the database.
        let kept = self.0.store.kept_controls(self.0.camera).await.unwrap_or_default();
        kept.into_iter().map(|row| row.id).collect()
    }

    /// What the device has; what its driver gets wrong is logged once.
    fn listing(&self, device: &Device) -> Listing {
        let listing = controls(device);
        let mut odd = self.0.odd.lock().unwrap_or_else(PoisonError::into_inner);
        for oddity in &listing.oddities {
            if odd.insert(oddity) {
                tracing::warn!(camera = %self.0.camera, "its driver says {oddity}");
            }
        }
        listing
    }

    /// Tells clients of those that are not as they were told. What was never told is no change.
    fn tell(&self, rows: Vec<ControlView>) {
        let mut facts = Vec::new();
        {
            let mut told = self.0.told.lock().unwrap_or_else(PoisonError::into_inner);
            for row in rows {
                let before = told.insert(row.id, row.clone());
                if before.is_some_and(|before| before.differs(&row)) {
                    facts.push(row);
                }
            }
        }
        for row in facts {
            match serde_json::to_value(&row) {
                Ok(control) => {
                    self.0.notices.send(Fact::Control { camera: self.0.camera, control: control.into() });
                }
                Err(error) => tracing::error!(%error, "a control cannot be shown"),
            }
        }
    }
}

fn rows(device: &Device, listing: &Listing, kept: &BTreeSet<u32>) -> Vec<ControlView> {
    let row = |control| ControlView::of(control, control.read(device), kept.contains(&control.id));
    listing.controls.iter().map(row).collect()
}

fn set(device: &Device, listing: &Listing, name: &str, wanted: &Json) -> Result<Set> {
    let control = listing.find(name).ok_or_else(|| unknown(listing, name))?.clone();
    let refused = |refused| error(&control, &refused);
    // Which input is the right one nobody knows but whoever set it.
    if control.is_source() && wanted.is_null() {
        return Ok(Set { control, keep: None });
    }
    let value = check(listing, &control, wanted).map_err(refused)?;
    settle(device, &control, &value).map_err(refused)?;
    let is = if control.has(Flag::Volatile) { None } else { control.read(device) };
    let keep = (!wanted.is_null() && control.can_be_kept()).then(|| is.unwrap_or(value));
    let keep = keep.map(|value: Value| value.to_json(control.kind));
    Ok(Set { control, keep })
}

fn unknown(listing: &Listing, name: &str) -> Error {
    let near = listing.controls.iter().find(|c| c.name.contains(name) || name.contains(&c.name));
    let hint = match near {
        Some(control) if !name.is_empty() => {
            format!("did you mean {}? get_camera_controls lists them", control.name)
        }
        _ => "get_camera_controls lists them".into(),
    };
    Error::param("control", "must be a control that this camera has", hint)
}

fn error(control: &Control, refused: &Refused) -> Error {
    let name = &control.name;
    match refused {
        Refused::Value(rule) => {
            Error::param("value", rule.as_str(), format!("get_camera_controls says what {name} takes"))
        }
        Refused::Never(why) => Error::unsupported("control", format!("{name} cannot be set: {why}"))
            .with("suggestion", "get_camera_controls says which controls can be set"),
        Refused::Inactive(automatic) => {
            let suggestion = match automatic {
                Some(automatic) => format!("set {automatic} to manual first"),
                None => "set the control to manual that is automatic instead of it".into(),
            };
            Error::state(format!("{name}: {refused}"), "INACTIVE", &["ACTIVE"]).with("suggestion", suggestion)
        }
        Refused::Busy => Error::state(format!("{name}: {refused}"), "BUSY", &["IDLE"])
            .with("suggestion", "stop the camera's stream and recording first"),
        Refused::Driver(_) => Error::dependency("camera", format!("{name}: {refused}"))
            .with("suggestion", "try again; if it stays so, the camera cannot do it"),
    }
}

fn gone(id: CameraId, e: &std::io::Error) -> Error {
    away(id, Some(&crate::capture::device_words(e)))
}
