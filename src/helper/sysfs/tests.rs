use std::os::unix::fs::symlink;

use super::*;

/// A tree with a USB camera, a USB stick, a hub, a platform camera, and one without a camera.
fn tree() -> (tempfile::TempDir, Sysfs) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let make = |path: &str, text: &str| {
        let file = root.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    };
    let link = |path: &str, to: &str| {
        let at = root.join(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        symlink(root.join(to), at).unwrap();
    };
    for (device, class) in [("1-1", "09\n"), ("1-1/1-1.4", "ef\n"), ("1-1/1-1.5", "00\n")] {
        make(&format!("devices/usb1/{device}/bDeviceClass"), class);
        make(&format!("devices/usb1/{device}/authorized"), "1\n");
        let name = device.rsplit('/').next().unwrap();
        link(&format!("bus/usb/devices/{name}"), &format!("devices/usb1/{device}"));
    }
    let camera = "devices/usb1/1-1/1-1.4/1-1.4:1.0";
    make(&format!("{camera}/bInterfaceClass"), "0e\n");
    make(&format!("{camera}/video4linux/video0/name"), "Camera\n");
    make("devices/usb1/1-1/1-1.5/1-1.5:1.0/bInterfaceClass", "08\n");
    link("bus/usb/devices/1-1.4:1.0", camera);
    link("bus/usb/devices/1-1.5:1.0", "devices/usb1/1-1/1-1.5/1-1.5:1.0");
    link("class/video4linux/video0", &format!("{camera}/video4linux/video0"));
    for (bus, driver) in [("usb", "uvcvideo"), ("usb", "usb-storage"), ("platform", "vivid")] {
        make(&format!("bus/{bus}/drivers/{driver}/unbind"), "");
        make(&format!("bus/{bus}/drivers/{driver}/bind"), "");
        make(&format!("bus/{bus}/drivers_probe"), "");
    }
    link(&format!("{camera}/driver"), "bus/usb/drivers/uvcvideo");
    link("devices/usb1/1-1/1-1.5/1-1.5:1.0/driver", "bus/usb/drivers/usb-storage");
    for name in ["vivid.0", "serial8250"] {
        make(&format!("devices/platform/{name}/modalias"), "x");
        link(&format!("bus/platform/devices/{name}"), &format!("devices/platform/{name}"));
    }
    link("devices/platform/vivid.0/driver", "bus/platform/drivers/vivid");
    make("devices/platform/vivid.0/video4linux/video1/name", "vivid\n");
    link("class/video4linux/video1", "devices/platform/vivid.0/video4linux/video1");
    let sysfs = Sysfs::new(root).unwrap();
    (dir, sysfs)
}

fn asked(sysfs: &Sysfs, line: &str) -> Result<(), String> {
    sysfs.carry_out(&Request::parse(line.as_bytes()).unwrap_or_else(|| panic!("{line}")))
}

#[test]
fn a_cameras_driver_is_unbound_and_bound() {
    let (dir, sysfs) = tree();
    let said = |file: &str| fs::read_to_string(dir.path().join("bus").join(file)).unwrap();
    asked(&sysfs, "rebind 1-1.4:1.0").unwrap();
    assert_eq!(said("usb/drivers/uvcvideo/unbind"), "1-1.4:1.0");
    assert_eq!(said("usb/drivers/uvcvideo/bind"), "1-1.4:1.0");
    asked(&sysfs, "rebind vivid.0").unwrap();
    assert_eq!(said("platform/drivers/vivid/bind"), "vivid.0");
    // One that was left without.
    fs::remove_file(dir.path().join("devices/usb1/1-1/1-1.4/1-1.4:1.0/driver")).unwrap();
    asked(&sysfs, "rebind 1-1.4:1.0").unwrap();
    assert_eq!(said("usb/drivers_probe"), "1-1.4:1.0");
}

#[test]
fn a_cameras_streams_go_with_it_and_those_of_another_camera_stay() {
    let (dir, sysfs) = tree();
    let usb = dir.path().join("devices/usb1/1-1/1-1.4");
    let beside = |name: &str, subclass: &str, first: &str| {
        let at = usb.join(name);
        fs::create_dir_all(&at).unwrap();
        fs::write(at.join("bInterfaceSubClass"), subclass).unwrap();
        fs::write(at.join("iad_bFirstInterface"), first).unwrap();
        if name != "1-1.4:1.0" {
            symlink(dir.path().join("bus/usb/drivers/uvcvideo"), at.join("driver")).unwrap();
        }
    };
    beside("1-1.4:1.0", "01\n", "00\n");
    beside("1-1.4:1.2", "01\n", "02\n");
    beside("1-1.4:1.3", "02\n", "02\n");
    let said =
        |file: &str| fs::read_to_string(dir.path().join("bus/usb/drivers/uvcvideo").join(file)).unwrap();
    asked(&sysfs, "rebind 1-1.4:1.0").unwrap();
    assert_eq!(said("unbind"), "1-1.4:1.0");
    // What is written last is what the file holds.
    beside("1-1.4:1.1", "02\n", "00\n");
    asked(&sysfs, "rebind 1-1.4:1.0").unwrap();
    assert_eq!((&*said("unbind"), &*said("bind")), ("1-1.4:1.1", "1-1.4:1.0"));
}

#[test]
fn a_cameras_usb_device_is_taken_off_and_put_on() {
    let (dir, sysfs) = tree();
    asked(&sysfs, "reauthorize 1-1.4").unwrap();
    let file = dir.path().join("devices/usb1/1-1/1-1.4/authorized");
    assert!(fs::read_to_string(&file).unwrap().starts_with('1'));
    // One that somebody locked out stays out.
    fs::write(&file, "0\n").unwrap();
    assert!(asked(&sysfs, "reauthorize 1-1.4").is_err());
}

#[test]
fn nothing_is_done_to_what_is_no_camera() {
    let (dir, sysfs) = tree();
    for line in [
        "rebind 1-1.5:1.0",
        "rebind serial8250",
        "rebind 9-9:1.0",
        "rebind nothing.0",
        // A hub, with a camera below it.
        "reauthorize 1-1",
        "reauthorize 1-1.5",
        "reauthorize 9-9",
    ] {
        assert!(asked(&sysfs, line).is_err(), "{line}");
    }
    let unbound = fs::read_to_string(dir.path().join("bus/usb/drivers/usb-storage/unbind")).unwrap();
    assert_eq!(unbound, "");
}

#[test]
fn a_link_leads_nowhere_else() {
    let (dir, sysfs) = tree();
    let elsewhere = tempfile::tempdir().unwrap();
    fs::create_dir_all(elsewhere.path().join("vivid.7/video4linux/video9")).unwrap();
    let at = |path: &str| dir.path().join(path);
    symlink(elsewhere.path().join("vivid.7"), at("bus/platform/devices/vivid.7")).unwrap();
    symlink(elsewhere.path().join("vivid.7/video4linux/video9"), at("class/video4linux/video9")).unwrap();
    assert_eq!(asked(&sysfs, "rebind vivid.7"), Err("there is no such device".into()));
    // A link that leads to another device of the tree.
    symlink(at("devices/platform/vivid.0"), at("bus/platform/devices/vivid.8")).unwrap();
    assert_eq!(asked(&sysfs, "rebind vivid.8"), Err("there is no such device".into()));
    // A driver that is none.
    let driver = at("devices/platform/vivid.0/driver");
    fs::remove_file(&driver).unwrap();
    symlink(elsewhere.path(), &driver).unwrap();
    assert!(asked(&sysfs, "rebind vivid.0").is_err());
    assert!(!elsewhere.path().join("unbind").exists());
}
