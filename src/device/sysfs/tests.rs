use std::os::unix::fs::symlink;

use super::*;

/// A sysfs with what is plugged in.
struct Tree(tempfile::TempDir);

/// A USB device as lists of real ones tell it: vendor, product, maker, model, serial number (`""` = none),
/// and its nodes: interface, index, name.
struct Device(u16, u16, &'static str, &'static str, &'static str, &'static [(u8, u32, &'static str)]);

impl Tree {
    fn new() -> Tree {
        let tree = Tree(tempfile::tempdir().unwrap());
        fs::create_dir_all(tree.0.path().join("class/video4linux")).unwrap();
        tree
    }

    fn put(&self, path: &str, text: &str) {
        let path = self.0.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{text}\n")).unwrap();
    }

    /// Says on which bus a device hangs.
    fn on(&self, bus: &str, device: &str) {
        let device = self.0.path().join(device.trim_start_matches('/'));
        fs::create_dir_all(&device).unwrap();
        symlink(format!("/sys/bus/{bus}"), device.join("subsystem")).unwrap();
    }

    /// The next `videoN` below `parent`.
    fn node(&self, parent: &str, index: u32, name: &str) {
        let class = self.0.path().join("class/video4linux");
        let number = fs::read_dir(&class).unwrap().count();
        let place = format!("{}/video4linux/video{number}", parent.trim_start_matches('/'));
        self.put(&format!("{place}/name"), name);
        self.put(&format!("{place}/index"), &index.to_string());
        symlink(format!("../../{place}"), class.join(format!("video{number}"))).unwrap();
    }

    /// Plugs a USB device in: `hub` is the path of the root hub's controller, `way` the kernel's `1-2.3`.
    fn usb(&self, controller: &str, way: &str, device: &Device) {
        let Device(vendor, product, maker, model, serial, nodes) = device;
        let bus = way.split('-').next().unwrap();
        let mut place = format!("{controller}/usb{bus}");
        self.put(&format!("{place}/idVendor"), "1d6b");
        // Hubs on the way.
        let steps: Vec<usize> = way.match_indices('.').map(|(at, _)| at).chain([way.len()]).collect();
        for end in steps {
            place = format!("{place}/{}", &way[..end]);
            self.put(&format!("{place}/idVendor"), "0bda");
        }
        self.put(&format!("{place}/idVendor"), &format!("{vendor:04x}"));
        self.put(&format!("{place}/idProduct"), &format!("{product:04x}"));
        for (name, text) in [("manufacturer", maker), ("product", model), ("serial", serial)] {
            if !text.is_empty() {
                self.put(&format!("{place}/{name}"), text);
            }
        }
        for (interface, index, name) in *nodes {
            let interface_place = format!("{place}/{way}:1.{interface}");
            self.put(&format!("{interface_place}/bInterfaceNumber"), &format!("{interface:02x}"));
            self.node(&interface_place, *index, name);
        }
    }

    fn scan(&self) -> Vec<Node> {
        let mut nodes = scan(self.0.path()).unwrap();
        nodes.sort_by_key(|n| n.path.to_str().unwrap()["/dev/video".len()..].parse::<u32>().unwrap());
        nodes
    }
}

/// Of a desktop; the Raspberry Pi 4's is behind PCI too, the 5's is not.
const XHCI: &str = "/devices/pci0000:00/0000:00:14.0";
const PI4: &str = "/devices/platform/scb/fd500000.pcie/pci0000:00/0000:00:00.0/0000:01:00.0";
const PI5: &str = "/devices/platform/axi/1000120000.pcie/1f00200000.usb/xhci-hcd.0";

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
        ("platform", PI5, "platform-xhci-hcd.0"),
    ] {
        let tree = Tree::new();
        tree.on(bus, controller);
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
        ("virtual/Cam A", "virtual"),
    ];
    assert!(told.iter().map(|(k, p)| (k.as_str(), p.as_str())).eq(expected), "{told:?}");
}

#[test]
fn hostile_and_torn_trees_are_survived() {
    let tree = Tree::new();
    assert!(scan(&tree.0.path().join("nothing")).is_err());
    assert_eq!(tree.scan(), []);
    let class = tree.0.path().join("class/video4linux");
    // Gone meanwhile, not a camera, outside of sysfs.
    symlink("../../devices/gone/video0", class.join("video0")).unwrap();
    symlink("/etc", class.join("video1")).unwrap();
    tree.put("/devices/radio/video4linux/radio0/name", "Radio");
    symlink("../../devices/radio/video4linux/radio0", class.join("radio0")).unwrap();
    tree.on("pci", XHCI);
    let name = "\u{1b}[31m\u{202e}\0camera\n../../../etc";
    let long = Box::leak("x".repeat(10_000).into_boxed_str());
    tree.usb(XHCI, "1-1", &Device(1, 2, long, "p\u{7}", "\u{1b}]0;\u{7}", &[(0, 0, "cam")]));
    tree.put(&format!("{XHCI}/usb1/1-1/1-1:1.0/video4linux/video3/name"), name);
    tree.put(&format!("{XHCI}/usb1/1-1/1-1:1.0/video4linux/video3/index"), "-1");
    let nodes = scan(tree.0.path()).unwrap();
    assert_eq!(nodes.len(), 1, "{nodes:?}");
    let node = &nodes[0];
    for text in [node.name.as_str(), node.model(), &node.kind(), node.serial().unwrap_or(""), &node.port] {
        assert!(text.len() < 200 && text.bytes().all(|b| (0x20..0x7f).contains(&b)), "{text:?}");
    }
    assert_eq!((node.name.as_str(), node.index), ("[31m camera ../../../etc", 0));
}
