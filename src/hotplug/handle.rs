//! The handle of the room.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::look::{Judge, Looks};
use super::orders::Order;
use super::plugs::Plugs;
use super::table::Change;
use super::task::Task;
use crate::base::{CameraId, Clock, Error, Result};
use crate::device::{self, Devices};
use crate::store::{DeviceRow, Store};
use crate::supervise::Group;

/// Of a name that an operator gives, characters.
const NAME: usize = 64;

/// What the room works with.
pub struct Options {
    /// Where devices are seen.
    pub devices: Arc<dyn Devices>,
    /// Which of them are cameras.
    pub judge: Judge,
    /// Where is kept what makes each the same again.
    pub store: Store,
    /// The clock.
    pub clock: Clock,
}

/// A camera ever seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownCamera {
    /// Its number for ever.
    pub camera: CameraId,
    /// What it is called for ever ([`device::identity`]), without the word for its source.
    pub identity: String,
    /// What an operator calls it.
    pub name: Option<String>,
    /// What it says it is, for people.
    pub model: String,
    /// Its serial number, when it can tell two devices apart.
    pub serial: Option<String>,
    /// Where it is plugged in, or was last.
    pub port: String,
    /// It is whatever of its kind is plugged in there.
    pub pinned: bool,
    /// It is plugged in.
    pub present: bool,
    /// When it was first seen, microseconds since 1970, as far as that is known.
    pub first_us: Option<i64>,
    /// When it was last seen, microseconds since 1970, as far as that is known.
    pub seen_us: Option<i64>,
}

/// Whether a camera may be called so: 1 to 64 characters on one line, without space around. Else `InvalidParams`.
pub fn check_name(name: &str) -> Result<()> {
    let fits = (1..=NAME).contains(&name.chars().count()) && name.trim() == name;
    if fits && !name.chars().any(char::is_control) {
        return Ok(());
    }
    let rule = "must have 1 to 64 characters on one line, without space around";
    Err(Error::param("name", rule, "a name for people such as Gate; left out, it is called by its model"))
}

/// Handle of the room. Clones are the same one.
#[derive(Clone)]
pub struct Hotplug {
    plugs: watch::Receiver<Plugs>,
    known: watch::Receiver<Arc<[DeviceRow]>>,
    orders: mpsc::Sender<Order>,
}

/// Listens and looks from now on, until the group stops.
pub fn start(options: Options, group: &Group) -> Hotplug {
    let (plugs_out, plugs) = watch::channel(Plugs::default());
    let (known_out, known) = watch::channel(Arc::from([]));
    let (orders, orders_in) = mpsc::channel(16);
    let Options { devices, judge, store, clock } = options;
    let looks = Looks::new(devices.clone(), judge);
    let task = Task::new(devices, looks, store, clock, plugs_out, known_out, orders_in);
    let stop = group.stop().clone();
    group.spawn("hotplug", async move {
        stop.run_until_cancelled(task.run()).await;
    });
    Hotplug { plugs, known, orders }
}

impl Hotplug {
    /// What is plugged in, from now on.
    pub fn plugs(&self) -> watch::Receiver<Plugs> {
        self.plugs.clone()
    }

    /// Every camera ever seen, by number. Never waits; empty until the database was read once.
    pub fn known(&self) -> Vec<KnownCamera> {
        let plugs = self.plugs.borrow().clone();
        let rows = self.known.borrow().clone();
        rows.iter().map(|row| known(row, plugs.present.contains_key(&row.camera))).collect()
    }

    /// Gives a camera a name, or none; as [`check_name`] wants it.
    ///
    /// Fails with `InvalidParams` for another, and with `NotFound` for a camera that was never plugged in.
    pub async fn rename(&self, id: CameraId, name: Option<String>) -> Result<()> {
        name.as_deref().map_or(Ok(()), check_name)?;
        self.order(id, Change::Name(name)).await
    }

    /// Makes a camera whatever of its kind is plugged in at its port, or no more.
    ///
    /// Fails with `NotFound` for a camera that was never plugged in.
    pub async fn pin(&self, id: CameraId, pinned: bool) -> Result<()> {
        self.order(id, Change::Pin(pinned)).await
    }

    /// Forgets a camera that is not coming back; its number is free again.
    ///
    /// Fails with `NotFound` for one that was never plugged in, and with `InvalidState` for one that is
    /// plugged in or has recordings or snapshots.
    pub async fn forget(&self, id: CameraId) -> Result<()> {
        self.order(id, Change::Forget).await
    }

    async fn order(&self, camera: CameraId, change: Change) -> Result<()> {
        let stopping = || Error::dependency("camera", "the box is stopping");
        let (reply, answer) = oneshot::channel();
        self.orders.send(Order { camera, change, reply }).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())?
    }
}

fn known(row: &DeviceRow, present: bool) -> KnownCamera {
    KnownCamera {
        camera: row.camera,
        identity: row.identity.strip_prefix(device::SOURCE).unwrap_or(&row.identity).to_owned(),
        name: row.name.clone(),
        model: row.model.clone(),
        serial: row.serial.clone(),
        port: row.port.clone(),
        pinned: row.pinned,
        present,
        first_us: row.first_us,
        seen_us: row.seen_us,
    }
}
