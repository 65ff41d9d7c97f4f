use std::os::unix::fs::symlink;

use super::*;
use crate::device::tree::{Device, PI4, PI5, Tree, XHCI};
use crate::device::{identity, recorded};

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
fn every_recorded_device_is_called_what_it_is() {
    for recorded in recorded::ALL {
        let tree = Tree::new();
        (recorded.put)(&tree);
        let told: Vec<_> = tree.scan().iter().map(identity).collect();
        assert_eq!(told, recorded.told, "{}", recorded.what);
    }
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
