//! A box that cannot start, or not wholly, says why, naming the setting to change.

use std::net::TcpListener;
use std::os::unix::fs::symlink;

use crate::common::rtsp_camera::{H264, RtspCamera};
use crate::common::testbox::{Failure, PROGRAM};
use crate::common::{Client, Setup, TestBox, ffmpeg, http, loopdisk, turn, wait_for};
use serde_json::{Value, json};

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
fn a_missing_ffmpeg_is_told_and_the_box_heals_when_it_appears() {
    let _turn = turn::take();
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("ffmpeg");
    let network = RtspCamera::start(H264);
    let setup = small().toml(&network.section("")).env("FFMPEG__BINARY", &program.to_string_lossy());
    let testbox = setup.start();
    testbox.wait_log("ffmpeg.binary");
    let mut client = testbox.login("admin");
    let camera = |client: &mut Client, device: &str, status: &str| {
        wait_for(&format!("{device} is {status}"), || {
            let row = client.ok("get_camera_status", json!({ "device": device }));
            (row["status"] == status).then_some(row)
        })
    };
    // The network camera is the configured one, the synthetic one comes after it.
    let row = camera(&mut client, "camera1", "ERROR");
    assert!(row["problem"].as_str().is_some_and(|p| p.contains("FFmpeg")), "{row}");
    for method in ["start_recording", "start_streaming", "take_snapshot"] {
        let e = client.refused(method, json!({ "device": "camera1" }));
        assert_eq!((e.code, &e.data["dependency"]), (-32050, &json!("ffmpeg")), "{method}: {e:?}");
        assert!(e.data["suggestion"].as_str().is_some_and(|s| s.contains("ffmpeg.binary")), "{e:?}");
    }
    let health = || http::get(&format!("{}/health/detailed", testbox.endpoints().url("health")), &[]);
    let about_ffmpeg = |page: &Value| {
        let all = page["components"].as_array().unwrap_or_else(|| panic!("no components: {page}"));
        all.iter().find(|c| c["name"] == "ffmpeg").unwrap_or_else(|| panic!("no ffmpeg: {page}")).clone()
    };
    let sick = health();
    let (page, component) = (sick.json(), about_ffmpeg(&sick.json()));
    assert_eq!((sick.status, &page["status"]), (500, &json!("unhealthy")), "{page}");
    assert!(component["message"].as_str().is_some_and(|m| m.contains("ffmpeg.binary")), "{component}");

    // What FFmpeg has no part in works all the same.
    camera(&mut client, "camera0", "CONNECTED");
    client.ok("start_recording", json!({ "device": "camera0" }));
    let e = client.refused("take_snapshot", json!({ "device": "camera0" }));
    assert_eq!((e.code, &e.data["dependency"]), (-32050, &json!("ffmpeg")), "{e:?}");
    client.ok("stop_recording", json!({ "device": "camera0" }));

    let real = ffmpeg::run("sh", &["-c", "command -v ffmpeg"]);
    symlink(String::from_utf8(real.stdout).unwrap().trim(), &program).unwrap();
    camera(&mut client, "camera1", "CONNECTED");
    assert_eq!(about_ffmpeg(&health().json())["status"], "healthy");
    client.ok("start_recording", json!({ "device": "camera1" }));
    client.ok("take_snapshot", json!({ "device": "camera1" }));
    client.ok("take_snapshot", json!({ "device": "camera0" }));
    client.ok("stop_recording", json!({ "device": "camera1" }));
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
