//! The data directory's disk is unmounted while the box records: nothing is written to the bare mount
//! point, everything else lives, and the same recording goes on when the disk is back.

use crate::common::footage::now_ms;
use crate::common::loopdisk::Disk;
use crate::common::recording::Recording;
use crate::common::{Client, Setup, TestBox, http, squares, turn, wait_for};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// Segments of a second: the recorder opens a new file all the time, by making its folder if need be.
fn setup() -> Setup {
    Setup::new()
        .cameras(2)
        .env("CAMERAS__RESOLUTION", "320x180")
        .env("CAMERAS__FPS", "15")
        .env("RECORDING__SEGMENT_DURATION", "1s")
}

/// What `/health/detailed` says of the disk.
fn storage(testbox: &TestBox) -> (u16, Value) {
    let answer = http::get(&format!("{}/health/detailed", testbox.endpoints().url("health")), &[]);
    let all = answer.json();
    let storage = all["components"].as_array().unwrap().iter().find(|c| c["name"] == "storage");
    (answer.status, storage.unwrap().clone())
}

#[track_caller]
fn watch_live(client: &mut Client, camera: &str) {
    let answer = client.ok("get_stream_url", json!({ "device": camera }));
    let pictures = squares::read(answer["stream_url"].as_str().unwrap(), 10);
    assert!(pictures.len() >= 10, "{} pictures", pictures.len());
}

#[test]
fn a_disk_unmounted_while_recording_costs_what_was_not_recorded_and_nothing_else() {
    let _turn = turn::take();
    let disk = match Disk::create(96) {
        Ok(disk) => disk,
        Err(why) => return eprintln!("left out: {why}"),
    };
    // The mount point itself is the data directory: it stays there, empty.
    let mut testbox = setup().data_dir(disk.path()).start();
    let mut recording = Recording::start(&testbox, "camera0", 0);
    let mut client = testbox.login("admin");
    recording.wait_seconds(3);

    disk.unmount_lazily().unwrap();
    let at = now_ms();
    testbox.wait_log("recording.error: the data disk is gone");
    wait_for("the disk is let go", || (!disk.is_in_use()).then_some(()));
    println!("let go after {} ms", now_ms() - at);
    let error = client.refused("start_recording", json!({ "device": "camera1" }));
    assert_eq!((error.code, &error.data["reason"]), (-32050, &json!("disk_gone")), "{error:?}");
    let error = client.refused("list_recordings", Value::Null);
    assert!(error.code == -32050 && error.message.contains("gone"), "{error:?}");
    let error = client.refused("take_snapshot", json!({ "device": "camera1" }));
    assert_eq!(error.code, -32050, "{error:?}");
    client.assert_alive();
    let cameras = client.ok("get_camera_list", Value::Null);
    assert_eq!(cameras["total"], 2, "{cameras}");
    let (status, component) = storage(&testbox);
    assert_eq!((status, &component["state"]), (500, &json!("ERROR")), "{component}");
    assert!(component["message"].as_str().unwrap().contains("mount it again"), "{component}");
    watch_live(&mut client, "camera1");
    // MediaMTX starts from a file that is no longer there, and must not record either.
    testbox.child("mediamtx").signal(Signal::SIGKILL);
    testbox.wait_log("MediaMTX's file is kept in memory");
    wait_for("live video is back", || {
        client.ok("get_status", Value::Null)["components"]["mediamtx"].eq("RUNNING").then_some(())
    });
    watch_live(&mut client, "camera0");
    assert_eq!(disk.bare(), Vec::<std::path::PathBuf>::new());

    disk.mount_again().unwrap();
    let back = now_ms();
    testbox.wait_log("the disk is back: the recording goes on");
    recording.wait_more(3);
    wait_for("health says so", || (storage(&testbox).1["state"] == "RUNNING").then_some(()));
    let film = recording.stop();
    let hole = film.hole(at);
    println!(
        "lost {:.2} s; recorded again {:.2} s after the disk was back",
        hole.lost,
        hole.to_ms.saturating_sub(back) as f64 / 1000.0
    );
    assert!(hole.lost <= 2.0, "{hole:?}");
    let gap = recording.gap_of(&hole);
    assert_eq!(gap.cause, "disk_gone", "{gap:?}");
    let info = recording.info();
    let listed: u64 =
        info["segments"].as_array().unwrap().iter().filter_map(|s| s["file_size"].as_u64()).sum();
    assert_eq!(listed, crate::common::footage::bytes(&recording.folder), "{info}");
    assert!(testbox.stop().success());
}
