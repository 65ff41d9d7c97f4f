//! What the kernel tells of devices that come and go (`NETLINK_KOBJECT_UEVENT`).
//!
//! Two ways to hear it: from the kernel itself (group 1), or from udevd after its rules ran (group 2), when
//! the node has its owner and mode. Where udevd runs, it is waited for, but what is gone is gone: that is
//! heard from the kernel in any case. Layouts: `lib/kobject_uevent.c` of Linux, `sd-device/device-monitor.c`
//! of systemd.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind,
    recvmsg, setsockopt, socket, sockopt,
};
use tokio::io::unix::AsyncFd;

use super::devices::{Heard, Listen};

/// One message of a device; the kernel's own are below 4 KiB, udevd's below 8.
const MESSAGE: usize = 16 << 10;
/// Of the socket: a hub full of cameras sends some dozen at once.
pub(super) const BACKLOG: usize = 1 << 20;
const KERNEL: u32 = 1;
const UDEVD: u32 = 2;
/// Of udevd's messages, in network order.
const MAGIC: u32 = 0xfeed_cafe;

/// What happened to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It can be opened.
    Added,
    /// It is gone.
    Removed,
    /// Something about it is different.
    Changed,
}

/// Something about one V4L2 node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub what: What,
    /// [`super::Node::devpath`].
    pub devpath: String,
    /// Counts the kernel's events.
    pub number: u64,
}

/// The events from the moment of its making on, by netlink.
pub(super) struct Events {
    socket: AsyncFd<OwnedFd>,
    by_udevd: bool,
    buffer: Vec<u8>,
}

impl Events {
    /// Listens to udevd where it runs (`run` = `/run`), else to the kernel. Needs a runtime.
    pub fn listen(run: &Path) -> io::Result<Events> {
        let by_udevd = run.join("udev/control").exists();
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
            SockProtocol::NetlinkKObjectUEvent,
        )?;
        setsockopt(&socket, sockopt::PassCred, &true)?;
        // More than the administrator allows is cut down by the kernel.
        setsockopt(&socket, sockopt::RcvBuf, &BACKLOG)?;
        let groups = if by_udevd { KERNEL | UDEVD } else { KERNEL };
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
        #[expect(unsafe_code, reason = "the descriptor is owned here and stays the same one")]
        let socket = unsafe { AsyncFd::register(socket)? };
        Ok(Events { socket, by_udevd, buffer: vec![0; MESSAGE] })
    }

    async fn hear(&mut self) -> io::Result<Option<Event>> {
        loop {
            let mut ready = self.socket.readable().await?;
            let (buffer, by_udevd) = (&mut self.buffer, self.by_udevd);
            match ready.try_io(|socket| receive(socket.get_ref(), buffer, by_udevd)) {
                Ok(Ok(Got::Event(event))) => return Ok(Some(event)),
                Ok(Ok(Got::Cut)) => return Ok(None),
                Ok(Ok(Got::Other)) => {}
                // The kernel dropped what did not fit.
                Ok(Err(e)) if e.raw_os_error() == Some(nix::libc::ENOBUFS) => return Ok(None),
                Ok(Err(e)) => return Err(e),
                Err(_would_block) => {}
            }
        }
    }
}

impl Listen for Events {
    fn next(&mut self) -> Heard<'_> {
        Box::pin(self.hear())
    }
}

enum Got {
    Event(Event),
    /// A message that was too long to be understood.
    Cut,
    /// Not about a V4L2 node, not from who may tell, or told before by another.
    Other,
}

/// One message.
fn receive(socket: &OwnedFd, buffer: &mut [u8], by_udevd: bool) -> io::Result<Got> {
    let mut space = nix::cmsg_space!(nix::libc::ucred);
    let mut parts = [IoSliceMut::new(buffer)];
    let got =
        recvmsg::<NetlinkAddr>(socket.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::MSG_DONTWAIT)?;
    let root = got.cmsgs()?.any(|c| matches!(c, ControlMessageOwned::ScmCredentials(who) if who.uid() == 0));
    let from_kernel = got.address.is_some_and(|a| a.pid() == 0);
    if !root || (!from_kernel && !by_udevd) {
        return Ok(Got::Other);
    }
    if got.flags.contains(MsgFlags::MSG_TRUNC) {
        return Ok(Got::Cut);
    }
    let length = got.bytes;
    let message = &buffer[..length];
    let event = if from_kernel { of_kernel(message) } else { of_udevd(message) };
    let from_whom_it_is_heard = |event: &Event| !by_udevd || from_kernel == (event.what == What::Removed);
    Ok(event.filter(from_whom_it_is_heard).map_or(Got::Other, Got::Event))
}

