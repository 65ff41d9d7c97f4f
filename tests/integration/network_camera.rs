//! Network cameras: seen, watched, recorded, snapshot, and back after every kind of cut.

use std::time::{Duration, Instant};

use crate::common::footage::now_ms;
use crate::common::recording::Recording;
use crate::common::rtsp_camera::{H264, H265_AAC, Kind, PASSWORD, RtspCamera};
use crate::common::{Client, STALL, Setup, TestBox, ffmpeg, process, squares, turn, wait_for, wait_within};
use serde_json::{Value, json};

/// How long a cut lasts.
const CUT: Duration = Duration::from_secs(5);
/// Seconds after its return in which a camera is to be live again.
const LIVE_AGAIN: f64 = 2.0;

fn with(camera: &RtspCamera, more: &str) -> Setup {
    Setup::new().cameras(0).toml(&camera.section(more))
}

/// Waits until `camera0` is listed as connected, with its real size.
#[track_caller]
fn connected(client: &mut Client) {
    wait_for("camera0 is connected", || {
        let row = client.ok("get_camera_status", json!({ "device": "camera0" }));
        (row["status"] == "CONNECTED" && row["resolution"] == "320x180").then_some(())
    });
}

#[track_caller]
fn stream_url(client: &mut Client) -> String {
    let reply = client.ok("get_stream_url", json!({ "device": "camera0" }));
    reply["stream_url"].as_str().unwrap().to_owned()
}

/// Kinds of streams in a source, such as `video h264`.
#[track_caller]
fn streams(source: &str) -> Vec<String> {
    let found = ffmpeg::probe(source);
    let word = |v: &Value| v.as_str().unwrap_or("?").to_owned();
    let streams = found["streams"].as_array().unwrap().iter();
    let mut kinds: Vec<_> =
        streams.map(|s| format!("{} {}", word(&s["codec_type"]), word(&s["codec_name"]))).collect();
    kinds.sort();
    kinds
}

#[test]
fn a_camera_is_listed_as_it_is_and_watched_through_the_box() {
    let _turn = turn::take();
    let camera = RtspCamera::start(H264);
    let testbox = with(&camera, "").start();
    let mut client = testbox.login("viewer");
    connected(&mut client);
    wait_for("its rate was counted", || {
        let row = client.ok("get_camera_status", json!({ "device": "camera0" }));
        (row["fps"] == 15).then_some(())
    });
    let formats = &client.ok("get_camera_capabilities", json!({ "device": "camera0" }))["formats"];
    assert!(formats.to_string().contains("H264"), "{formats}");

    let url = stream_url(&mut client);
    let run = squares::read(&url, 30);
    let late = now_ms() - run.last().unwrap().time_ms;
    println!("30 pictures through the box, the last {late} ms old when FFmpeg had ended");
    // FFmpeg may give the first pictures of a live stream one time.
    assert!(squares::holes(&run).is_empty(), "{run:?}");
    assert_eq!(camera.readers(), 1, "the box reads the camera once, whoever watches");
    assert_eq!(streams(&url), ["video h264"]);
}

#[test]
fn a_warm_snapshot_takes_less_than_200_ms_and_tells_its_age() {
    let _turn = turn::take();
    let camera = RtspCamera::start(H264);
    let testbox = with(&camera, "").start();
    let mut client = testbox.login("operator");
    connected(&mut client);
    // The first one may have to wait for a keyframe.
    wait_for("a snapshot is possible", || client.call("take_snapshot", json!({ "device": "camera0" })).ok());
    let mut times: Vec<Duration> = (0..9)
        .map(|n| {
            let begun = Instant::now();
            let name = format!("warm{n}.jpg");
            let taken = client.ok("take_snapshot", json!({ "device": "camera0", "filename": name }));
            let took = begun.elapsed();
            assert_eq!(taken["status"], "SUCCESS", "{taken}");
            // A keyframe every second, and what the network and a busy machine add.
            let age = taken["frame_age_ms"].as_u64().unwrap_or_else(|| panic!("no frame_age_ms: {taken}"));
            assert!(age < 10_000, "{taken}");
            let file = testbox.data().join("snapshots").join(&name);
            assert_eq!(ffmpeg::jpeg_size(&file), (320, 180));
            took
        })
        .collect();
    times.sort();
    println!("warm snapshot: median {:?}, worst {:?}", times[4], times[8]);
    assert!(times[4] < Duration::from_millis(200), "{times:?}");
}

