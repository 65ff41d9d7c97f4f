//! Where a USB camera hangs, from sysfs: its descriptors, its speed, and whose time it shares.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::budget::Speed;
use super::descriptors::{Streaming, streams};

/// Of an attribute.
const MAX_ATTRIBUTE: u64 = 256;
/// Of the file `descriptors`.
const MAX_DESCRIPTORS: u64 = 256 << 10;

/// Whose time it is that is shared: those that name the same one share it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Line {
    /// Where it is in sysfs: a root hub, a port of it, or a hub that translates.
    pub at: String,
    pub speed: Speed,
}

/// A line, and whether all that is on it surely shares one budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Share {
    pub line: Line,
    /// No = only the controller knows.
    pub sure: bool,
    /// What is charged is the translation of a slower transfer.
    pub split: bool,
}

/// A USB camera in its tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The device's folder in sysfs.
    folder: PathBuf,
    /// The kernel's name of the device: `1-2.3`.
    name: String,
    /// What people know of the bus: its controller.
    pub(super) controller: String,
    pub(super) speed: Speed,
    pub(super) shares: Vec<Share>,
    /// Those of its function, in the device's order.
    pub(super) streams: Vec<Streaming>,
}

impl Place {
    /// Where the camera hangs whose node is at `devpath` below `sysfs`; `None` = it is on no USB bus, or does not
    /// say enough. Blocks for small reads.
    pub fn read(sysfs: &Path, devpath: &str) -> Option<Place> {
        let node = Path::new(devpath.strip_prefix('/')?);
        if node.components().any(|c| !matches!(c, std::path::Component::Normal(_))) {
            return None;
        }
        let above: Vec<&Path> = node.ancestors().skip(1).collect();
        let has = |at: &Path, name| sysfs.join(at).join(name).exists();
        let interface = above.iter().position(|at| has(at, "bInterfaceNumber"))?;
        let device = interface + above[interface..].iter().position(|at| has(at, "idVendor"))?;
        let root = device + above[device..].iter().position(|at| is_root_hub(at))?;
        let said = |at: &Path, name: &str| text(&sysfs.join(at).join(name));
        let number = u8::from_str_radix(&said(above[interface], "bInterfaceNumber")?, 16).ok()?;
        let folder = sysfs.join(above[device]);
        let speed = Speed::of(&said(above[device], "speed")?)?;
        let configuration = said(above[device], "bConfigurationValue").and_then(|n| n.parse().ok());
        let all = streams(&bytes(&folder.join("descriptors"), MAX_DESCRIPTORS)?, configuration);
        let way = Way { said: &said, up: &above[device..=root] };
        Some(Place {
            name: last(above[device]).to_owned(),
            controller: last(above.get(root + 1)?).to_owned(),
            shares: way.shares(speed),
            streams: all.into_iter().filter(|s| s.control == number).collect(),
            speed,
            folder,
        })
    }

    /// The alternate setting that a stream of it has at the moment; 0 when it is idle. Blocks for a small read.
    pub fn setting(&self, interface: u8) -> Option<u8> {
        let folder = fs::read_dir(&self.folder).ok()?.flatten().map(|e| e.path()).find(|path| {
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            name.strip_prefix(self.name.as_str()).is_some_and(|rest| {
                rest.starts_with(':') && rest.rsplit('.').next().is_some_and(|n| n.parse() == Ok(interface))
            })
        })?;
        text(&folder.join("bAlternateSetting"))?.parse().ok()
    }
}

/// The way from a device (first) up to its root hub (last).
struct Way<'a, F: Fn(&Path, &str) -> Option<String>> {
    said: &'a F,
    up: &'a [&'a Path],
}

impl<F: Fn(&Path, &str) -> Option<String>> Way<'_, F> {
    fn shares(&self, speed: Speed) -> Vec<Share> {
        let root = self.up.len() - 1;
        let speed_at = |at: usize| (self.said)(self.up[at], "speed").and_then(|s| Speed::of(&s));
        if speed != Speed::Full {
            return self.of_bus(speed, false);
        }
        // The first faster hub translates: for all its ports together, or for each (bDeviceProtocol 2).
        let Some(hub) = (1..=root).find(|at| speed_at(*at).is_some_and(|s| s > Speed::Full)) else {
            return self.of_bus(speed, false);
        };
        let each = (self.said)(self.up[hub], "bDeviceProtocol").as_deref() == Some("02");
        let at = self.up[if each { hub - 1 } else { hub }];
        // Inside of a root hub the controller does what it likes.
        let own = Share { line: Line { at: name(at), speed }, sure: hub < root, split: false };
        let above = if hub == root { Vec::new() } else { self.of_bus(Speed::High, true) };
        std::iter::once(own).chain(above).collect()
    }

    /// The bus, and its port where the controller keeps its own account.
    fn of_bus(&self, speed: Speed, split: bool) -> Vec<Share> {
        let root = self.up[self.up.len() - 1];
        let product = (self.said)(root, "product").unwrap_or_default();
        let in_hardware = product.contains("xHCI") || speed > Speed::High;
        let share = |at: &Path, sure| Share { line: Line { at: name(at), speed }, sure, split };
        let bus = share(root, !in_hardware);
        match self.up.len().checked_sub(2).filter(|_| in_hardware) {
            Some(port) => vec![share(self.up[port], true), bus],
            None => vec![bus],
        }
    }
}

fn name(at: &Path) -> String {
    at.to_string_lossy().into_owned()
}

fn last(at: &Path) -> &str {
    at.file_name().and_then(|n| n.to_str()).unwrap_or_default()
}

fn is_root_hub(at: &Path) -> bool {
    last(at).strip_prefix("usb").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

fn bytes(path: &Path, most: u64) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    fs::File::open(path).ok()?.take(most).read_to_end(&mut all).ok()?;
    Some(all)
}

fn text(path: &Path) -> Option<String> {
    Some(String::from_utf8(bytes(path, MAX_ATTRIBUTE)?).ok()?.trim().to_owned())
}

#[cfg(test)]
mod tests;
