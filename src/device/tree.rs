//! Trees of devices for tests: what is plugged in, as sysfs shows it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::{Devices, Node, Sysfs};

/// Of a desktop; the Raspberry Pi 4's is behind PCI too, the 5's is not.
pub const XHCI: &str = "/devices/pci0000:00/0000:00:14.0";
pub const PI4: &str = "/devices/platform/scb/fd500000.pcie/pci0000:00/0000:00:00.0/0000:01:00.0";
pub const PI5: &str = "/devices/platform/axi/1000120000.pcie/1f00200000.usb/xhci-hcd.0";

/// A sysfs with what is plugged in.
#[derive(Debug)]
pub struct Tree(tempfile::TempDir);

/// A USB device as lists of real ones tell it: vendor, product, maker, model, serial number (`""` = none),
/// and its nodes: interface, index, name.
#[derive(Clone, Copy, Debug)]
pub struct Device(
    pub u16,
    pub u16,
    pub &'static str,
    pub &'static str,
    pub &'static str,
    pub &'static [(u8, u32, &'static str)],
);

impl Tree {
    pub fn new() -> Tree {
        let tree = Tree(tempfile::tempdir().unwrap());
        fs::create_dir_all(tree.0.path().join("class/video4linux")).unwrap();
        tree
    }

    pub fn put(&self, path: &str, text: &str) {
        let path = self.0.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{text}\n")).unwrap();
    }

    /// Says on which bus a device hangs.
    pub fn on(&self, bus: &str, device: &str) {
        self.put(&format!("{device}/uevent"), "");
        let link = self.0.path().join(device.trim_start_matches('/')).join("subsystem");
        if link.symlink_metadata().is_err() {
            symlink(format!("/sys/bus/{bus}"), link).unwrap();
        }
    }

    /// A device on the platform bus.
    pub fn platform(&self, device: &str) {
        self.on("platform", device);
    }

    /// The lowest free `videoN` below `parent`, as the kernel does; answers with its path in sysfs.
    pub fn node(&self, parent: &str, index: u32, name: &str) -> String {
        let class = self.0.path().join("class/video4linux");
        let free = |n: &u32| class.join(format!("video{n}")).symlink_metadata().is_err();
        let number = (0..).find(free).unwrap();
        let place = format!("{}/video4linux/video{number}", parent.trim_start_matches('/'));
        self.put(&format!("{place}/name"), name);
        self.put(&format!("{place}/index"), &index.to_string());
        self.on("video4linux", &place);
        symlink(format!("../../{place}"), class.join(format!("video{number}"))).unwrap();
        format!("/{place}")
    }

    /// Plugs a USB device in below a controller; `way` is the kernel's `1-2.3`. Answers with its nodes' paths
    /// in sysfs.
    pub fn usb(&self, controller: &str, way: &str, device: &Device) -> Vec<String> {
        let Device(vendor, product, maker, model, serial, nodes) = device;
        let bus = way.split('-').next().unwrap();
        let mut place = format!("{controller}/usb{bus}");
        self.on("usb", &place);
        self.put(&format!("{place}/idVendor"), "1d6b");
        // Hubs on the way.
        let steps: Vec<usize> = way.match_indices('.').map(|(at, _)| at).chain([way.len()]).collect();
        for end in steps {
            place = format!("{place}/{}", &way[..end]);
            self.on("usb", &place);
            self.put(&format!("{place}/idVendor"), "0bda");
        }
        self.put(&format!("{place}/idVendor"), &format!("{vendor:04x}"));
        self.put(&format!("{place}/idProduct"), &format!("{product:04x}"));
        for (name, text) in [("manufacturer", maker), ("product", model), ("serial", serial)] {
            if !text.is_empty() {
                self.put(&format!("{place}/{name}"), text);
            }
        }
        let node = |(interface, index, name): &(u8, u32, &str)| {
            let interface_place = format!("{place}/{way}:1.{interface}");
            self.on("usb", &interface_place);
            self.put(&format!("{interface_place}/bInterfaceNumber"), &format!("{interface:02x}"));
            self.node(&interface_place, *index, name)
        };
        nodes.iter().map(node).collect()
    }

    /// Pulls out the device that has this path, or that is above it.
    pub fn unplug(&self, devpath: &str) {
        let root = self.0.path();
        let class = root.join("class/video4linux");
        let gone = root.join(devpath.trim_start_matches('/'));
        for entry in fs::read_dir(&class).unwrap().flatten() {
            if fs::canonicalize(entry.path()).is_ok_and(|at| at.starts_with(&gone)) {
                fs::remove_file(entry.path()).unwrap();
            }
        }
        fs::remove_dir_all(gone).unwrap();
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn devices(&self) -> Sysfs {
        Sysfs::new(self.0.path(), Path::new("/nowhere"))
    }

    pub fn scan(&self) -> Vec<Node> {
        let mut nodes = self.devices().scan().unwrap();
        nodes.sort_by_key(|n| n.path.to_str().unwrap()["/dev/video".len()..].parse::<u32>().unwrap());
        nodes
    }
}
