//! The audit log: who did what, from where, with what result, and nothing secret.

use std::fs::{self, File};

use serde_json::{Value, json};

use crate::common::loopdisk::Disk;
use crate::common::{Setup, TestBox, ffmpeg, http, turn, wait_for};

/// Action, user, target and result of each entry, the oldest first.
fn told(testbox: &TestBox) -> Vec<[String; 4]> {
    let page = testbox.login("admin").ok("get_audit_log", json!({ "limit": 1000 }));
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or("-").to_owned();
    let entries = page["entries"].as_array().unwrap().iter().rev();
    entries.map(|e| ["action", "user", "target", "result"].map(|name| text(e, name))).collect()
}

#[track_caller]
fn assert_told(all: &[[String; 4]], wanted: [&str; 4]) {
    assert!(all.iter().any(|entry| *entry == wanted), "{wanted:?} is not in {all:?}");
}

#[test]
fn deeds_log_ins_and_refusals_are_told_and_no_secret() {
    let mut testbox = TestBox::start();
    let made = testbox.login("admin").ok("create_api_key", json!({ "name": "hall", "role": "operator" }));
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    let hall_user = format!("key:hall {id}");
    let mut hall = testbox.connect();
    hall.authenticate(key);
    hall.ok("take_snapshot", json!({ "device": "camera0", "filename": "gate.jpg" }));
    hall.refused("delete_snapshot", json!({ "filename": "gate.jpg" }));
    hall.refused("take_snapshot", json!({ "device": "../../etc/passwd" }));
    hall.refused("get_status", Value::Null);
    hall.ok("get_camera_list", Value::Null);
    testbox.connect().refused("authenticate", json!({ "auth_token": format!("{key}0") }));
    assert_eq!(http::get(&testbox.http("/files/snapshots/gate.jpg"), &[("X-API-Key", "fk_no")]).status, 401);
    let stream = format!(
        "rtsp://{}:guess@{}/camera0",
        made["stream_user"].as_str().unwrap(),
        testbox.endpoints().address("rtsp")
    );
    assert!(ffmpeg::try_probe(&stream).is_err());

    let all = told(&testbox);
    assert_told(&all, ["create_api_key", "local", "hall", "ok"]);
    assert_told(&all, ["authenticate", &hall_user, "-", "ok"]);
    assert_told(&all, ["take_snapshot", &hall_user, "camera0", "ok"]);
    assert_told(&all, ["delete_snapshot", &hall_user, "gate.jpg", "-32002"]);
    assert_told(&all, ["take_snapshot", &hall_user, "-", "-32602"]);
    assert_told(&all, ["get_status", &hall_user, "-", "-32002"]);
    assert_told(&all, ["authenticate", "-", "-", "-32001"]);
    assert_told(&all, ["http", "-", "-", "-32001"]);
    assert_told(&all, ["rtsp", "-", "-", "-32001"]);
    assert!(all.iter().all(|[action, ..]| action != "get_camera_list"), "{all:?}");
    let shown = format!("{all:?}");
    assert!(!shown.contains(key) && !shown.contains("fk_") && !shown.contains("passwd"), "{shown}");

    // What was done while the box was off is told too, and what was told before is still there.
    assert!(testbox.stop().success());
    assert!(testbox.fieldcam(&["key", "revoke", id]).status.success());
    assert!(testbox.fieldcam(&["secret", "rotate"]).status.success());
    testbox.start_again();
    let later = told(&testbox);
    assert_told(&later, ["revoke_api_key", "local", id, "ok"]);
    assert_told(&later, ["rotate_secret", "local", "-", "ok"]);
    assert_told(&later, ["take_snapshot", &hall_user, "camera0", "ok"]);
}

#[test]
fn the_log_comes_in_pages_newest_first_and_to_admins_only() {
    let testbox = TestBox::start();
    let mut admin = testbox.login("admin");
    for n in 0..5 {
        admin.ok("create_api_key", json!({ "name": format!("key {n}"), "role": "viewer" }));
    }
    let page = admin.ok("get_audit_log", json!({ "limit": 2, "offset": 1 }));
    let targets: Vec<_> = page["entries"].as_array().unwrap().iter().map(|e| e["target"].clone()).collect();
    assert_eq!(targets, ["key 3", "key 2"]);
    assert_eq!((&page["limit"], &page["offset"]), (&json!(2), &json!(1)));
    assert_eq!(page["total"], 6, "a log-in and five keys");
    assert_eq!(testbox.login("operator").refused("get_audit_log", Value::Null).code, -32002);
}

#[test]
fn on_a_full_disk_calls_are_answered_and_told_of_once_there_is_room() {
    let _turn = turn::take();
    let disk = match Disk::create(64) {
        Ok(disk) => disk,
        Err(why) => return eprintln!("left out: {why}"),
    };
    let testbox = Setup::new().cameras(1).data_dir(disk.path()).start();
    let mut admin = testbox.login("admin");
    let made = admin.ok("create_api_key", json!({ "name": "hall", "role": "viewer" }));
    let mut hall = testbox.connect();
    hall.authenticate(made["key"].as_str().unwrap());
    let ballast = disk.path().join("ballast");
    let fill = || {
        let mut file = File::options().create(true).append(true).open(&ballast).unwrap();
        assert!(std::io::copy(&mut std::io::repeat(1), &mut file).is_err());
    };
    let refusal = wait_for("the database has no room", || {
        fill();
        admin.call("create_api_key", json!({ "name": "none", "role": "viewer" })).err()
    });
    assert_eq!(refusal.code, -32050, "{refusal}");
    // Many more than wait for the disk; all of them are answered.
    for n in 0..1100 {
        let refusal = admin.refused("delete_snapshot", json!({ "filename": format!("none{n}.jpg") }));
        assert!([-32010, -32040].contains(&refusal.code), "{refusal}");
    }
    // A key is withdrawn all the same, as long as the box runs.
    let _ = testbox.fieldcam(&["key", "revoke", made["id"].as_str().unwrap()]);
    assert_eq!(hall.refused("get_camera_list", Value::Null).code, -32001);
    admin.assert_alive();
    fs::remove_file(ballast).unwrap();
    wait_for("what waited is written", || {
        told(&testbox).iter().any(|entry| entry[2] == "none900.jpg").then_some(())
    });
}
