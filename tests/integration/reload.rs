//! The configuration read again while the box runs: what did not change is not touched.

use crate::common::footage::{Footage, folder};
use crate::common::{Client, Setup, TestBox, squares, turn, wait_for};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const GATE: &str = "[[camera]]\nsource = \"test:testsrc2\"\n";
const YARD: &str = "[[camera]]\nsource = \"test:smptebars\"\n";
const ROOF: &str = "[[camera]]\nsource = \"test:testsrc\"\nname = \"Roof\"\n";

fn start() -> TestBox {
    Setup::new().cameras(0).toml(GATE).toml(YARD).start()
}

fn write(testbox: &TestBox, text: &str) {
    std::fs::write(testbox.scratch().join("fieldcam.toml"), text).unwrap();
}

/// `fieldcam ctl reload`: its answer, or what it complained.
fn reload(testbox: &TestBox, more: &[&str]) -> Result<Value, String> {
    let mut args = vec!["ctl", "reload", "--json"];
    args.extend(more);
    let out = testbox.fieldcam(&args);
    if out.status.success() {
        Ok(serde_json::from_slice(&out.stdout).unwrap())
    } else {
        assert_eq!(out.status.code(), Some(1));
        Err(String::from_utf8(out.stderr).unwrap())
    }
}

fn record(client: &mut Client, device: &str) -> String {
    let started = client.ok("start_recording", json!({ "device": device }));
    let name = started["filename"].as_str().unwrap().to_owned();
    wait_growth(client, &name);
    name
}

/// Waits until a recording is longer than it is now.
fn wait_growth(client: &mut Client, name: &str) {
    let size = |client: &mut Client| {
        client.ok("get_recording_info", json!({ "filename": name }))["file_size"].as_u64().unwrap()
    };
    let before = size(client);
    wait_for("the recording grows", || (size(client) > before).then_some(()));
}

fn status(client: &mut Client, device: &str) -> Value {
    client.ok("get_camera_status", json!({ "device": device }))["status"].clone()
}

#[test]
fn cameras_come_go_and_change_while_another_records_without_a_gap() {
    let _turn = turn::take();
    let testbox = start();
    let mut client = testbox.login("operator");
    let mut viewer = testbox.login("viewer");
    viewer.ok("subscribe_events", json!({ "topics": ["camera_status_update"] }));
    let name = record(&mut client, "camera0");
    let pid = |client: &mut Client| {
        client.ok("get_stream_status", json!({ "device": "camera0" }))["ffmpeg_process"]["pid"].clone()
    };
    let before = pid(&mut client);

    write(&testbox, &format!("{ROOF}{GATE}"));
    let report = reload(&testbox, &[]).unwrap();
    let expected = json!({ "added": ["camera2"], "changed": [], "removed": ["camera1"],
        "unchanged": ["camera0"], "settings": [], "needs_restart": [] });
    assert_eq!(report, expected);
    assert_eq!(
        [status(&mut client, "camera1"), status(&mut client, "camera2")],
        ["DISCONNECTED", "CONNECTED"]
    );
    let told = |viewer: &mut Client, device: &str, status: &str| {
        let is = |n: &Value| n["params"]["device"] == device && n["params"]["status"] == status;
        viewer.notification(is)
    };
    assert_eq!(told(&mut viewer, "camera2", "CONNECTED")["params"]["name"], "Roof");
    told(&mut viewer, "camera1", "DISCONNECTED");
    client.ok("take_snapshot", json!({ "device": "camera2" }));
    assert_eq!(client.refused("take_snapshot", json!({ "device": "camera1" })).code, -32020);

    // Back under its old number, and by the signal this time; the third one only takes a name.
    write(&testbox, &format!("{GATE}{YARD}{}", ROOF.replace("Roof", "Chimney")));
    testbox.signal(Signal::SIGHUP);
    assert_eq!(told(&mut viewer, "camera2", "CONNECTED")["params"]["name"], "Chimney");
    wait_for("camera1 is back", || (status(&mut client, "camera1") == "CONNECTED").then_some(()));
    client.ok("take_snapshot", json!({ "device": "camera1" }));

    assert_eq!(pid(&mut client), before, "the process of the camera that stayed is the same");
    wait_growth(&mut client, &name);
    client.ok("stop_recording", json!({ "device": "camera0" }));
    let pictures = Footage::read(&folder(testbox.data(), "camera0", &name)).pictures();
    let holes = squares::holes(&pictures);
    assert!(holes.is_empty(), "frames are missing: {holes:?}");
}

