//! A box whose database was damaged while it was off, or under its hands: what it lists afterwards is what
//! it listed before.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::common::recording::Recording;
use crate::common::{Client, Setup, TestBox, http, process, turn, wait_for};
use fieldcam::store::{Store, StorePlaces};
use serde_json::{Value, json};

fn setup() -> Setup {
    Setup::new()
        .cameras(2)
        .env("CAMERAS__RESOLUTION", "320x180")
        .env("CAMERAS__FPS", "15")
        .env("RECORDING__SEGMENT_DURATION", "2s")
}

/// Takes away what differs from call to call: signed links and their times.
fn plain(mut value: Value) -> Value {
    match &mut value {
        Value::Object(map) => {
            map.retain(|key, _| !key.ends_with("_url"));
            map.values_mut().for_each(|v| *v = plain(v.take()));
        }
        Value::Array(list) => list.iter_mut().for_each(|v| *v = plain(v.take())),
        _ => {}
    }
    value
}

/// Everything that a client can learn of what was recorded, but for what still runs.
#[track_caller]
fn listing(client: &mut Client) -> Value {
    let list = client.ok("list_recordings", json!({ "limit": 1000 }));
    let mut details = Vec::new();
    for file in list["files"].as_array().unwrap() {
        let info = client.ok("get_recording_info", json!({ "filename": file["filename"] }));
        if info["state"] == "STOPPED" {
            details.push(json!({ "row": plain(file.clone()), "info": plain(info) }));
        }
    }
    let cameras = client.ok("get_camera_list", Value::Null);
    let cameras: Vec<Value> = cameras["cameras"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| json!({ "device": c["device"], "name": c["name"] }))
        .collect();
    json!({
        "total": list["total"],
        "recordings": details,
        "snapshots": plain(client.ok("list_snapshots", json!({}))),
        "cameras": cameras,
    })
}

/// Some of everything: a stopped recording of several segments, one that reached its length, one with a
/// gap, stills under both kinds of names, one recording deleted and one that goes on. `midway` is called
/// when about half of that has happened.
fn fill(testbox: &TestBox, midway: impl FnOnce()) -> String {
    let mut client = testbox.login("admin");
    let mut gone = Recording::start(testbox, "camera0", 0);
    gone.wait_seconds(1);
    gone.stop();
    let mut first = Recording::start(testbox, "camera0", 0);
    let mut timed = Recording::start(testbox, "camera1", 3);
    first.wait_seconds(2);
    client.ok("take_snapshot", json!({ "device": "camera0" }));
    midway();
    client.ok("delete_recording", json!({ "filename": gone.name }));
    // The hole this makes is listed with its cause.
    testbox.child("mediamtx").signal(nix::sys::signal::Signal::SIGKILL);
    first.wait_more(2);
    client.ok("take_snapshot", json!({ "device": "camera1", "filename": "gate.jpg" }));
    first.stop();
    wait_for("the timed one ends", || timed.info()["reason"].is_string().then_some(()));
    let mut running = Recording::start(testbox, "camera1", 0);
    running.wait_seconds(3);
    running.name
}

/// What is done to a database while the box is off.
type Harm = fn(&Path);

/// Damages the database of a filled box by `harm` and compares.
#[track_caller]
fn survives(copies: bool, harm: Harm) {
    let _turn = turn::take();
    let mut testbox = setup().start();
    let running = fill(&testbox, || {
        if copies {
            let (store, _) = Store::open_at(StorePlaces::below(testbox.data())).unwrap();
            store.copy_now().unwrap();
        }
    });
    let before = listing(&mut testbox.login("admin"));
    testbox.kill();
    harm(testbox.data());
    testbox.start_again();
    println!("ready after {:?}", testbox.ready_after());
    // The one that was running goes on.
    let mut recording = Recording::again(&testbox, "camera1", &running);
    recording.wait_more(1);
    let mut client = testbox.login("admin");
    wait_for("index and files agree", || {
        let health = http::get(&format!("{}/health/ready", testbox.endpoints().url("health")), &[]);
        println!("{}", health.text());
        (!health.text().contains("checking")).then_some(())
    });
    let after = listing(&mut client);
    assert_eq!(after, before);
    recording.stop();
    assert!(fs::read_dir(testbox.data().join("quarantine")).unwrap().count() > 0);
    // The second start finds nothing to repair.
    assert!(testbox.stop().success());
    testbox.start_again();
    testbox.wait_log("files and index agree");
    assert!(!testbox.log().contains("made again"));
}

