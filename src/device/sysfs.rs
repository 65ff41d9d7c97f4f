//! Reads what the kernel says of V4L2 nodes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::node::{Node, Usb, plain, telling};

/// More nodes than any box has.
const MAX_NODES: usize = 256;
/// Of an attribute; the kernel's own bound is a page.
const MAX_ATTRIBUTE: u64 = 4096;

/// The nodes that there are, by their path in sysfs. `sysfs` = where it is mounted. One that goes away
/// meanwhile, or cannot be read, is left out. Fails when sysfs is not there. Blocks.
pub fn scan(sysfs: &Path) -> io::Result<Vec<Node>> {
    let class = sysfs.join("class/video4linux");
    let entries = match fs::read_dir(&class) {
        // No driver was loaded yet.
        Err(e) if e.kind() == io::ErrorKind::NotFound && sysfs.join("class").is_dir() => {
            return Ok(Vec::new());
        }
        other => other?,
    };
    let mut nodes = Vec::new();
    for entry in entries.take(MAX_NODES) {
        let Ok(place) = fs::canonicalize(entry?.path()) else { continue };
        nodes.extend(read(sysfs, &place));
    }
    nodes.sort_by(|a, b| a.devpath.cmp(&b.devpath));
    Ok(nodes)
}

/// One node, from its folder in sysfs.
fn read(sysfs: &Path, place: &Path) -> Option<Node> {
    let root = fs::canonicalize(sysfs).ok()?;
    let devpath = format!("/{}", place.strip_prefix(&root).ok()?.to_str()?);
    let sysname = place.file_name()?.to_str()?;
    // Radios, sub-devices and others are of the same class.
    let number = sysname.strip_prefix("video")?;
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // Its parents: the device that it belongs to, and the buses above.
    let parents: Vec<PathBuf> =
        place.ancestors().skip(1).take_while(|p| *p != root).map(PathBuf::from).collect();
    let interface = parents.iter().position(|p| p.join("bInterfaceNumber").is_file());
    let usb_at = interface.and_then(|at| {
        let device = parents[at..].iter().position(|p| p.join("idVendor").is_file())?;
        Some((at, at + device))
    });
    let usb = usb_at.and_then(|(interface, device)| usb(&parents[interface], &parents[device]));
    let port = match usb_at {
        Some((_, device)) if usb.is_some() => usb_port(&parents[device..])?,
        _ => other_port(&parents),
    };
    Some(Node {
        path: Path::new("/dev").join(sysname),
        devpath,
        name: plain(&attribute(place, "name").unwrap_or_default(), 64),
        index: attribute(place, "index").and_then(|t| t.parse().ok()).unwrap_or(0),
        port,
        usb,
    })
}

fn usb(interface: &Path, device: &Path) -> Option<Usb> {
    let hex = |name| u16::from_str_radix(&attribute(device, name)?, 16).ok();
    let (vendor, product) = (hex("idVendor")?, hex("idProduct")?);
    let maker = plain(&attribute(device, "manufacturer").unwrap_or_default(), 48);
    let model = plain(&attribute(device, "product").unwrap_or_default(), 48);
    // Many repeat the maker in the product.
    let model = if model.starts_with(&maker) { model } else { format!("{maker} {model}").trim().to_owned() };
    Some(Usb {
        vendor,
        product,
        // Some give the product's name for a number.
        serial: attribute(device, "serial")
            .and_then(|s| telling(&s))
            .filter(|s| !model.ends_with(s.as_str())),
        interface: attribute(interface, "bInterfaceNumber").and_then(|t| u8::from_str_radix(&t, 16).ok())?,
        model,
    })
}

/// The controller and the way from it, `pci-0000:00:14.0-usb-2.3`: the kernel's `1-2.3` without the number
/// of the bus, which follows the order in which controllers were found.
fn usb_port(device_and_above: &[PathBuf]) -> Option<String> {
    let name = |p: &PathBuf| Some(p.file_name()?.to_str()?.to_owned());
    let (_, way) =
        name(device_and_above.first()?)?.split_once('-').map(|(b, w)| (b.to_owned(), w.to_owned()))?;
    let root = device_and_above.iter().position(|p| name(p).is_some_and(|n| is_root_hub(&n)))?;
    let controller = other_port(&device_and_above[root + 1..]);
    // A USB 3 controller has a bus for each speed: a camera behind a USB 2 cable is on the other one.
    Some(format!("{controller}-usb-{way}"))
}

fn is_root_hub(name: &str) -> bool {
    name.strip_prefix("usb").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// The nearest parent that hangs on a bus: `pci-0000:00:14.0`, `platform-fe801000.csi`, else `virtual`.
fn other_port(parents: &[PathBuf]) -> String {
    for parent in parents {
        let subsystem = fs::read_link(parent.join("subsystem")).ok();
        let bus = subsystem.as_deref().and_then(Path::file_name).and_then(|n| n.to_str());
        if let (Some(bus @ ("pci" | "platform" | "i2c" | "virtio")), Some(name)) =
            (bus, parent.file_name().and_then(|n| n.to_str()))
        {
            return format!("{bus}-{}", plain(name, 64));
        }
    }
    "virtual".into()
}

fn attribute(place: &Path, name: &str) -> Option<String> {
    use std::io::Read;
    let mut bytes = Vec::new();
    fs::File::open(place.join(name)).ok()?.take(MAX_ATTRIBUTE).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).trim().to_owned())
}

#[cfg(test)]
mod tests;
