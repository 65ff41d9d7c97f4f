//! A box that cannot start, or not wholly, says why, naming the setting to change.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests stop at what they did not expect, and print what they measured"
)]

mod common;

use std::net::TcpListener;

use common::testbox::{Failure, PROGRAM};
use common::{Setup, TestBox, ffmpeg, http, loopdisk, turn, wait_for};
use serde_json::json;

fn small() -> Setup {
    Setup::new().cameras(1).env("CAMERAS__RESOLUTION", "320x180").env("CAMERAS__FPS", "15")
}

/// The daemon must end with an error that names what to change.
#[track_caller]
fn refuses(setup: Setup, words: &[&str]) -> Failure {
    let failure = match setup.try_start() {
        Err(failure) => failure,
        Ok(testbox) => panic!("it started all the same:\n{}", testbox.log()),
    };
    assert!(failure.status.code().is_some_and(|c| c != 0), "{failure:?}");
    for word in words {
        assert!(failure.output.contains(word), "{word:?} is not named:\n{}", failure.output);
    }
    assert!(!failure.output.contains("panicked"), "{}", failure.output);
    println!("{}", failure.output.lines().last().unwrap_or_default());
    failure
}

#[track_caller]
fn port_taken(key: &str, setting: &str) {
    let _turn = turn::take();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    refuses(small().env(key, &address), &[setting, &taken.local_addr().unwrap().port().to_string()]);
}

#[test]
fn a_taken_api_port_is_named() {
    port_taken("SERVER__LISTEN", "server.listen");
}

#[test]
fn a_taken_health_port_is_named() {
    port_taken("HEALTH__LISTEN", "health.listen");
}

#[test]
fn a_taken_rtsp_port_is_named() {
    port_taken("MEDIAMTX__RTSP_LISTEN", "mediamtx.rtsp_listen");
}

#[test]
fn a_missing_mediamtx_is_named() {
    let _turn = turn::take();
    refuses(small().env("MEDIAMTX__BINARY", "/nowhere/mediamtx"), &["mediamtx.binary"]);
}

#[test]
fn a_mediamtx_of_another_version_is_named_with_both_versions() {
    let _turn = turn::take();
    let fake = format!("{}/tests/fakes/mediamtx-1.19.2", env!("CARGO_MANIFEST_DIR"));
    refuses(small().env("MEDIAMTX__BINARY", &fake), &["mediamtx.binary", "1.19.2", "1.20.1"]);
}

#[test]
fn a_missing_ffmpeg_is_named_and_network_cameras_would_go_on() {
    let _turn = turn::take();
    match small().env("FFMPEG__BINARY", "/nowhere/ffmpeg").try_start() {
        Err(failure) => {
            assert!(failure.status.code().is_some_and(|c| c != 0), "{failure:?}");
            assert!(failure.output.contains("ffmpeg.binary"), "{}", failure.output);
        }
        Ok(testbox) => {
            testbox.wait_log("ffmpeg.binary");
            let mut client = testbox.login("admin");
            // Accepted or not, the camera must tell why it gives no picture.
            let _ = client.call("start_recording", json!({ "device": "camera0" }));
            let row = wait_for("the camera shows the problem", || {
                let row = client.ok("get_camera_status", json!({ "device": "camera0" }));
                (row["problem"].is_string() && row["status"] != "CONNECTED").then_some(row)
            });
            println!("{row}");
        }
    }
}

#[test]
fn a_data_directory_on_a_read_only_mount_is_named() {
    let _turn = turn::take();
    let disk = match loopdisk::Disk::create(32) {
        Ok(disk) => disk,
        Err(why) => return eprintln!("left out: {why}"),
    };
    disk.remount(true).unwrap();
    refuses(small().data_dir(disk.path().join("data")), &["storage.data_dir", "read-only"]);
}

#[test]
fn a_second_daemon_on_the_same_data_directory_is_refused_and_the_first_goes_on() {
    let _turn = turn::take();
    let first = small().start();
    let second = first.fieldcam(&["run"]);
    let words = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success());
    assert!(words.contains("storage.data_dir") && words.contains("running"), "{words}");
    first.login("viewer").assert_alive();
    assert!(first.data().join("run/endpoints.json").exists(), "the second took the first one's endpoints");
}

#[test]
fn every_mistake_of_a_configuration_is_told_at_once() {
    let _turn = turn::take();
    let mistakes = "[server]\nlisten = \"nonsense\"\n[recording]\nsegment_duraton = \"15m\"\n";
    let failure =
        refuses(small().without("SERVER__LISTEN").toml(mistakes), &["server.listen", "segment_duraton"]);
    assert!(failure.output.contains("segment_duration"), "no nearest name: {}", failure.output);
}

#[test]
fn a_configuration_file_that_is_not_there_is_named() {
    let _turn = turn::take();
    let out = ffmpeg::run(PROGRAM, &["run", "--config", "/nowhere/fieldcam.toml"]);
    let words = String::from_utf8_lossy(&out.stderr);
    assert!(!out.status.success());
    assert!(words.contains("/nowhere/fieldcam.toml"), "{words}");
}

#[test]
fn a_good_start_prints_one_ready_line_and_tells_the_truth() {
    let _turn = turn::alone();
    let mut testbox: TestBox = small().start();
    let first = testbox.ready_after();
    let ready = testbox.stdout().iter().filter(|l| l.starts_with("fieldcam ready")).count();
    assert_eq!(ready, 1, "{:?}", testbox.stdout());
    let health = testbox.endpoints().url("health").to_owned();
    assert_eq!(http::get(&format!("{health}/health/ready"), &[]).status, 200);
    testbox.stop();
    testbox.start_again();
    println!("start to ready: first {first:?}, second {:?}", testbox.ready_after());
    assert!(testbox.ready_after().as_secs() < 10);
    // Standard output carries the ready line and nothing else.
    let others: Vec<_> = testbox.stdout().into_iter().filter(|l| !l.starts_with("fieldcam ready")).collect();
    assert!(others.is_empty(), "{others:?}");
}
