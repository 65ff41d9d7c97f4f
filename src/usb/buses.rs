//! The one account of the box, shared by all of its cameras.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::account::Account;
use super::decide::{Asking, No, decide};
use super::place::Place;
use crate::base::CameraId;
use crate::v4l2::{Mode, Survey, Wish};

/// What is reserved of the box's USB buses. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct UsbBuses(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    account: Mutex<Account>,
    /// Counts up when there is more left than before.
    freed: watch::Sender<u64>,
}

impl Default for Shared {
    fn default() -> Self {
        Self { account: Mutex::default(), freed: watch::Sender::new(0) }
    }
}

impl UsbBuses {
    /// Nothing is reserved.
    pub fn new() -> Self {
        Self::default()
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.0.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The best mode of a camera that fits now, without reserving it.
    pub fn would(
        &self,
        camera: CameraId,
        survey: &Survey,
        place: Option<&Place>,
        wish: &Wish,
    ) -> Result<Mode, No> {
        decide(&self.account(), &Asking { camera, survey, place, wish })
    }

    /// The same, reserved until the answer is dropped.
    pub fn reserve(
        &self,
        camera: CameraId,
        survey: &Arc<Survey>,
        place: Option<&Arc<Place>>,
        wish: &Wish,
    ) -> Result<(Mode, Option<Reserved>), No> {
        let mut account = self.account();
        let mode = decide(&account, &Asking { camera, survey, place: place.map(|place| &**place), wish })?;
        let reserved = place.map(|place| {
            let number = account.hold(camera, survey.clone(), place.clone(), mode);
            Reserved { buses: self.clone(), camera, number, place: place.clone() }
        });
        Ok((mode, reserved))
    }

    /// Changes when there is more left than before.
    pub fn freed(&self) -> watch::Receiver<u64> {
        self.0.freed.subscribe()
    }

    /// Modes that the driver refused are worth another attempt: the camera was plugged in anew, or some time
    /// has passed.
    pub fn try_again(&self, camera: CameraId) {
        self.account().forget_refusals(camera);
    }

    fn tell(&self) {
        self.0.freed.send_modify(|n| *n = n.wrapping_add(1));
    }
}

/// What one camera has of its bus.
#[derive(Debug)]
pub struct Reserved {
    buses: UsbBuses,
    camera: CameraId,
    number: u64,
    place: Arc<Place>,
}

impl Reserved {
    /// Looks what the camera really took, now that it runs. Blocks for a small read of sysfs.
    pub fn look(&self) {
        let interface = self.buses.account().interface(self.camera);
        let Some(setting) = interface.and_then(|n| self.place.setting(n)).filter(|n| *n > 0) else { return };
        let more = self.buses.account().saw(self.camera, setting);
        tracing::info!(camera = %self.camera, setting, "runs with this alternate setting of its USB interface");
        if more {
            self.buses.tell();
        }
    }

    /// The driver said that the bus is full.
    pub fn no_space(&self) {
        self.buses.account().no_space(self.camera);
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.buses.account().free(self.camera, self.number);
        self.buses.tell();
    }
}
