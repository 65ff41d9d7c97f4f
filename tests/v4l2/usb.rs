//! USB cameras on the kernel's own drivers: in any port themselves, and no more of them than their bus carries.

use serde_json::json;

use crate::common::wait_within;
use crate::guest::Guest;
use crate::live::{CONFIG, connected, pictures};
use crate::machine::PATIENCE;
use crate::usbip::UvcCamera;
use crate::uvc::{GREEDY, MODEST};

#[test]
#[ignore = "needs root and QEMU: scripts/test v4l2"]
fn a_usb_camera_is_itself_in_any_port() {
    let guest = Guest::take();
    let _without = guest.without_vivid();
    let camera = UvcCamera::new("FC5A2F1B", MODEST);
    let plugged = camera.plug(&guest, 0);
    let daemon = guest.fieldcam(CONFIG);
    let mut client = daemon.login("admin");
    let list = connected(&mut client, 1);
    assert_eq!((list.len(), &list[0]["device"]), (1, &json!("camera0")), "{list:?}");
    let can = client.ok("get_camera_capabilities", json!({ "device": "camera0" }));
    assert_eq!(
        (&can["validation_status"], &can["formats"]),
        (&json!("CONFIRMED"), &json!(["MJPG"])),
        "{can}"
    );
    let first = client.ok("list_devices", json!({}))["devices"][0].clone();
    assert_eq!(first["identity"], "usb-1209:0001-FC5A2F1B", "{first}");
    pictures(&daemon, &mut client, "camera0", 5);
    // What it asked its driver for is what the box has in its account.
    assert_eq!(guest.ok(&format!("cat {}/1-1:1.1/bAlternateSetting", plugged.folder())), "6");
    daemon.wait_log("setting=6");

    drop(plugged);
    connected(&mut client, 0);
    let plugged = camera.plug(&guest, 4);
    let list = connected(&mut client, 1);
    assert_eq!((list.len(), &list[0]["device"]), (1, &json!("camera0")), "{list:?}");
    let second = client.ok("list_devices", json!({}))["devices"][0].clone();
    assert_eq!(second["identity"], first["identity"]);
    assert_ne!(second["port"], first["port"]);
    pictures(&daemon, &mut client, "camera0", 5);

    plugged.authorize(false);
    connected(&mut client, 0);
    plugged.authorize(true);
    connected(&mut client, 1);
    pictures(&daemon, &mut client, "camera0", 5);
    daemon.stop();
}

#[test]
#[ignore = "needs root and QEMU: scripts/test v4l2"]
fn a_camera_that_does_not_fit_on_its_bus_says_so_and_runs_once_there_is_room() {
    let guest = Guest::take();
    let _without = guest.without_vivid();
    let (one, other) = (UvcCamera::new("FC000A1B", GREEDY), UvcCamera::new("FC000B2C", GREEDY));
    let (_first, _second) = (one.plug(&guest, 0), other.plug(&guest, 1));
    let daemon = guest.fieldcam(CONFIG);
    let mut client = daemon.login("admin");
    connected(&mut client, 2);
    pictures(&daemon, &mut client, "camera0", 3);
    client.ok("start_recording", json!({ "device": "camera0" }));
    let _ = client.call("start_streaming", json!({ "device": "camera1" }));
    let refused = wait_within(PATIENCE, "the second has no room", || {
        let status = client.ok("get_camera_status", json!({ "device": "camera1" }));
        (status["status"] == "ERROR").then_some(status)
    });
    daemon.wait_log(
        "is full: MJPG 320x180 at 5 fps takes 61.7 of the 100 µs of each microframe, camera0 has 61.7",
    );
    assert!(!refused.to_string().contains("No space left"), "{refused}");
    assert!(!daemon.log().contains("o space left"), "the driver was asked");
    let list = client.ok("get_camera_list", json!({}));
    assert_eq!(list["connected"], 1, "the first goes on: {list}");

    client.ok("stop_recording", json!({ "device": "camera0" }));
    client.ok("stop_streaming", json!({ "device": "camera0" }));
    connected(&mut client, 2);
    pictures(&daemon, &mut client, "camera1", 3);
    daemon.stop();
}
