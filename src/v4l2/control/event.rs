//! The driver's word that a control was changed: by the device, by another control, or by another program.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use v4l::v4l_sys::{V4L2_EVENT_CTRL, v4l2_event, v4l2_event_subscription};

use super::{Control, Kind};
use crate::v4l2::driver::{Plain, Request, call, plain};
use crate::v4l2::{Device, Driver};

plain!(v4l2_event, v4l2_event_subscription);

const READS: u32 = 2;
const WRITES: u32 = 1;
const DQEVENT: Request<v4l2_event> = Request::numbered(READS, 89);
const SUBSCRIBE_EVENT: Request<v4l2_event_subscription> = Request::numbered(WRITES, 90);

/// Events taken at a time; the driver keeps one for each control.
const MOST: usize = 1024;

/// A device that is open only to hear of its controls.
#[derive(Debug)]
pub struct Watch(Device);

impl Watch {
    /// Wants to hear of these; `None` = the driver tells of none of them. Blocks.
    pub fn new(device: Device, controls: &[Control]) -> Option<Watch> {
        let count = controls.iter().filter(|control| subscribe(&device, control)).count();
        (count > 0).then_some(Watch(device))
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.0
    }

    /// The numbers of those that were changed since it was last asked. Fails when the device is gone. Blocks.
    pub fn changed(&self) -> io::Result<Vec<u32>> {
        changed(&self.0)
    }
}

fn subscribe(driver: &(impl Driver + ?Sized), control: &Control) -> bool {
    if control.is_source() || control.kind == Kind::Button {
        return false;
    }
    let mut wanted = v4l2_event_subscription {
        type_: V4L2_EVENT_CTRL,
        id: control.id,
        ..v4l2_event_subscription::zeroed()
    };
    call(driver, SUBSCRIBE_EVENT, &mut wanted).is_ok()
}

pub(super) fn changed(driver: &(impl Driver + ?Sized)) -> io::Result<Vec<u32>> {
    let mut ids = Vec::new();
    for _ in 0..MOST {
        let mut event = v4l2_event::zeroed();
        match call(driver, DQEVENT, &mut event) {
            Err(e) if matches!(e.raw_os_error(), Some(nix::libc::ENOENT | nix::libc::EAGAIN)) => break,
            other => other?,
        }
        if event.type_ == V4L2_EVENT_CTRL && !ids.contains(&event.id) {
            ids.push(event.id);
        }
        if event.pending == 0 {
            break;
        }
    }
    Ok(ids)
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Watch {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}
