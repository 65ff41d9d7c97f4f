//! A V4L2 node as sysfs describes it.

use std::path::PathBuf;

/// One `/dev/videoN`: a camera, or another function of it, or no camera at all; only its capabilities tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Below `/dev`.
    pub path: PathBuf,
    /// Where it stands in sysfs, without the mount point: what events name it by.
    pub devpath: String,
    /// What the driver calls it, for people.
    pub name: String,
    /// Which of its device's nodes it is.
    pub index: u32,
    /// Where it is plugged in: its controller and the way over hubs, or the bus address. The same plug is
    /// the same port at each start, whatever number the kernel gives the bus.
    pub port: String,
    /// What it says of itself; `None` = it is on another bus.
    pub usb: Option<Usb>,
    /// Something of what it says was left out: it cannot be printed, or is too long.
    pub odd: bool,
}

/// What a USB device's descriptors say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usb {
    /// idVendor.
    pub vendor: u16,
    /// idProduct.
    pub product: u16,
    /// iSerialNumber, when it can tell two devices apart.
    pub serial: Option<String>,
    /// bInterfaceNumber.
    pub interface: u8,
    /// Maker and product, for people.
    pub model: String,
}

impl Node {
    /// What every unit of this product has in common, this function of it: two nodes of one device differ.
    pub fn kind(&self) -> String {
        match &self.usb {
            Some(usb) => {
                let function = match (usb.interface, self.index) {
                    (0, 0) => String::new(),
                    (interface, 0) => format!("/{interface}"),
                    (interface, index) => format!("/{interface}.{index}"),
                };
                format!("usb-{:04x}:{:04x}{function}", usb.vendor, usb.product)
            }
            // A driver that makes several devices at one place tells them apart by name, or by order.
            None => {
                let bus = self.port.split('-').next().unwrap_or_default();
                let order = if self.index == 0 { String::new() } else { format!(".{}", self.index) };
                format!("{bus}/{}{order}", self.name)
            }
        }
    }

    /// Its serial number, when it has one that can tell two devices apart.
    pub fn serial(&self) -> Option<&str> {
        self.usb.as_ref()?.serial.as_deref()
    }

    /// For people.
    pub fn model(&self) -> &str {
        self.usb.as_ref().map(|u| u.model.as_str()).filter(|m| !m.is_empty()).unwrap_or(&self.name)
    }
}

/// A serial number that a maker gave to one device and not to all: those of one repeated character, of a
/// counted-up row, or of a well-known filler are no serial numbers.
pub(super) fn telling(serial: &str) -> Option<String> {
    /// Seen on whole product lines: Sonix, Chicony, Realtek, Microdia, OmniVision, Innomaker, Silicon Motion.
    const FILLERS: [&str; 9] =
        ["sn0001", "ov0001", "0001", "200901010001", "default", "none", "n/a", "webcam", "camera"];
    let serial = plain(serial, 64);
    let lower = serial.to_ascii_lowercase();
    let mut chars = lower.chars();
    let first = chars.next()?;
    let alike = chars.all(|c| c == first);
    let row = "0123456789abcdef0123456789".contains(&lower);
    (!alike && !row && !FILLERS.contains(&lower.as_str())).then_some(serial)
}

/// What a device said, fit for a log, a list and a file: visible ASCII, single spaces, bounded.
pub fn plain(text: &str, most: usize) -> String {
    let words = text.split(|c: char| !c.is_ascii_graphic()).filter(|w| !w.is_empty());
    let mut out = String::new();
    for word in words {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out.truncate(most);
    out.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fillers_are_no_serial_numbers() {
        for filler in ["", "  ", "0", "00000000", "SN0001", "200901010001", "12345678", "\u{1}\u{2}", "N/A"] {
            assert_eq!(telling(filler), None, "{filler:?}");
        }
        for serial in ["5A2F1B60", "E4B0C2DF", "819112073111", " 7A4C2E1F\n"] {
            assert_eq!(telling(serial).as_deref(), Some(serial.trim()));
        }
    }

    proptest! {
        #[test]
        fn whatever_a_device_says_is_printable_and_bounded(text: String, most in 0usize..80) {
            let plain = plain(&text, most);
            prop_assert!(plain.len() <= most && plain.bytes().all(|b| (0x20..0x7f).contains(&b)));
        }
    }
}