/// `add@/devices/…`, then the properties.
fn of_kernel(message: &[u8]) -> Option<Event> {
    let end = message.iter().position(|b| *b == 0)?;
    message[..end].contains(&b'@').then(|| event(&message[end + 1..]))?
}

/// A header of 40 bytes that says where the properties stand.
fn of_udevd(message: &[u8]) -> Option<Event> {
    let rest = message.strip_prefix(b"libudev\0")?;
    let word = |n: usize| Some(*rest.get(4 * n..)?.first_chunk::<4>()?);
    if u32::from_be_bytes(word(0)?) != MAGIC {
        return None;
    }
    let number = |n| usize::try_from(u32::from_ne_bytes(word(n)?)).ok();
    let (at, length) = (number(2)?, number(3)?);
    event(message.get(at..at.checked_add(length)?)?)
}

/// From `KEY=VALUE` properties, each ended by a zero.
fn event(properties: &[u8]) -> Option<Event> {
    let value = |name: &str| {
        properties.split(|b| *b == 0).find_map(|property| {
            let text = std::str::from_utf8(property).ok()?;
            text.strip_prefix(name)?.strip_prefix('=')
        })
    };
    if value("SUBSYSTEM")? != "video4linux" {
        return None;
    }
    let what = match value("ACTION")? {
        "add" => What::Added,
        "remove" => What::Removed,
        "change" => What::Changed,
        _ => return None,
    };
    let devpath = value("DEVPATH").filter(|p| p.starts_with("/devices/"))?.to_owned();
    Some(Event { what, devpath, number: value("SEQNUM").and_then(|n| n.parse().ok()).unwrap_or(0) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PATH: &str = "/devices/pci0000:00/0000:00:14.0/usb1/1-2/1-2:1.0/video4linux/video0";

    fn properties(action: &str, subsystem: &str) -> Vec<u8> {
        let text = format!("ACTION={action}\0DEVPATH={PATH}\0SUBSYSTEM={subsystem}\0MAJOR=81\0SEQNUM=4711\0");
        text.into_bytes()
    }

    fn kernels(action: &str, subsystem: &str) -> Vec<u8> {
        [format!("{action}@{PATH}\0").into_bytes(), properties(action, subsystem)].concat()
    }

    fn udevds(properties: &[u8]) -> Vec<u8> {
        let mut out = b"libudev\0".to_vec();
        out.extend(MAGIC.to_be_bytes());
        out.extend([40, 40, properties.len() as u32].map(u32::to_ne_bytes).concat());
        out.extend([0; 16]);
        out.extend(properties);
        out
    }

    #[test]
    fn both_ways_tell_the_same() {
        let added = Event { what: What::Added, devpath: PATH.into(), number: 4711 };
        assert_eq!(of_kernel(&kernels("add", "video4linux")), Some(added.clone()));
        assert_eq!(of_udevd(&udevds(&properties("add", "video4linux"))), Some(added));
        let removed = of_kernel(&kernels("remove", "video4linux")).unwrap();
        assert_eq!(removed.what, What::Removed);
        assert_eq!(of_udevd(&udevds(&properties("change", "video4linux"))).unwrap().what, What::Changed);
    }

    #[test]
    fn other_events_are_not_ours() {
        for (action, subsystem) in [("add", "usb"), ("bind", "video4linux")] {
            assert_eq!(of_kernel(&kernels(action, subsystem)), None, "{action} {subsystem}");
        }
        // The kernel's layout where udevd's is due, and the other way round.
        assert_eq!(of_udevd(&kernels("add", "video4linux")), None);
        assert_eq!(of_kernel(&udevds(&properties("add", "video4linux"))), None);
    }

    proptest! {
        #[test]
        fn any_message_is_survived(message: Vec<u8>, cut in 0usize..200, at in 0usize..200, value: u8) {
            let _ = (of_kernel(&message), of_udevd(&message));
            for mut message in [kernels("add", "video4linux"), udevds(&properties("add", "video4linux"))] {
                let at = at % message.len();
                message[at] = value;
                message.truncate(message.len() - cut % message.len());
                let _ = (of_kernel(&message), of_udevd(&message));
            }
        }
    }
}
