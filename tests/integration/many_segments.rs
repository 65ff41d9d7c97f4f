//! A box with 10,000 files whose index is gone: it answers at once, says what it is doing, and then the
//! list is right. `fieldcam bench reconcile` measures it; here only ten times its goals are asked for.

use std::fs;
use std::time::{Duration, Instant};

use crate::common::recording::Recording;
use crate::common::{Setup, ffmpeg, http, turn, wait_within};
use fieldcam::bench::Archive;
use serde_json::{Value, json};

const ARCHIVE: Archive = Archive { recordings: 500, segments: 20 };

#[test]
fn the_box_answers_while_it_makes_the_index_of_10_000_files_again_and_then_lists_them_all() {
    let _turn = turn::take();
    let setup = Setup::new().cameras(1).env("CAMERAS__RESOLUTION", "160x120").env("CAMERAS__FPS", "10");
    let mut testbox = setup.env("RECORDING__SEGMENT_DURATION", "1s").start();
    let mut recording = Recording::start(&testbox, "camera0", 0);
    recording.wait_seconds(4);
    let stopped = recording.client.ok("stop_recording", json!({ "device": "camera0" }));
    assert!(testbox.stop().success());
    let mut names = ARCHIVE.make(&recording.folder).unwrap();
    for file in ["fieldcam.db", "fieldcam.db-wal", "fieldcam.db-shm"] {
        let _ = fs::remove_file(testbox.data().join(file));
    }
    let _ = fs::remove_dir_all(testbox.data().join("backup"));

    testbox.start_again();
    let (ready, begun) = (testbox.ready_after(), Instant::now());
    let mut client = testbox.login("admin");
    let (mut pings, mut said) = (Vec::new(), Vec::new());
    wait_within(Duration::from_secs(20), "files and index agree", || {
        let asked = Instant::now();
        assert_eq!(client.ok("ping", Value::Null), "pong");
        pings.push(asked.elapsed());
        let health = http::get(&format!("{}/health/ready", testbox.endpoints().url("health")), &[]);
        assert_eq!(health.status, 200);
        let text = health.json()["message"].as_str().unwrap().to_owned();
        let over = !text.contains("checking");
        said.push(text);
        over.then_some(())
    });
    let took = begun.elapsed();
    pings.sort();
    let median = pings[pings.len() / 2];
    println!("ready after {ready:?}, agreement {took:?} later, ping p50 {median:?}");
    println!("{:?}", said.first());
    let told = said.iter().any(|s| s.contains("checking recordings: ") && s.ends_with("of 501"));
    assert!(told || took < Duration::from_millis(500), "{said:?}");
    assert!(ready < Duration::from_secs(10) && median < Duration::from_millis(200));

    // Newest first, every one of them, with what its files hold.
    let list = client.ok("list_recordings", json!({ "limit": 1000 }));
    names.push(stopped["filename"].as_str().unwrap().to_owned());
    names.reverse();
    let files = list["files"].as_array().unwrap();
    assert_eq!(files.iter().map(|f| f["filename"].as_str().unwrap()).collect::<Vec<_>>(), names);
    assert!(files.iter().all(|f| f["file_size"].as_u64().unwrap() > 10_000));
    let info = client.ok("get_recording_info", json!({ "filename": names[250] }));
    assert_eq!((info["segments"].as_array().unwrap().len(), &info["reason"]), (20, &json!("stopped")));
    let film = http::get(info["download_url"].as_str().unwrap(), &[]);
    assert_eq!(film.body.len() as u64, info["file_size"].as_u64().unwrap());
    let file = testbox.scratch().join("film.mp4");
    fs::write(&file, film.body).unwrap();
    ffmpeg::decode_all(&file).unwrap();
    assert_eq!(ffmpeg::duration(&file).round() as u64, info["duration"].as_u64().unwrap());
}