#[test]
fn a_bad_file_and_an_interrupted_recording_are_refused_as_a_whole() {
    let _turn = turn::take();
    let testbox = start();
    let mut client = testbox.login("operator");
    let name = record(&mut client, "camera0");
    let wrong = format!("[server]\nlisen = \"x\"\n{GATE}fps = 1000\n{ROOF}");
    write(&testbox, &wrong);
    let complaint = reload(&testbox, &[]).unwrap_err();
    for words in [
        "fieldcam.toml:2: server.lisen",
        "did you mean listen?",
        "camera[0].fps",
        "2 mistakes",
        "old settings stay",
    ] {
        assert!(complaint.contains(words), "{words:?} is not in {complaint}");
    }
    assert!(!complaint.contains(&*testbox.scratch().to_string_lossy()), "a folder is told: {complaint}");

    write(&testbox, &format!("{ROOF}{YARD}"));
    for _ in 0..2 {
        let complaint = reload(&testbox, &[]).unwrap_err();
        assert!(
            complaint.contains("camera0 would be interrupted") && complaint.contains("force"),
            "{complaint}"
        );
    }
    testbox.signal(Signal::SIGHUP);
    testbox.wait_log("is not read again: camera0 would be interrupted");
    write(&testbox, &format!("{GATE}resolution = \"320x180\"\n{YARD}"));
    assert!(reload(&testbox, &[]).unwrap_err().contains("camera0 would be interrupted"));
    let devices = |client: &mut Client| client.ok("get_camera_list", json!({}))["total"].clone();
    assert_eq!(devices(&mut client), 2, "nothing of all that was applied");
    wait_growth(&mut client, &name);

    write(&testbox, &format!("{ROOF}{YARD}"));
    let report = reload(&testbox, &["--force"]).unwrap();
    assert_eq!((&report["removed"], &report["added"]), (&json!(["camera0"]), &json!(["camera2"])));
    assert_eq!(status(&mut client, "camera0"), "DISCONNECTED");
    let info = client.ok("get_recording_info", json!({ "filename": name }));
    assert!(info["duration"].as_u64().is_some() && info["file_size"].as_u64() > Some(0), "{info}");
    Footage::read(&folder(testbox.data(), "camera0", &name));

    let taken = format!("{YARD}{}", ROOF.replace("name", "id = \"camera1\"\nname"));
    write(&testbox, &taken);
    assert!(reload(&testbox, &["--force"]).unwrap_err().contains("camera1 belongs to another camera"));
    write(&testbox, YARD);
    let refusal = client.refused("reload_config", json!({}));
    assert_eq!((refusal.code, &refusal.data["required_role"]), (-32002, &json!("admin")));
}

#[test]
fn settings_that_need_a_restart_are_named_and_others_take_effect() {
    let _turn = turn::take();
    let testbox = start();
    let more = "[log]\nlevel = \"debug\"\n[recording]\nsegment_duration = \"1m\"\n";
    write(&testbox, &format!("{more}{GATE}resolution = \"320x180\"\n{YARD}"));
    for again in [false, true] {
        let report = reload(&testbox, &[]).unwrap();
        assert_eq!(
            report["needs_restart"],
            json!(["recording.segment_duration"]),
            "as long as it is not in force"
        );
        let (changed, settings) =
            if again { (json!([]), json!([])) } else { (json!(["camera0"]), json!(["log.level"])) };
        assert_eq!((&report["changed"], &report["settings"]), (&changed, &settings));
    }
    testbox.wait_log("these settings take effect after a restart only: recording.segment_duration");
    testbox.wait_log(" DEBUG ");
    let mut client = testbox.login("operator");
    client.ok("start_streaming", json!({ "device": "camera0" }));
    let row = client.ok("get_camera_status", json!({ "device": "camera0" }));
    assert_eq!(row["resolution"], "320x180");
}
