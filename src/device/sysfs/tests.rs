use std::os::unix::fs::symlink;

use super::*;
use crate::device::tree::{Device, PI4, PI5, Tree, XHCI};

const UVC: &[(u8, u32, &str)] = &[(0, 0, "USB Camera"), (0, 1, "USB Camera")];

#[test]
fn usb_cameras_are_told_by_what_they_say() {
    // What it is, and what is left of its serial number and its name.
    let cases = [
        (Device(0x046d, 0x0825, "", "", "5A2F1B60", UVC), Some("5A2F1B60"), "USB Camera"),
        // A later C270: all of them say this.
        (Device(0x046d, 0x0825, "", "C270 HD WEBCAM", "200901010001", UVC), None, "C270 HD WEBCAM"),
        (
            Device(0x046d, 0x082d, "", "HD Pro Webcam C920", "7A4C2E1F", UVC),
            Some("7A4C2E1F"),
            "HD Pro Webcam C920",
        ),
        (
            Device(0x13d3, 0x784b, "FLH-BY-0309-200514", "Integrated Camera", "", UVC),
            None,
            "FLH-BY-0309-200514 Integrated Camera",
        ),
        // Sonix: the serial number is the product's name.
        (
            Device(0x0c45, 0x6366, "Sonix Technology Co., Ltd.", "Webcam", "Webcam", UVC),
            None,
            "Sonix Technology Co., Ltd. Webcam",
        ),
        (
            Device(0x0c45, 0x6368, "Sonix Technology Co., Ltd.", "USB 2.0 Camera", "", UVC),
            None,
            "Sonix Technology Co., Ltd. USB 2.0 Camera",
        ),
    ];
    for (device, serial, model) in cases {
        let tree = Tree::new();
        tree.on("pci", XHCI);
        tree.usb(XHCI, "1-4", &device);
        let nodes = tree.scan();
        let Device(vendor, product, ..) = device;
        assert_eq!(nodes.len(), 2);
        assert_eq!((nodes[0].serial(), nodes[0].model()), (serial, model));
        assert_eq!(nodes[0].kind(), format!("usb-{vendor:04x}:{product:04x}"));
        assert_eq!(nodes[0].port, "pci-0000:00:14.0-usb-4");
        assert_eq!(nodes[1].kind(), format!("usb-{vendor:04x}:{product:04x}/0.1"));
    }
}

#[test]
fn a_port_is_the_controller_and_the_way_over_hubs() {
    let camera = Device(0x0c45, 0x6368, "", "", "", &[(0, 0, "USB 2.0 Camera")]);
    for (bus, controller, name) in [
        ("pci", XHCI, "pci-0000:00:14.0"),
        ("pci", PI4, "pci-0000:01:00.0"),
        ("platform", PI5, "platform-1f00200000.usb"),
    ] {
        let tree = Tree::new();
        tree.on(bus, controller);
        if bus == "platform" {
            tree.on(bus, controller.rsplit_once('/').unwrap().0);
        }
        // The number of the bus is the order in which controllers were found.
        for (way, port) in [("1-1", "1"), ("1-1.4.2", "1.4.2"), ("3-2", "2")] {
            tree.usb(controller, way, &camera);
            assert!(
                tree.scan().iter().any(|n| n.port == format!("{name}-usb-{port}")),
                "{way}: {:?}",
                tree.scan()
            );
        }
    }
}

#[test]
fn several_functions_of_one_device_are_of_different_kinds() {
    let tree = Tree::new();
    tree.on("pci", XHCI);
    // Pictures, their metadata, infrared and its metadata (Logitech BRIO).
    let brio =
        [(0, 0, "Logitech BRIO"), (0, 1, "Logitech BRIO"), (0, 2, "Logitech BRIO"), (0, 3, "Logitech BRIO")];
    tree.usb(
        XHCI,
        "2-1",
        &Device(0x046d, 0x085e, "", "Logitech BRIO", "A1B2C3D4", Box::leak(Box::new(brio))),
    );
    // Depth and colour on interfaces of their own (Intel RealSense D435).
    let depth = [(0, 0, "Depth"), (0, 2, "Infrared"), (3, 0, "RGB")];
    tree.usb(
        XHCI,
        "2-2",
        &Device(0x8086, 0x0b07, "Intel(R)", "RealSense(TM) 435", "819112073111", Box::leak(Box::new(depth))),
    );
    let nodes = tree.scan();
    let kinds: std::collections::BTreeSet<_> = nodes.iter().map(|n| (n.kind(), n.port.clone())).collect();
    assert_eq!(kinds.len(), 7, "{kinds:?}");
    assert!(kinds.iter().any(|k| k.0 == "usb-8086:0b07/3"));
}

#[test]
fn devices_on_other_buses_are_told_by_place_and_name() {
    let tree = Tree::new();
    let csi = "/devices/platform/soc/fe801000.csi";
    tree.on("platform", csi);
    tree.node(csi, 0, "unicam-image");
    // Two cameras of one platform device.
    let vivid = "/devices/platform/vivid.0";
    tree.on("platform", vivid);
    tree.node(vivid, 0, "vivid-000-vid-cap");
    tree.node(vivid, 0, "vivid-001-vid-cap");
    tree.node("/devices/virtual", 0, "Cam A");
    let told: Vec<_> = tree.scan().iter().map(|n| (n.kind(), n.port.clone())).collect();
    let expected = [
        ("platform/unicam-image", "platform-fe801000.csi"),
        ("platform/vivid-000-vid-cap", "platform-vivid.0"),
        ("platform/vivid-001-vid-cap", "platform-vivid.0"),
        ("virtual/Cam A", "virtual-video3"),
    ];
    assert!(told.iter().map(|(k, p)| (k.as_str(), p.as_str())).eq(expected), "{told:?}");
}

#[test]
fn hostile_and_torn_trees_are_survived() {
    let tree = Tree::new();
    assert!(Sysfs::new(&tree.path().join("nothing"), Path::new("/nowhere")).scan().is_err());
    assert_eq!(tree.scan(), []);
    let class = tree.path().join("class/video4linux");
    // Gone meanwhile, not a camera, outside of sysfs.
    symlink("../../devices/gone/video0", class.join("video0")).unwrap();
    symlink("/etc", class.join("video1")).unwrap();
    tree.put("/devices/radio/video4linux/radio0/name", "Radio");
    symlink("../../devices/radio/video4linux/radio0", class.join("radio0")).unwrap();
    tree.on("pci", XHCI);
    let name = "\u{1b}[31m\u{202e}\0camera\n../../../etc";
    let long = Box::leak("x".repeat(10_000).into_boxed_str());
    tree.usb(XHCI, "1-1", &Device(1, 2, long, "p\u{7}", "\u{1b}]0;\u{7}", &[(0, 0, "cam")]));
    tree.put(&format!("{XHCI}/usb1/1-1/1-1:1.0/video4linux/video2/name"), name);
    tree.put(&format!("{XHCI}/usb1/1-1/1-1:1.0/video4linux/video2/index"), "-1");
    let nodes = tree.devices().scan().unwrap();
    assert_eq!(nodes.len(), 1, "{nodes:?}");
    assert!(nodes[0].odd);
    let node = &nodes[0];
    for text in [node.name.as_str(), node.model(), &node.kind(), node.serial().unwrap_or(""), &node.port] {
        assert!(text.len() < 200 && text.bytes().all(|b| (0x20..0x7f).contains(&b)), "{text:?}");
    }
    assert_eq!((node.name.as_str(), node.index), ("[31m camera ../../../etc", 0));
}