fn garbage(data: &Path) {
    let _ = fs::remove_file(data.join("fieldcam.db-wal"));
    fs::write(data.join("fieldcam.db"), vec![0x5a; 20_000]).unwrap();
}

#[test]
fn the_listing_is_the_same_after_a_rebuild_from_a_copy() {
    survives(true, garbage);
}

#[test]
fn the_listing_is_the_same_after_a_rebuild_without_any_copy() {
    survives(false, |data| {
        garbage(data);
        fs::remove_file(data.join("cameras.json")).unwrap();
    });
}

/// The box finds it out at the next thing that it looks up, and starts again by itself.
#[test]
fn damage_under_a_running_box_costs_a_new_start_and_no_row() {
    let _turn = turn::take();
    let mut testbox = setup().start();
    let mut first = Recording::start(&testbox, "camera0", 0);
    first.wait_seconds(2);
    first.stop();
    // What is still in the log would not be read from the file.
    assert!(testbox.stop().success());
    testbox.start_again();
    let mut running = Recording::start(&testbox, "camera1", 0);
    running.wait_seconds(2);
    let process = testbox.pid();
    let mut client = testbox.login("admin");
    let before = listing(&mut client);
    let database = testbox.data().join("fieldcam.db");
    let other = rusqlite::Connection::open(&database).unwrap();
    other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let file = fs::File::options().write(true).open(&database).unwrap();
    let garbage = vec![0xa5; usize::try_from(file.metadata().unwrap().len()).unwrap()];
    file.write_all_at(&garbage, 0).unwrap();
    // A row more, and the reader looks at the file again.
    let name = running.name.clone();
    let still =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "take_snapshot", "params": { "device": "camera0" } });
    client.send(&still.to_string());
    client.send(&json!({ "jsonrpc": "2.0", "id": 2, "method": "list_snapshots" }).to_string());
    testbox.wait_begun_anew();
    assert_eq!(testbox.pid(), process, "whoever supervises the box sees no end of it");
    let mut running = Recording::again(&testbox, "camera1", &name);
    running.wait_more(1);
    let mut client = testbox.login("admin");
    let mut after = listing(&mut client);
    // The still whose row was the last straw is there or not.
    after["snapshots"] = before["snapshots"].clone();
    assert_eq!(after, before);
    running.stop();
    assert!(fs::read_dir(testbox.data().join("quarantine")).unwrap().count() > 0);
}

#[test]
fn settings_made_over_the_api_are_in_force_at_the_start_that_rebuilds() {
    let _turn = turn::take();
    let mut testbox = setup().start();
    let policy = json!({ "policy_type": "age", "max_age_days": 1, "enabled": true });
    testbox.login("admin").ok("set_retention_policy", policy);
    testbox.kill();
    let (store, _) = Store::open_at(StorePlaces::below(testbox.data())).unwrap();
    store.copy_now().unwrap();
    drop(store);
    let database = testbox.data().join("fieldcam.db");
    wait_for("the copier has closed it", || {
        (!process::has_open(std::process::id(), &database)).then_some(())
    });
    garbage(testbox.data());
    testbox.start_again();
    assert!(testbox.log().contains("made again"));
    // Without a policy there is nothing to carry out.
    let cleaned = testbox.login("admin").ok("cleanup_old_files", Value::Null);
    assert_eq!(cleaned["cleanup_executed"], true, "{cleaned}");
}
