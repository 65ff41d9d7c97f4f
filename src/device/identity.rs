//! The text by which people and the configuration call a camera.

use super::node::Node;

/// Stands before it where cameras of all sources are told apart: in settings, and in the database.
pub const SOURCE: &str = "v4l2:";

/// Of one text, without what tells two of the same apart. Real ones are below 80.
const MOST: usize = 160;

/// What a camera is called from the first time it is seen on: its kind with its serial number, or with the
/// place where it was plugged in (`usb-046d:082d-7A4C2E1F`, `usb-0c45:6366@pci-0000:00:14.0-usb-2.3`).
/// It is a name and no address: it stays though the camera moves.
///
/// Letters, digits and `.:/@_+-` alone, 1 to 160 of them: it can stand in TOML, a log and a shell as it is.
/// A `~` and a number behind it are the database's, for a second device of the same text.
pub fn identity(node: &Node) -> String {
    let kind = node.kind();
    let text = match node.serial() {
        Some(serial) => format!("{kind}-{serial}"),
        None => format!("{kind}@{}", node.port),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || ".:/@_+-".contains(c);
    text.chars().take(MOST).map(|c| if plain(c) { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::*;
    use crate::device::Usb;

    fn usb(product: u16, serial: Option<&str>, port: &str, interface: u8, index: u32) -> Node {
        let serial = serial.map(str::to_owned);
        let usb = Usb { vendor: 0x46d, product, serial, interface, model: String::new() };
        Node { usb: Some(usb), ..other("", port, index) }
    }

    fn other(name: &str, port: &str, index: u32) -> Node {
        Node {
            path: PathBuf::from("/dev/video0"),
            devpath: String::new(),
            name: name.into(),
            index,
            port: port.into(),
            usb: None,
            odd: false,
        }
    }

    #[test]
    fn it_says_what_and_which_or_where() {
        let port = "pci-0000:00:14.0-usb-2.3";
        for (node, expected) in [
            (usb(0x082d, Some("7A4C2E1F"), port, 0, 0), "usb-046d:082d-7A4C2E1F"),
            (usb(0x0825, None, port, 0, 0), "usb-046d:0825@pci-0000:00:14.0-usb-2.3"),
            (usb(0x085e, Some("A1B2"), port, 0, 2), "usb-046d:085e/0.2-A1B2"),
            (usb(0x0825, Some("a \"b\\"), port, 0, 0), "usb-046d:0825-a__b_"),
            (
                other("unicam-image", "platform-fe801000.csi", 0),
                "platform/unicam-image@platform-fe801000.csi",
            ),
            (other("Cam A ~2", "virtual", 0), "virtual/Cam_A__2@virtual"),
        ] {
            assert_eq!(identity(&node), expected);
        }
    }

    proptest! {
        #[test]
        fn any_device_has_one_that_can_stand_anywhere(name: String, serial: Option<String>, port: String) {
            for node in [usb(1, serial.as_deref(), &port, 3, 7), other(&name, &port, 1)] {
                let text = identity(&node);
                prop_assert!((1..=MOST).contains(&text.len()));
                prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b".:/@_+-".contains(&b)), "{text}");
            }
        }
    }
}
