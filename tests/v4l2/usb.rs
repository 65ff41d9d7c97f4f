//! USB cameras on the kernel's own drivers: in any port themselves, and no more of them than their bus carries.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::common::{Client, wait_within};
use crate::guest::Guest;
use crate::live::{CONFIG, connected, grows, pictures};
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

/// Small and slow: the processor is emulated.
const ASKED_OFTEN: &str =
    "[cameras]\nresolution = \"320x180\"\nfps = 5\n[auth]\nrate_limit_per_minute = 1000000\n";

/// The number of the camera in a port of the guest.
#[track_caller]
fn in_port(client: &mut Client, port: u32) -> String {
    let list = client.ok("list_devices", json!({}));
    let place = format!("-usb-{}", port + 1);
    let here = |d: &&Value| d["present"] == true && d["port"].as_str().unwrap().ends_with(&place);
    let found: Vec<&Value> = list["devices"].as_array().unwrap().iter().filter(here).collect();
    let [one] = found[..] else { panic!("port {port}: {list}") };
    one["device"].as_str().unwrap().to_owned()
}

#[test]
#[ignore = "needs root and QEMU: scripts/test v4l2"]
fn two_alike_without_a_serial_number_are_told_by_their_port() {
    let guest = Guest::take();
    let _without = guest.without_vivid();
    let (one, other) = (UvcCamera::new("", MODEST), UvcCamera::new("", MODEST));
    let (left, right) = (one.plug(&guest, 0), other.plug(&guest, 1));
    let daemon = guest.fieldcam(ASKED_OFTEN);
    let mut client = daemon.login("operator");
    connected(&mut client, 2);
    let (first, second) = (in_port(&mut client, 0), in_port(&mut client, 1));
    let mut names = Vec::new();
    // What is set on a number shows which device it is.
    for (id, value) in [(&first, 50), (&second, 200)] {
        client.ok("set_camera_control", json!({ "device": id, "control": "brightness", "value": value }));
        names.push(client.ok("start_recording", json!({ "device": id }))["filename"].clone());
        grows(&mut client, id);
    }
    let brightness = || (one.brightness.load(Ordering::SeqCst), other.brightness.load(Ordering::SeqCst));
    assert_eq!(brightness(), (50, 200));

    // Swapped: each number stays with its port, with its recording and what was set on it.
    drop((left, right));
    connected(&mut client, 0);
    let left = other.plug(&guest, 0);
    let right = one.plug(&guest, 1);
    connected(&mut client, 2);
    assert_eq!((in_port(&mut client, 0), in_port(&mut client, 1)), (first.clone(), second.clone()));
    grows(&mut client, &first);
    grows(&mut client, &second);
    wait_within(PATIENCE, "what is in a port is set as its number is", || {
        (brightness() == (200, 50)).then_some(())
    });

    // One alone that comes back elsewhere has moved.
    drop(right);
    connected(&mut client, 1);
    let moved = one.plug(&guest, 4);
    connected(&mut client, 2);
    assert_eq!((in_port(&mut client, 0), in_port(&mut client, 4)), (first.clone(), second.clone()));
    grows(&mut client, &second);

    for (id, name) in [&first, &second].into_iter().zip(names) {
        let stopped = client.ok("stop_recording", json!({ "device": id }));
        assert_eq!(stopped["filename"], name);
        assert!(name.as_str().unwrap().starts_with(&format!("{id}_")), "{name}");
        let info = client.ok("get_recording_info", json!({ "filename": name }));
        assert!(info["duration"].as_u64() >= Some(2), "{info}");
    }
    let files = client.ok("list_recordings", json!({}));
    assert_eq!(files["total"], 2, "{files}");
    let known = client.ok("list_devices", json!({}));
    assert_eq!(known["total"], 2, "{known}");
    daemon.stop();
    drop((left, moved));
}

#[test]
#[ignore = "needs root and QEMU: scripts/test v4l2"]
fn a_usb_camera_that_hangs_is_taken_off_and_put_on_again_by_the_helper() {
    let guest = Guest::take();
    let _without = guest.without_vivid();
    guest.ok("systemd-sysusers && systemctl start fieldcam-helper.socket");
    let camera = UvcCamera::new("FC4A4650", MODEST);
    let plugged = camera.plug(&guest, 0);
    let daemon = guest.fieldcam(ASKED_OFTEN);
    let mut client = daemon.login("operator");
    connected(&mut client, 1);
    let name = client.ok("start_recording", json!({ "device": "camera0" }))["filename"].clone();
    grows(&mut client, "camera0");

    camera.mute();
    let rows = wait_within(PATIENCE, "it is authorized anew", || {
        let status = client.ok("get_camera_status", json!({ "device": "camera0" }));
        let rows = status["recovery"].as_array().unwrap_or_else(|| panic!("{status}")).clone();
        let is_over = status.get("recovering").is_none() && status["status"] == "CONNECTED";
        (is_over && rows.iter().any(|row| row["cured"] != 0)).then_some(rows)
    });
    for (rung, cured) in [("RESTREAM", 0), ("REOPEN", 0), ("REBIND", 0), ("REAUTHORIZE", 1)] {
        let row = rows.iter().find(|row| row["rung"] == rung).unwrap();
        assert_eq!((&row["tried"], &row["cured"]), (&json!(1), &json!(cured)), "{rung} in {rows:?}");
    }
    grows(&mut client, "camera0");
    let stopped = client.ok("stop_recording", json!({ "device": "camera0" }));
    assert_eq!(stopped["filename"], name);
    assert_eq!(client.ok("list_devices", json!({}))["total"], 1);
    let helped = guest.ok("journalctl --boot --no-pager --output=cat --unit=fieldcam-helper");
    assert!(helped.contains("reauthorize 1-1"), "{helped}");

    let archive = "/run/diag.tar.gz";
    daemon.fieldcam(&format!("diag -o {archive}"));
    let told = guest.ok(&format!("tar -xzOf {archive} --wildcards '*/cameras.txt'"));
    for words in ["camera0 CONNECTED", "REBIND cured 0 of 1", "REAUTHORIZE cured 1 of 1"] {
        assert!(told.contains(words), "no {words:?} in {told}");
    }
    daemon.stop();
    drop(plugged);
    guest.ok("systemctl stop fieldcam-helper.socket fieldcam-helper.service");
}
