//! A device's part of its USB bus: reserved before it starts, given back when it has ended.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::LocalActor;
use crate::base::{CameraId, Mono};
use crate::pipeline::run::until;
use crate::usb::{No, Place, Reserved, UsbBuses};
use crate::v4l2::{Mode, Refusal, Survey, Wish};

/// A bus is tried again that has no more left by our account: devices that are no cameras have their part too.
const TRY_AGAIN: Duration = Duration::from_secs(30);

/// The bus of one device.
pub(super) struct OnBus {
    buses: UsbBuses,
    freed: watch::Receiver<u64>,
    /// `None` = it is on no USB bus, or says too little.
    place: Option<Arc<Place>>,
    reserved: Option<Arc<Reserved>>,
    /// As it was reserved; the driver may have set a rate that is a little different.
    chosen: Option<Mode>,
    full: Option<Refused>,
}

/// There is no room for it.
struct Refused {
    why: String,
    again: Mono,
}

impl OnBus {
    /// Where it hangs is not known yet.
    pub fn new(buses: UsbBuses) -> Self {
        let freed = buses.freed();
        Self { buses, freed, place: None, reserved: None, chosen: None, full: None }
    }

    /// The account of all.
    pub fn buses(&self) -> UsbBuses {
        self.buses.clone()
    }

    /// Why it cannot run.
    pub fn full(&self) -> Option<&str> {
        self.full.as_ref().map(|refused| refused.why.as_str())
    }

    /// It was plugged in anew, or pulled out.
    pub fn begin_anew(&mut self, camera: CameraId) {
        (self.place, self.chosen, self.full) = (None, None, None);
        self.buses.try_again(camera);
    }

    /// It hangs there, and is going to be used in this mode.
    pub fn is_at(&mut self, place: Option<Arc<Place>>, mode: Mode) {
        (self.place, self.chosen) = (place, Some(mode));
    }

    /// Returns when the bus of a refused device may have room; for ever nothing without.
    pub async fn room(&mut self) {
        let again = self.full.as_ref().map(|refused| refused.again);
        let freed = async {
            if again.is_none() || self.freed.changed().await.is_err() {
                std::future::pending().await
            }
        };
        tokio::select! {
            () = freed => {}
            () = until(again) => {}
        }
    }
}

/// The mode that a device would have now, and where it hangs. A bus that is full says so when it is to start.
/// Blocks for small reads.
pub(super) fn first_mode(
    buses: &UsbBuses,
    camera: CameraId,
    survey: &Survey,
    devpath: &str,
    wish: &Wish,
) -> Result<(Option<Place>, Mode), Refusal> {
    let place = Place::read(Path::new("/sys"), devpath);
    let mode = match buses.would(camera, survey, place.as_ref(), wish) {
        Ok(mode) => mode,
        Err(No::Full(full)) => full.asked(),
        Err(No::Mode(refusal)) => return Err(refusal),
    };
    Ok((place, mode))
}

impl LocalActor {
    /// Reserves what the device needs for the best mode that fits. False = none fits: its status says why.
    pub(super) async fn reserve_bus(&mut self) -> bool {
        let (id, wish) = (self.def.id, self.wish());
        let Some(device) = &mut self.device else { return true };
        let Some(survey) = &device.survey else { return true };
        let bus = &mut device.bus;
        bus.reserved = None;
        bus.freed.borrow_and_update();
        match bus.buses.reserve(id, survey, bus.place.as_ref(), &wish) {
            Ok((mode, reserved)) => {
                bus.reserved = reserved.map(Arc::new);
                if bus.chosen.replace(mode) != Some(mode) {
                    tracing::info!(camera = %id, ?mode, "is what its USB bus has room for now");
                    self.delivers(mode).await;
                }
                true
            }
            Err(no) => {
                let why = no.to_string();
                tracing::warn!(camera = %id, why, "is not started");
                bus.full = Some(Refused { why, again: Mono::now() + TRY_AGAIN });
                (self.children.absent, self.children.spare) = (true, None);
                false
            }
        }
    }

    /// The device does not start for want of bandwidth.
    pub(super) fn bus_is_full(&self) -> bool {
        self.device.as_ref().is_some_and(|device| device.bus.full.is_some())
    }

    /// There may be room now.
    pub(super) async fn try_bus_again(&mut self) {
        let id = self.def.id;
        let Some(device) = &mut self.device else { return };
        let Some(refused) = device.bus.full.take() else { return };
        if Mono::now() >= refused.again {
            device.bus.buses.try_again(id);
        }
        self.children.absent = false;
        self.take_presence().await;
        self.prepare_spare().await;
    }

    /// The device runs: what it really took is looked at.
    pub(super) async fn look_at_bus(&mut self) {
        let reserved = self.device.as_ref().and_then(|device| device.bus.reserved.clone());
        if let Some(reserved) = reserved {
            // It ends with the program at the latest; sysfs does not wait for the device here.
            let _ = tokio::task::spawn_blocking(move || reserved.look()).await;
        }
    }

    /// The driver said that the bus is full, whatever we thought.
    pub(super) fn bus_said_full(&self) {
        if let Some(reserved) = self.device.as_ref().and_then(|device| device.bus.reserved.as_ref()) {
            reserved.no_space();
        }
    }

    /// The device has ended.
    pub(super) fn leave_bus(&mut self) {
        if let Some(device) = &mut self.device {
            device.bus.reserved = None;
        }
    }
}