#[test]
fn a_wrong_password_is_told_and_tried_less_and_less_often() {
    let _turn = turn::take();
    let camera = RtspCamera::start(H264);
    let section = format!("[[camera]]\nsource = \"{}\"\n", camera.url("not-the-password"));
    let testbox = Setup::new().cameras(0).toml(&section).start();
    let mut client = testbox.login("admin");
    // 1, 2, 4 … s between attempts, and the camera's own delay of up to 4 s.
    let delays = wait_within(Duration::from_secs(90), "four log-in attempts", || {
        let refused = camera.failed_logins();
        // One attempt is refused twice: MediaMTX asks again with the other kind of digest.
        let delays: Vec<f64> = refused.windows(2).map(|w| w[1] - w[0]).filter(|d| *d > 0.3).collect();
        (delays.len() >= 3).then_some(delays)
    });
    println!("seconds between log-in attempts: {delays:.1?}");
    assert!(delays[2] > delays[0] + 1.0, "{delays:?}");

    let row = client.ok("get_camera_status", json!({ "device": "camera0" }));
    assert_ne!(row["status"], "CONNECTED", "{row}");
    let problem = row["problem"].as_str().unwrap_or_else(|| panic!("no problem is told: {row}"));
    assert!(problem.to_lowercase().contains("password"), "{problem}");
    assert!(testbox.log().to_lowercase().contains("password"), "the log does not tell");
}

#[test]
fn the_password_is_seen_nowhere() {
    let _turn = turn::take();
    let camera = RtspCamera::start(H265_AAC);
    let testbox = with(&camera, "").env("LOG__LEVEL", "debug").start();
    let mut client = testbox.login("admin");
    connected(&mut client);
    let mut recording = Recording::start(&testbox, "camera0", 0);
    recording.wait_seconds(2);
    let replies = [
        ("get_camera_list", Value::Null),
        ("get_camera_status", json!({ "device": "camera0", "debug": true })),
        ("start_streaming", json!({ "device": "camera0" })),
        ("get_stream_status", json!({ "device": "camera0" })),
        ("get_stream_url", json!({ "device": "camera0" })),
        ("get_streams", Value::Null),
        ("get_status", Value::Null),
    ];
    for (method, params) in replies {
        let reply = client.ok(method, params).to_string();
        assert!(!reply.contains(PASSWORD), "{method}: {reply}");
    }
    for child in testbox.children() {
        assert!(!child.command.contains(PASSWORD), "{child:?}");
        let environment = std::fs::read(format!("/proc/{}/environ", child.pid)).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&environment).contains(PASSWORD), "environment of {child:?}");
    }
    assert!(!process::all().iter().any(|p| p.command.contains(PASSWORD)), "in an argument list");
    let config = testbox.fieldcam(&["config"]);
    assert!(!String::from_utf8_lossy(&config.stdout).contains(PASSWORD), "config shows it");
    recording.stop();
    assert!(!testbox.log().contains(PASSWORD), "it is in the log");
    let facts = std::fs::read_to_string(recording.folder.join("recording.json")).unwrap();
    assert!(!facts.contains(PASSWORD), "{facts}");
}

#[track_caller]
fn sound(audio: bool, expected: &[&str]) {
    let _turn = turn::take();
    let camera = RtspCamera::start(H265_AAC);
    let testbox = with(&camera, &format!("audio = {audio}")).start();
    let mut client = testbox.login("operator");
    connected(&mut client);
    let url = stream_url(&mut client);
    assert_eq!(streams(&url), expected, "watched");

    let mut recording = Recording::start(&testbox, "camera0", 0);
    recording.wait_seconds(4);
    let film = recording.stop();
    let file = film.segments[0].file.to_string_lossy().into_owned();
    assert_eq!(streams(&file), expected, "recorded");
    // Times are no matter here: an encoder that a busy machine starves is late by itself.
    let holes = squares::holes(&film.pictures());
    assert!(holes.is_empty(), "{holes:?}");
    assert_eq!(camera.readers(), 1, "the box reads the camera once");
}

