//! The writes themselves, in the kernel's tree of devices.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::request::Request;

/// What a driver may need to let go before it takes the device again.
const BETWEEN: Duration = Duration::from_millis(100);
/// Attempts to give the device its driver back.
const ATTEMPTS: u32 = 5;
/// bInterfaceClass of USB video, bInterfaceSubClass of its streams, bDeviceClass of hubs.
const VIDEO: &str = "0e";
const STREAMING: &str = "02";
const HUB: &str = "09";

/// The kernel's tree.
pub(super) struct Sysfs {
    root: PathBuf,
}

impl Sysfs {
    /// `root` = where sysfs is mounted.
    pub fn new(root: &Path) -> io::Result<Sysfs> {
        Ok(Sysfs { root: fs::canonicalize(root)? })
    }

    /// Does what is asked. `Err` says why not, for the asker and the log. Blocks.
    pub fn carry_out(&self, request: &Request) -> Result<(), String> {
        match request {
            Request::RebindUsb(name) => self.rebind("usb", name),
            Request::RebindPlatform(name) => self.rebind("platform", name),
            Request::Reauthorize(name) => self.reauthorize(name),
        }
    }

    fn rebind(&self, bus: &str, name: &str) -> Result<(), String> {
        let device = self.device(bus, name)?;
        let is_video = attribute(&device, "bInterfaceClass").as_deref() == Some(VIDEO);
        if !is_video && !self.has_camera(&device) {
            return Err("no camera hangs there".into());
        }
        let bus = self.root.join("bus").join(bus);
        let driver = match fs::canonicalize(device.join("driver")) {
            Ok(driver) if driver.parent() == Some(bus.join("drivers").as_path()) => driver,
            Ok(_) => return Err("its driver is not where drivers are".into()),
            // It was unbound before and not bound again.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return write(&bus.join("drivers_probe"), name)
                    .map_err(|e| format!("no driver takes it: {e}"));
            }
            Err(e) => return Err(format!("its driver cannot be found: {e}")),
        };
        write(&driver.join("unbind"), name).map_err(|e| format!("its driver does not let go: {e}"))?;
        for claimed in claimed(&device, &driver) {
            // Some go with the first; one that stays is what bind complains about.
            let _ = write(&driver.join("unbind"), &claimed);
        }
        again(|| write(&driver.join("bind"), name)).map_err(|e| format!("its driver does not take it: {e}"))
    }

    fn reauthorize(&self, name: &str) -> Result<(), String> {
        let device = self.device("usb", name)?;
        if attribute(&device, "bDeviceClass").is_none_or(|class| class == HUB) {
            return Err("it is no USB device, or a hub".into());
        }
        if !self.has_camera(&device) && !has_video_interface(&device) {
            return Err("no camera hangs there".into());
        }
        let file = device.join("authorized");
        // One that somebody locked out is not let in by us.
        if attribute(&device, "authorized").as_deref() != Some("1") {
            return Err("it is not authorized".into());
        }
        write(&file, "0").map_err(|e| format!("it cannot be taken off: {e}"))?;
        again(|| write(&file, "1")).map_err(|e| format!("it cannot be put on again: {e}"))
    }

    /// A device of a bus. Its entry there is a link; the device itself stands in the tree of devices, under that
    /// very name.
    fn device(&self, bus: &str, name: &str) -> Result<PathBuf, String> {
        let entry = self.root.join("bus").join(bus).join("devices").join(name);
        let device = fs::canonicalize(entry).map_err(|_| "there is no such device".to_owned())?;
        let stands = device.starts_with(self.root.join("devices"))
            && device.file_name().is_some_and(|last| last == name);
        if stands { Ok(device) } else { Err("there is no such device".into()) }
    }

    /// A node for video hangs below it.
    fn has_camera(&self, device: &Path) -> bool {
        let Ok(nodes) = fs::read_dir(self.root.join("class/video4linux")) else { return false };
        nodes
            .flatten()
            .filter(|node| node.file_name().as_encoded_bytes().starts_with(b"video"))
            .any(|node| fs::canonicalize(node.path()).is_ok_and(|at| at != device && at.starts_with(device)))
    }
}

/// The streams of a USB camera that its driver has taken for itself: uvcvideo keeps them while anybody has the node
/// open, finds them taken when it is bound anew, and makes no node then. Those of another camera in the same device
/// are left alone: an interface association tells them apart.
fn claimed(device: &Path, driver: &Path) -> Vec<String> {
    let (Some(name), Some(above)) = (device.file_name(), device.parent()) else { return Vec::new() };
    let Some((usb, _)) = name.to_str().and_then(|name| name.split_once(':')) else { return Vec::new() };
    let function = |at: &Path| attribute(at, "iad_bFirstInterface");
    let is_stream = |at: &Path| {
        attribute(at, "bInterfaceSubClass").as_deref() == Some(STREAMING)
            && function(at) == function(device)
            && fs::canonicalize(at.join("driver")).is_ok_and(|its| its == driver)
    };
    let beside = fs::read_dir(above).into_iter().flatten().flatten();
    beside
        .filter(|entry| is_stream(&entry.path()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|other| other.split_once(':').is_some_and(|(its, _)| its == usb))
        .collect()
}

fn has_video_interface(device: &Path) -> bool {
    let Ok(below) = fs::read_dir(device) else { return false };
    below.flatten().any(|entry| attribute(&entry.path(), "bInterfaceClass").as_deref() == Some(VIDEO))
}

fn attribute(device: &Path, name: &str) -> Option<String> {
    use std::io::Read;
    let mut text = String::new();
    fs::File::open(device.join(name)).ok()?.take(64).read_to_string(&mut text).ok()?;
    Some(text.trim().to_owned())
}

/// Writes to a file that is there; it is never made, and no link is followed.
fn write(file: &Path, text: &str) -> io::Result<()> {
    let flags = nix::libc::O_NOFOLLOW | nix::libc::O_CLOEXEC;
    fs::OpenOptions::new().write(true).custom_flags(flags).open(file)?.write_all(text.as_bytes())
}

/// Some times, with a pause: half of it done is worse than nothing.
fn again(work: impl Fn() -> io::Result<()>) -> io::Result<()> {
    let mut done = Ok(());
    for _ in 0..ATTEMPTS {
        std::thread::sleep(BETWEEN);
        done = work();
        if done.is_ok() {
            break;
        }
    }
    done
}

#[cfg(test)]
mod tests;
