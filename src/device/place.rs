//! From what is known of a place in the tree of devices to the node that stands there: one rule, however the
//! tree is read.

use std::path::Path;

use super::node::{Node, Usb, plain, telling};

/// A place in the tree of devices.
pub(super) trait Place: Sized {
    /// Its last name.
    fn name(&self) -> Option<String>;
    /// Where it stands, without the mount point of sysfs.
    fn devpath(&self) -> Option<String>;
    /// On which bus it hangs, or of which class it is.
    fn subsystem(&self) -> Option<String>;
    /// What it says under this name, without space around; `None` = nothing is there.
    fn attribute(&self, name: &str) -> Option<String>;
    /// The place above.
    fn parent(&self) -> Option<Self>;
}

/// The node at a place; `None` = there is none, or not all of it yet.
pub(super) fn node<P: Place>(place: &P) -> Option<Node> {
    let sysname = place.name()?;
    // Radios, sub-devices and others are of the same class.
    let number = sysname.strip_prefix("video")?;
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // The kernel shows the folder before what is in it: without an index, another node of the same device
    // would be taken for its first.
    let index = place.attribute("index")?;
    let name = place.attribute("name")?;
    let parents: Vec<P> = std::iter::successors(place.parent(), Place::parent).collect();
    let interface = parents.iter().position(|p| p.attribute("bInterfaceNumber").is_some());
    let usb_at = interface.and_then(|at| {
        let device = parents[at..].iter().position(|p| p.attribute("idVendor").is_some())?;
        Some((at, at + device))
    });
    let usb = usb_at.and_then(|(interface, device)| usb(&parents[interface], &parents[device]));
    let port = match usb_at {
        Some((_, device)) if usb.is_some() => usb_port(&parents[device..])?,
        // One that hangs nowhere has only the number that whoever made it gave it.
        _ => other_port(&parents).unwrap_or_else(|| format!("virtual-{sysname}")),
    };
    let (name, odd) = said(&name, 64);
    Some(Node {
        path: Path::new("/dev").join(&sysname),
        devpath: place.devpath()?,
        index: index.parse().unwrap_or(0),
        odd: odd || usb.as_ref().is_some_and(|(_, odd)| *odd),
        name,
        port,
        usb: usb.map(|(usb, _)| usb),
    })
}

/// What a device said, and whether something had to be left out.
fn said(text: &str, most: usize) -> (String, bool) {
    let plain = plain(text, most);
    let odd = plain != text.split_whitespace().collect::<Vec<_>>().join(" ");
    (plain, odd)
}

fn usb<P: Place>(interface: &P, device: &P) -> Option<(Usb, bool)> {
    let hex = |name| u16::from_str_radix(&device.attribute(name)?, 16).ok();
    let (vendor, product) = (hex("idVendor")?, hex("idProduct")?);
    let text = |name| device.attribute(name).unwrap_or_default();
    let (maker, odd_maker) = said(&text("manufacturer"), 48);
    let (model, odd_model) = said(&text("product"), 48);
    let (_, odd_serial) = said(&text("serial"), 64);
    // Many repeat the maker in the product.
    let model = if model.starts_with(&maker) { model } else { format!("{maker} {model}").trim().to_owned() };
    let usb = Usb {
        vendor,
        product,
        // Some give the product's name for a number.
        serial: telling(&text("serial")).filter(|s| !model.ends_with(s.as_str())),
        interface: u8::from_str_radix(&interface.attribute("bInterfaceNumber")?, 16).ok()?,
        model,
    };
    Some((usb, odd_maker || odd_model || odd_serial))
}

/// The controller and the way from it, `pci-0000:00:14.0-usb-2.3`: the kernel's `1-2.3` without the number
/// of the bus, which follows the order in which controllers were found.
fn usb_port<P: Place>(device_and_above: &[P]) -> Option<String> {
    let name = device_and_above.first()?.name()?;
    let (_, way) = name.split_once('-')?;
    let root = device_and_above.iter().position(|p| p.name().is_some_and(|n| is_root_hub(&n)))?;
    let controller = other_port(&device_and_above[root + 1..]).unwrap_or_else(|| "virtual".into());
    // A USB 3 controller has a bus for each speed: a camera behind a USB 2 cable is on the other one.
    Some(format!("{controller}-usb-{}", plain(way, 64)))
}

fn is_root_hub(name: &str) -> bool {
    name.strip_prefix("usb").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// The nearest parent that hangs on a bus: `pci-0000:00:14.0`, `platform-fe801000.csi`. One that is counted
/// as it is found is passed over where there is another above it.
fn other_port<P: Place>(parents: &[P]) -> Option<String> {
    let on_a_bus = |parent: &P| {
        let bus =
            parent.subsystem().filter(|b| matches!(b.as_str(), "pci" | "platform" | "i2c" | "virtio"))?;
        Some((bus, parent.name()?))
    };
    // The host half of a controller with two roles (Raspberry Pi 5, i.MX 6, chips of phones).
    let is_counted = |name: &str| {
        name.ends_with(".auto") || ["xhci-hcd.", "ci_hdrc."].iter().any(|half| name.starts_with(half))
    };
    let mut counted = None;
    for (bus, name) in parents.iter().filter_map(on_a_bus) {
        let port = format!("{bus}-{}", plain(&name, 64));
        if !is_counted(&name) {
            return Some(port);
        }
        counted.get_or_insert(port);
    }
    counted
}
