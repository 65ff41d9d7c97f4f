use super::*;
use crate::device::tree::{PI4, Tree, XHCI};
use crate::usb::cameras::{C270, C920, Camera, GRABBER, PURETHERMAL};

const PI3: &str = "/devices/platform/soc/3f980000.usb";
const SOFT: &str = "EHCI Host Controller";
const HARD: &str = "xHCI Host Controller";

/// Those lines that it surely shares, and those that it may share.
fn shares(camera: &Camera, kind: &str, controller: &str, way: &str) -> (Vec<String>, Vec<String>) {
    let tree = Tree::new();
    tree.on("pci", controller);
    let node = camera.plug(&tree, kind, controller, way);
    let place = Place::read(tree.path(), &node).unwrap();
    let said = |sure: bool| {
        let of = place.shares.iter().filter(|s| s.sure == sure);
        of.map(|s| format!("{:?} {}", s.line.speed, s.line.at.rsplit('/').next().unwrap())).collect()
    };
    (said(true), said(false))
}

fn text<const N: usize, const M: usize>(sure: [&str; N], perhaps: [&str; M]) -> (Vec<String>, Vec<String>) {
    (sure.map(str::to_owned).to_vec(), perhaps.map(str::to_owned).to_vec())
}

#[test]
fn who_shares_a_budget_is_told_by_the_tree() {
    // One schedule in software, whatever the port.
    assert_eq!(shares(&C920, SOFT, XHCI, "1-4"), text(["High usb1"], []));
    assert_eq!(shares(&C270, "DWC OTG Controller", PI3, "1-1.3"), text(["High usb1"], []));
    // In hardware: one port surely, the bus perhaps. On a Pi 4 all ports are behind one hub.
    assert_eq!(shares(&C920, HARD, XHCI, "1-4"), text(["High 1-4"], ["High usb1"]));
    assert_eq!(shares(&C270, HARD, PI4, "1-1.2.3"), text(["High 1-1"], ["High usb1"]));
    assert_eq!(shares(&GRABBER, HARD, XHCI, "2-1"), text(["Super(1) 2-1"], ["Super(1) usb2"]));
    // A hub that translates, and the bus above it.
    assert_eq!(shares(&PURETHERMAL, SOFT, XHCI, "1-1.4"), text(["Full 1-1", "High usb1"], []));
    assert_eq!(shares(&PURETHERMAL, HARD, XHCI, "1-4"), text([], ["Full usb1"]));
}

#[test]
fn a_hub_with_a_translator_for_each_port_has_a_budget_for_each() {
    let tree = Tree::new();
    let node = PURETHERMAL.plug(&tree, SOFT, XHCI, "1-1.4");
    tree.put(&format!("{XHCI}/usb1/1-1/bDeviceProtocol"), "02");
    let place = Place::read(tree.path(), &node).unwrap();
    assert!(place.shares[0].line.at.ends_with("usb1/1-1/1-1.4"), "{place:?}");
}

#[test]
fn the_setting_that_a_running_camera_has_is_seen() {
    let tree = Tree::new();
    let node = C920.plug(&tree, SOFT, XHCI, "1-1.4");
    let place = Place::read(tree.path(), &node).unwrap();
    assert_eq!(place.setting(1), None);
    let at = format!("{XHCI}/usb1/1-1/1-1.4/1-1.4:1.1");
    tree.put(&format!("{at}/bAlternateSetting"), " 9");
    assert_eq!((place.setting(1), place.setting(7)), (Some(9), None));
}

#[test]
fn what_is_on_no_usb_bus_or_says_too_little_has_no_place() {
    let tree = Tree::new();
    let vivid = tree.node("/devices/platform/vivid.0", 0, "vivid");
    assert_eq!(Place::read(tree.path(), &vivid), None);
    // No speed, no descriptors.
    let node = tree.usb(XHCI, "1-1", &C920.device).remove(0);
    assert_eq!(Place::read(tree.path(), &node), None);
    for odd in ["", "/", "/../../etc", "devices", "/devices/../devices/x/y"] {
        assert_eq!(Place::read(tree.path(), odd), None, "{odd}");
    }
}

#[test]
fn a_tree_that_lies_is_survived() {
    let tree = Tree::new();
    let node = C920.plug(&tree, SOFT, XHCI, "1-4");
    let at = format!("{XHCI}/usb1/1-4");
    for (name, text) in [("speed", "-1"), ("speed", "480000000000"), ("1-4:1.0/bInterfaceNumber", "zz")] {
        tree.put(&format!("{at}/{name}"), text);
        assert_eq!(Place::read(tree.path(), &node), None, "{name} {text}");
        tree.put(&format!("{at}/speed"), "480");
    }
    tree.put(&format!("{at}/1-4:1.0/bInterfaceNumber"), "00");
    // Another interface's streams are another camera's.
    assert_eq!(Place::read(tree.path(), &node).unwrap().streams.len(), 1);
    tree.put(&format!("{at}/1-4:1.0/bInterfaceNumber"), "05");
    assert!(Place::read(tree.path(), &node).unwrap().streams.is_empty());
}