#[test]
fn sound_that_was_not_asked_for_is_neither_watched_nor_recorded() {
    sound(false, &["video hevc"]);
}

#[test]
fn sound_that_was_asked_for_is_watched_and_recorded() {
    sound(true, &["audio aac", "video hevc"]);
}

/// Records, cuts the camera off for five seconds, brings it back; `back` answers with the time at
/// which the camera delivered again.
#[track_caller]
fn cut<T>(
    kind: Kind,
    off: impl FnOnce(&mut RtspCamera) -> Option<T>,
    back: impl FnOnce(&mut RtspCamera, T) -> u64,
) {
    let _turn = turn::take();
    let mut camera = RtspCamera::start(kind);
    let testbox = with(&camera, "").start();
    let mut client = testbox.login("operator");
    connected(&mut client);
    let mut recording = Recording::start(&testbox, "camera0", 0);
    recording.wait_seconds(3);

    let at = now_ms();
    let Some(state) = off(&mut camera) else { return };
    wait_for("the camera is not listed as connected", || {
        let row = client.ok("get_camera_status", json!({ "device": "camera0" }));
        (row["status"] != "CONNECTED" && row["problem"].is_string()).then_some(())
    });
    let told = (now_ms() - at) as f64 / 1000.0;
    wait_for("the cut is over", || (now_ms() >= at + CUT.as_millis() as u64).then_some(()));
    let returned = back(&mut camera, state);
    let live = live_again(&testbox, &mut client, returned);
    recording.wait_more(3);
    let film = recording.stop();
    let hole = film.hole(at);
    let recorded = (hole.to_ms as f64 - returned as f64) / 1000.0;
    println!(
        "listed as away {told:.2} s after the cut, as connected {live:.2} s after its return, recorded {recorded:.2} s after it; \
         lost {:.2} s, gap {:.2} s",
        hole.lost, hole.gap
    );
    let gap = recording.gap_of(&hole);
    println!("  listed as {gap:?}");
    assert_eq!(gap.cause, "camera_disconnected");
    assert!(hole.lost <= 2.0 + STALL, "{hole:?}");
    assert!(recorded <= LIVE_AGAIN * 10.0, "recorded again {recorded} s after its return");
    assert!(live <= LIVE_AGAIN * 10.0, "live again {live} s after its return");
}

/// Waits until the camera is listed as connected and its stream ready; seconds since `returned`.
#[track_caller]
fn live_again(testbox: &TestBox, client: &mut Client, returned: u64) -> f64 {
    wait_for(&format!("the camera is live again (daemon {})", testbox.pid()), || {
        let status = client.ok("get_stream_status", json!({ "device": "camera0" }));
        let row = client.ok("get_camera_status", json!({ "device": "camera0" }));
        (status["ready"] == true && row["status"] == "CONNECTED").then_some(())
    });
    now_ms().saturating_sub(returned) as f64 / 1000.0
}

#[test]
fn a_camera_that_stopped_sending_is_live_again_and_the_recording_goes_on() {
    cut(
        H264,
        |camera| {
            camera.stop_publisher();
            Some(())
        },
        |camera, ()| camera.start_publisher(),
    );
}

#[test]
fn a_camera_whose_power_was_cut_is_live_again_and_the_recording_goes_on() {
    cut(
        H264,
        |camera| {
            camera.kill_server();
            Some(())
        },
        |camera, ()| {
            camera.start_server();
            camera.start_publisher()
        },
    );
}

#[test]
fn a_camera_whose_sound_is_dropped_is_live_again_after_a_power_cut() {
    cut(
        H265_AAC,
        |camera| {
            camera.kill_server();
            Some(())
        },
        |camera, ()| {
            camera.start_server();
            camera.start_publisher()
        },
    );
}

#[test]
fn a_camera_behind_a_network_that_dropped_everything_is_live_again_and_the_recording_goes_on() {
    cut(
        H264,
        |camera| match camera.cut_network() {
            Ok(cut) => Some(cut),
            Err(why) => {
                eprintln!("left out: {why}");
                None
            }
        },
        |_, cut| {
            drop(cut);
            now_ms()
        },
    );
}
