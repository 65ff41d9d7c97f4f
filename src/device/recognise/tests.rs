use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::device::Usb;

/// `PRODUCT[#SERIAL]@PORT`, as the cases below write a device.
fn parts(text: &str) -> (u16, Option<String>, String) {
    let (device, port) = text.split_once('@').unwrap();
    let (product, serial) = device.split_once('#').map_or((device, None), |(p, s)| (p, Some(s.to_owned())));
    (u16::from_str_radix(product, 16).unwrap(), serial, port.to_owned())
}

fn node(text: &str) -> Node {
    let (product, serial, port) = parts(text);
    let usb = Usb { vendor: 0x46d, product, serial, interface: 0, model: String::new() };
    let path = PathBuf::from("/dev/video0");
    Node { path, devpath: String::new(), name: String::new(), index: 0, port, usb: Some(usb), odd: false }
}

/// `NUMBER=DEVICE`, with `!` behind it when it is pinned.
fn known(text: &str) -> Known {
    let (id, device) = text.split_once('=').unwrap();
    let (device, pinned) = device.strip_suffix('!').map_or((device, false), |d| (d, true));
    let (_, serial, port) = parts(device);
    Known { id: CameraId(id.parse().unwrap()), kind: node(device).kind(), serial, port, pinned }
}

fn list<T>(text: &str, read: impl Fn(&str) -> T) -> Vec<T> {
    text.split_whitespace().map(read).collect()
}

#[test]
fn the_table_of_cases() {
    // Known cameras, what is plugged in, what each is: `=N` the same, `>N` moved, `+` new.
    let cases = [
        ("nothing was ever seen", "", "a#S1@1 b@2", "+ +"),
        ("nothing has changed", "0=a#S1@1 1=b@2", "a#S1@1 b@2", "=0 =1"),
        ("a camera with a serial number moves", "0=a#S1@1", "a#S1@2", ">0"),
        ("one without moves", "0=b@1", "b@2", ">0"),
        ("two with serial numbers swap ports", "0=a#S1@1 1=a#S2@2", "a#S2@1 a#S1@2", ">1 >0"),
        ("two alike without swap ports", "0=b@1 1=b@2", "b@2 b@1", "=1 =0"),
        ("one of two alike moves", "0=b@1 1=b@2", "b@1 b@3", "=0 >1"),
        ("both of two alike move: nobody can tell", "0=b@1 1=b@2", "b@3 b@4", "+ +"),
        ("one of two missing alike comes elsewhere", "0=b@1 1=b@2", "b@3", "+"),
        ("a second one alike is plugged in", "0=b@1", "b@1 b@2", "=0 +"),
        ("two alike come for one that is missing", "0=b@1", "b@2 b@3", "+ +"),
        ("another one with a serial number at its port", "0=a#S1@1", "a#S2@1", "+"),
        ("the first moves, another takes its port", "0=a#S1@1", "a#S2@1 a#S1@2", "+ >0"),
        ("one with a serial number is none without", "0=b@1", "b#S1@1", "+"),
        ("two share a serial number", "0=a#S1@1", "a#S1@1 a#S1@2", "=0 +"),
        ("both that share one are known", "0=a#S1@1 1=a#S1@2", "a#S1@2 a#S1@1", "=1 =0"),
        ("one that shares its number moves", "0=a#S1@1 1=a#S1@2", "a#S1@1 a#S1@3", "=0 >1"),
        ("both that share one move", "0=a#S1@1 1=a#S1@2", "a#S1@3 a#S1@4", "+ +"),
        ("another product at the port", "0=b@1", "c@1", "+"),
        ("a pinned one is what is plugged in there", "0=a#S1@1!", "a#S2@1", "=0"),
        ("a pinned one stays at its port", "0=b@1!", "b@2", "+"),
        ("a pinned place is not the one that moved", "0=a#S1@1!", "a#S2@1 a#S1@2", "=0 +"),
        ("a pinned place is for its product only", "0=a#S1@1!", "c@1", "+"),
        ("a camera behind a hub, the hub moves", "0=a#S1@2.1 1=b@2.4", "a#S1@3.1 b@3.4", ">0 >1"),
        ("alike behind a hub, the hub moves", "0=b@2.1 1=b@2.4", "b@3.1 b@3.4", "+ +"),
    ];
    for (what, cameras, plugged, expected) in cases {
        let placed = recognise(&list(plugged, node), &list(cameras, known));
        let said: Vec<_> = placed
            .iter()
            .map(|p| match p {
                Placed::Same(id) => format!("={}", id.0),
                Placed::Moved(id) => format!(">{}", id.0),
                Placed::New => "+".into(),
            })
            .collect();
        assert_eq!(said.join(" "), expected, "{what}");
    }
}

proptest! {
    /// However devices are shuffled over ports, no camera is two devices, and one that has not moved is
    /// the same whatever else happens.
    #[test]
    fn no_camera_is_two_devices_and_none_that_stays_is_lost(
        cameras in proptest::collection::vec((0u8..3, 0u8..4, 0u8..6, any::<bool>()), 0..8),
        plugged in proptest::collection::vec((0u8..3, 0u8..4, 0u8..6), 0..8),
    ) {
        let text = |(product, serial, port): (u8, u8, u8)| match serial {
            0 => format!("{product:x}@{port}"),
            s => format!("{product:x}#S{s}@{port}"),
        };
        // A port holds one device.
        let mut ports = std::collections::BTreeSet::new();
        let plugged: Vec<_> = plugged.into_iter().filter(|p| ports.insert(p.2)).collect();
        let known: Vec<Known> = cameras
            .into_iter()
            .enumerate()
            .map(|(n, (product, serial, port, pinned))| {
                known(&format!("{n}={}{}", text((product, serial, port)), if pinned { "!" } else { "" }))
            })
            .collect();
        let present: Vec<Node> = plugged.into_iter().map(|p| node(&text(p))).collect();
        let placed = recognise(&present, &known);
        let mut seen = std::collections::BTreeSet::new();
        for (node, placed) in present.iter().zip(&placed) {
            let (Placed::Same(id) | Placed::Moved(id)) = *placed else {
                let here = known.iter().any(|k| {
                    k.kind == node.kind() && k.port == node.port && k.serial.as_deref() == node.serial()
                });
                prop_assert!(!here, "{node:?} was here before");
                continue;
            };
            prop_assert!(seen.insert(id), "{id} twice");
            let camera = known.iter().find(|k| k.id == id).unwrap();
            prop_assert_eq!(&camera.kind, &node.kind());
            prop_assert!(camera.pinned || camera.serial.as_deref() == node.serial());
        }
    }
}
