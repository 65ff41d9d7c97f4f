//! Nodes by libudev.
//!
//! Its objects belong to one thread at a time (`udev`'s feature `send`): those of the tree live for one call,
//! the two monitors in the task that listens, their descriptors watched by the runtime.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, setsockopt, sockopt};
use tokio::io::unix::{AsyncFd, AsyncFdReadyMutGuard};
use udev::{Device, Enumerator, EventType, MonitorBuilder, MonitorSocket};

use super::devices::{Devices, Heard, Listed, Listen, MAX_NODES};
use super::node::Node;
use super::place::{Place, node};
use super::uevent::{BACKLOG, Event, What};

const SUBSYSTEM: &str = "video4linux";
/// Of an attribute; the kernel's own bound is a page.
const MAX_ATTRIBUTE: usize = 4096;
/// Messages of others that are passed over before the runtime has a turn again.
const OTHERS: usize = 64;

/// Nodes by libudev, of `/sys`.
#[derive(Clone, Debug)]
pub struct Libudev {
    run: PathBuf,
}

impl Libudev {
    /// `run` = `/run`: it says whether udevd runs.
    pub fn new(run: &Path) -> Libudev {
        Libudev { run: run.to_owned() }
    }
}

impl Devices for Libudev {
    fn list(&self) -> io::Result<Vec<Listed>> {
        let mut enumerator = Enumerator::new()?;
        enumerator.match_subsystem(SUBSYSTEM)?;
        let listed = |device: Device| {
            device.sysname().to_str().filter(|name| name.starts_with("video"))?;
            let instance = fs::metadata(device.syspath()).ok()?.ino();
            Some(Listed { devpath: device.devpath().to_str()?.to_owned(), instance })
        };
        let mut nodes: Vec<Listed> = enumerator.scan_devices()?.filter_map(listed).collect();
        nodes.sort_by(|a, b| a.devpath.cmp(&b.devpath));
        nodes.truncate(MAX_NODES);
        Ok(nodes)
    }

    fn read(&self, devpath: &str) -> Option<Node> {
        let below = devpath.strip_prefix('/')?;
        let found = Found(Device::from_syspath(&Path::new("/sys").join(below)).ok()?);
        (found.devpath()? == devpath).then(|| node(&found))?
    }

    fn listen(&self) -> io::Result<Box<dyn Listen>> {
        let by_udevd = self.run.join("udev/control").exists();
        let kernel = watched(MonitorBuilder::new_kernel()?)?;
        let udevd = if by_udevd { Some(watched(MonitorBuilder::new()?)?) } else { None };
        Ok(Box::new(Monitors { kernel, udevd }))
    }
}

struct Found(Device);

impl Place for Found {
    fn name(&self) -> Option<String> {
        Some(self.0.sysname().to_str()?.to_owned())
    }

    fn devpath(&self) -> Option<String> {
        Some(self.0.devpath().to_str()?.to_owned())
    }

    fn subsystem(&self) -> Option<String> {
        Some(self.0.subsystem()?.to_str()?.to_owned())
    }

    fn attribute(&self, name: &str) -> Option<String> {
        let bytes = self.0.attribute_value(name)?.as_encoded_bytes();
        let bytes = &bytes[..bytes.len().min(MAX_ATTRIBUTE)];
        Some(String::from_utf8_lossy(bytes).trim().to_owned())
    }

    fn parent(&self) -> Option<Self> {
        self.0.parent().map(Found)
    }
}

/// What is gone is heard from the kernel, what comes from udevd where it runs: when its rules ran.
struct Monitors {
    kernel: AsyncFd<MonitorSocket>,
    udevd: Option<AsyncFd<MonitorSocket>>,
}

#[expect(unsafe_code, reason = "tokio's safe constructor is deprecated")]
fn watched(monitor: MonitorBuilder) -> io::Result<AsyncFd<MonitorSocket>> {
    let socket = monitor.match_subsystem(SUBSYSTEM)?.listen()?;
    // More than the administrator allows is cut down by the kernel.
    setsockopt(&socket, sockopt::RcvBuf, &BACKLOG)?;
    // SAFETY: a monitor has one open descriptor for as long as it lives, and always the same.
    Ok(unsafe { AsyncFd::register(socket) }?)
}

impl Listen for Monitors {
    fn next(&mut self) -> Heard<'_> {
        Box::pin(self.hear())
    }
}

/// What a monitor had.
enum Got {
    Event(Event),
    Lost,
    Others,
}

impl Monitors {
    async fn hear(&mut self) -> io::Result<Option<Event>> {
        let by_udevd = self.udevd.is_some();
        loop {
            let (ready, from_kernel) = tokio::select! {
                biased;
                ready = self.kernel.readable_mut() => (ready?, true),
                ready = readable(&mut self.udevd) => (ready?, false),
            };
            match receive(ready) {
                None | Some(Ok(Got::Others)) => {}
                Some(Ok(Got::Event(event))) => {
                    if !by_udevd || from_kernel == (event.what == What::Removed) {
                        return Ok(Some(event));
                    }
                }
                Some(Ok(Got::Lost)) => return Ok(None),
                Some(Err(error)) => return Err(error),
            }
        }
    }
}

async fn readable(
    socket: &mut Option<AsyncFd<MonitorSocket>>,
) -> io::Result<AsyncFdReadyMutGuard<'_, MonitorSocket>> {
    match socket {
        Some(socket) => socket.readable_mut().await,
        None => std::future::pending().await,
    }
}

/// `None` = there is nothing more.
fn receive(mut ready: AsyncFdReadyMutGuard<'_, MonitorSocket>) -> Option<io::Result<Got>> {
    ready.try_io(|socket| one_of(socket.get_ref())).ok()
}

/// libudev has one answer for "nothing there", "not for you" and "some were lost". So the socket is asked
/// first, without taking anything out.
fn one_of(socket: &MonitorSocket) -> io::Result<Got> {
    for _ in 0..OTHERS {
        match recv(socket.as_raw_fd(), &mut [0], MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT) {
            Err(Errno::ENOBUFS) => return Ok(Got::Lost),
            Err(Errno::EINTR) => continue,
            Err(error) => return Err(error.into()),
            Ok(_) => {}
        }
        if let Some(event) = socket.iter().next().as_ref().and_then(told) {
            return Ok(Got::Event(event));
        }
    }
    Ok(Got::Others)
}

fn told(event: &udev::Event) -> Option<Event> {
    let what = match event.event_type() {
        EventType::Add => What::Added,
        EventType::Remove => What::Removed,
        EventType::Change => What::Changed,
        _ => return None,
    };
    Some(Event { what, devpath: event.devpath().to_str()?.to_owned(), number: event.sequence_number() })
}

#[cfg(test)]
mod tests;
