//! Cameras whose driver fails: they come back by themselves, as themselves, and their recordings go on.

use serde_json::{Value, json};

use crate::common::{Client, wait_within};
use crate::daemon::Daemon;
use crate::guest::Guest;
use crate::live::{grows, record};
use crate::machine::PATIENCE;

/// Small and slow: the processor is emulated.
const CONFIG: &str =
    "[cameras]\nresolution = \"320x180\"\nfps = 5\n[auth]\nrate_limit_per_minute = 1000000\n";

/// What the kernel calls camera0: which of two that come together is the first, nobody knows.
fn name(client: &mut Client) -> String {
    let known = client.ok("list_devices", json!({}));
    let camera = known["devices"].as_array().unwrap().iter().find(|d| d["device"] == "camera0");
    camera.and_then(|d| d["model"].as_str()).unwrap_or_else(|| panic!("{known}")).to_owned()
}

/// Its node, which the kernel may number anew.
fn node(guest: &Guest, name: &str) -> String {
    let file = guest.ok(&format!("grep -l {name} /sys/class/video4linux/*/name"));
    format!("/dev/{}", file.split('/').nth(4).unwrap())
}

/// Presses buttons of camera0 that make its driver fail.
fn inject(guest: &Guest, name: &str, buttons: &[&str]) {
    let set: Vec<String> = buttons.iter().map(|b| format!("{b}=1")).collect();
    guest.ok(&format!("v4l2-ctl -d {} --set-ctrl={}", node(guest, name), set.join(",")));
}

fn status(client: &mut Client) -> Value {
    client.ok("get_camera_status", json!({ "device": "camera0" }))
}

/// How often a rung has brought pictures back.
fn cured(client: &mut Client, rung: &str) -> u64 {
    let status = status(client);
    let rows = status["recovery"].as_array().unwrap_or_else(|| panic!("{status}"));
    rows.iter().find(|row| row["rung"] == rung).unwrap()["cured"].as_u64().unwrap()
}

/// It is one recording still, both cameras are who they were, and what is missing is noted.
#[track_caller]
fn the_same_recording_goes_on(daemon: &Daemon<'_>, client: &mut Client, name: &str) {
    grows(client, "camera0");
    let list = client.ok("get_camera_list", json!({}));
    assert_eq!((list["total"].as_u64(), list["connected"].as_u64()), (Some(2), Some(2)), "{list}");
    let stopped = client.ok("stop_recording", json!({ "device": "camera0" }));
    assert_eq!(stopped["filename"], name);
    let files = client.ok("list_recordings", json!({}));
    assert_eq!(files["total"], 1, "{files}");
    daemon.wait_log(" s are missing name=");
}

/// How often it was brought back, whatever by.
fn cures(client: &mut Client) -> u64 {
    let status = status(client);
    let rows = status["recovery"].as_array().unwrap_or_else(|| panic!("{status}"));
    rows.iter().map(|row| row["cured"].as_u64().unwrap()).sum()
}

/// Waits until it was brought back so often and nothing is tried any more, and then until it has given pictures for
/// so long that the next fault begins at the rung that helped.
#[track_caller]
fn comes_back(guest: &Guest, client: &mut Client, times: u64) {
    wait_within(PATIENCE, &format!("the camera comes back the {times}th time"), || {
        (cures(client) >= times && status(client).get("recovering").is_none()).then_some(())
    });
    guest.ok("sleep 4");
    assert_eq!(cures(client), times, "{}", status(client));
}

#[test]
#[ignore = "needs root and QEMU: scripts/test v4l2"]
fn a_camera_whose_driver_fails_is_started_anew_and_its_recording_goes_on() {
    let guest = Guest::take();
    let daemon = guest.fieldcam(CONFIG);
    let mut client = daemon.login("operator");
    let name = record(&mut client, 2);
    let camera = self::name(&mut client);
    let faults: [&[&str]; 4] = [
        // A stream that broke, and a buffer that is refused: the stream is started anew.
        &["inject_fatal_streaming_error"],
        &["inject_vidioc_qbuf_error"],
        // One that cannot be: the device is opened again.
        &["inject_vidioc_streamon_error", "inject_fatal_streaming_error"],
        // One that its driver has given up is there again once it was closed.
        &["disconnect"],
    ];
    for (n, buttons) in faults.iter().enumerate() {
        inject(&guest, &camera, buttons);
        comes_back(&guest, &mut client, n as u64 + 1);
    }
    assert!(cured(&mut client, "RESTREAM") >= 1 && cured(&mut client, "REOPEN") >= 1);
    // A damaged picture is none, and no trouble.
    inject(&guest, &camera, &["inject_v4l2_buf_flag_error"]);
    the_same_recording_goes_on(&daemon, &mut client, &name);
    assert_eq!(cures(&mut client), 4);
    assert!(!daemon.log().contains("QUARANTINE"));
    daemon.stop();
}

#[test]
#[ignore = "needs root and QEMU: scripts/test v4l2"]
fn a_camera_that_only_its_driver_can_bring_back_is_brought_back_by_the_helper() {
    let guest = Guest::take();
    guest.ok("systemd-sysusers && systemctl start fieldcam-helper.socket");
    let daemon = guest.fieldcam(CONFIG);
    let mut client = daemon.login("operator");
    let name = record(&mut client, 2);
    let camera = self::name(&mut client);
    // Somebody else has the device open: vivid gives it up for good, whoever closes it.
    let node = node(&guest, &camera);
    let holder = guest.service("holder", &format!("sleep infinity <{node}"));
    guest.wait("it is held", &format!("ls -l /proc/[0-9]*/fd | grep {node}"));
    inject(&guest, &camera, &["disconnect"]);
    wait_within(PATIENCE, "its driver is bound anew", || (cured(&mut client, "REBIND") == 1).then_some(()));
    wait_within(PATIENCE, "both cameras are back", || {
        (client.ok("get_camera_list", json!({}))["connected"] == 2).then_some(())
    });
    the_same_recording_goes_on(&daemon, &mut client, &name);
    assert!(!daemon.log().contains("QUARANTINE"));
    drop(holder);
    let log = guest.ok("journalctl --boot --no-pager --output=cat --unit=fieldcam-helper");
    assert!(log.contains("rebind vivid.0"), "{log}");
    // It does nothing else.
    for (line, why) in [("rebind ../../x", "no such request"), ("rebind serial8250", "no camera hangs there")]
    {
        let said = guest.run(&format!("fieldcam helper --ask '{line}'"));
        assert!(said.status != 0 && said.err.contains(why), "{said:?}");
    }
    daemon.stop();
    guest.ok("systemctl stop fieldcam-helper.socket fieldcam-helper.service");
}
