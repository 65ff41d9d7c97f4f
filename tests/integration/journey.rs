//! What the README promises a new user: list, watch, take a picture, record, download, play.

use std::process::{Command, Output};

use crate::common::testbox::PROGRAM;
use crate::common::{STALL, Setup, TestBox, ffmpeg, http, squares};
use serde_json::Value;

#[track_caller]
fn done(out: Output) -> String {
    let (stdout, stderr) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{}: {stdout}{stderr}", out.status);
    stdout.into_owned()
}

fn words(out: &Output) -> (Option<i32>, String) {
    (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
}

#[test]
fn a_recording_goes_from_the_camera_to_the_laptop_without_a_gap() {
    let testbox = TestBox::start();
    let cameras = done(testbox.fieldcam(&["ctl", "cameras"]));
    assert!(
        cameras.contains("camera0") && cameras.contains("camera1") && cameras.contains("640x360"),
        "{cameras}"
    );

    let file = testbox.scratch().join("take.mp4");
    done(testbox.fieldcam(&["ctl", "record", "camera0", "--for", "10s", "-o", &file.to_string_lossy()]));
    ffmpeg::decode_all(&file).unwrap();
    let run = squares::read(&file.to_string_lossy(), 0);
    let seconds = squares::assert_gapless(&run, 0.1) + 1.0 / 30.0;
    // The timer is judged where many recordings can be made; one alone may meet a machine standing still.
    assert!((9.8 - STALL..10.2 + STALL).contains(&seconds), "{seconds:.3} s of {} frames", run.len());
    let said = ffmpeg::duration(&file);
    assert!((said - seconds).abs() <= 0.2 + STALL, "the file says {said} s of {seconds} s");

    let list = done(testbox.fieldcam(&["ctl", "recordings", "--json"]));
    let list: Value = serde_json::from_str(&list).unwrap();
    let name = list["files"][0]["filename"].as_str().unwrap().to_owned();
    let listed = done(testbox.fieldcam(&["ctl", "recordings"]));
    let row = listed.lines().find(|line| line.contains(&name)).unwrap();
    assert!(row.split_whitespace().any(|word| ["0:09", "0:10", "0:11"].contains(&word)), "{listed}");
    let again = testbox.scratch().join("again.mp4");
    done(testbox.fieldcam(&["ctl", "get", &name, "-o", &again.to_string_lossy()]));
    assert_eq!(std::fs::read(&again).unwrap(), std::fs::read(&file).unwrap());
}

#[test]
fn a_recording_of_several_segments_comes_as_one_file_without_a_gap() {
    let testbox = Setup::new().toml("[recording]\nsegment_duration = \"2s\"").start();
    let file = testbox.scratch().join("take.mp4");
    done(testbox.fieldcam(&["ctl", "record", "camera0", "--for", "7s", "-o", &file.to_string_lossy()]));
    let info = testbox.login("viewer").ok("list_recordings", Value::Null);
    assert_eq!(info["files"][0]["file_size"], std::fs::metadata(&file).unwrap().len());
    ffmpeg::decode_all(&file).unwrap();
    let run = squares::read(&file.to_string_lossy(), 0);
    let seconds = squares::assert_gapless(&run, 0.1) + 1.0 / 30.0;
    assert!((6.8 - STALL..7.2 + STALL).contains(&seconds), "{seconds:.3} s of {} frames", run.len());
    let said = ffmpeg::duration(&file);
    assert!((said - seconds).abs() <= 0.1 + STALL, "the file says {said} s and plays {seconds} s");
}

#[test]
fn an_interrupted_download_goes_on_where_it_stopped() {
    let testbox = TestBox::start();
    let whole = testbox.scratch().join("whole.mp4");
    done(testbox.fieldcam(&["ctl", "record", "camera0", "--for", "2s", "-o", &whole.to_string_lossy()]));
    let mut client = testbox.login("viewer");
    let list = client.ok("list_recordings", Value::Null);
    let (name, link) = (&list["files"][0]["filename"], list["files"][0]["download_url"].as_str().unwrap());
    let bytes = std::fs::read(&whole).unwrap();
    let answer = http::get(link, &[]);
    assert_eq!(answer.body, bytes);
    for (tag, goes_on) in [(answer.header("etag").unwrap(), true), ("\"of another file\"", false)] {
        let file = testbox.scratch().join(format!("again-{goes_on}.mp4"));
        let beside = |ending: &str| testbox.scratch().join(format!("again-{goes_on}.mp4{ending}"));
        std::fs::write(beside(".part"), &bytes[..bytes.len() / 2]).unwrap();
        std::fs::write(beside(".part-etag"), tag).unwrap();
        let args = ["ctl", "get", name.as_str().unwrap(), "-o", &file.to_string_lossy()];
        done(testbox.fieldcam(&args));
        assert!(std::fs::read(&file).unwrap() == bytes, "{tag}: the file is another one");
        assert!(!beside(".part").exists() && !beside(".part-etag").exists());
    }
}

#[test]
fn a_picture_comes_in_full_size() {
    let testbox = TestBox::start();
    let file = testbox.scratch().join("picture.jpg");
    done(testbox.fieldcam(&["ctl", "snapshot", "camera1", "-o", &file.to_string_lossy()]));
    assert_eq!(ffmpeg::jpeg_size(&file), (640, 360));
}

#[test]
fn a_live_stream_plays_with_its_url_and_not_without_its_credentials() {
    let testbox = TestBox::start();
    let shown = done(testbox.fieldcam(&["ctl", "stream", "camera0"]));
    assert!(shown.contains("valid until"), "{shown}");
    for path in ["/live/camera0/index.m3u8?", "/live/camera0/whep?", "/live/camera0?"] {
        assert!(shown.contains(path), "{shown}");
    }
    let json = done(testbox.fieldcam(&["ctl", "--json", "stream", "camera0"]));
    let json: Value = serde_json::from_str(&json).unwrap();
    assert!(
        ["stream_url", "hls", "webrtc", "page", "valid_until"].iter().all(|k| json[k].is_string()),
        "{json}"
    );
    let url = shown.lines().find_map(|l| l.strip_prefix("rtsp")).unwrap().trim().to_owned();
    let run = squares::read(&url, 60);
    assert_eq!(run.len(), 60);
    assert!(squares::holes(&run).is_empty(), "{run:?}");

    let mut other = url::Url::parse(&url).unwrap();
    other.set_password(Some("wrong")).unwrap();
    assert!(ffmpeg::try_probe(other.as_str()).is_err(), "a wrong password must not play");
    other.set_username("").unwrap();
    other.set_password(None).unwrap();
    assert!(ffmpeg::try_probe(other.as_str()).is_err(), "no credentials must not play");
    // A credential is for reading streams; it publishes nothing.
    let published = ffmpeg::run(
        "ffmpeg",
        &[
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            "testsrc=size=320x180",
            "-t",
            "1",
            "-c:v",
            "libx264",
            "-f",
            "rtsp",
            "-rtsp_transport",
            "tcp",
            &url,
        ],
    );
    assert!(!published.status.success(), "a viewer's credential must not publish");
}

#[test]
fn the_tool_works_from_elsewhere_with_a_token_alone() {
    let testbox = TestBox::start();
    let token = testbox.scratch().join("token");
    std::fs::write(&token, format!("{}\n", testbox.token("viewer"))).unwrap();
    let address = testbox.endpoints().address("ws");
    let away = |args: &[&str]| {
        let mut command = Command::new(PROGRAM);
        command.env_clear().env("FIELDCAM_STORAGE__DATA_DIR", "/nonexistent").arg("ctl").args(args);
        command.output().unwrap()
    };
    let token = token.to_string_lossy();
    let with = ["--host", &address, "--token-file", &token];
    assert!(done(away(&[&with[..], &["status"]].concat())).contains("2 of 2 cameras connected"));
    let status: Value =
        serde_json::from_str(&done(away(&[&with[..], &["--json", "status"]].concat()))).unwrap();
    assert_eq!(
        (&status["status"], &status["cameras"]["total"]),
        (&Value::Null, &Value::from(2)),
        "a viewer's view"
    );
    let raw = done(away(&[&with[..], &["--json", "call", "ping"]].concat()));
    assert_eq!(raw, "\"pong\"\n");

    let (code, why) = words(&away(&[&with[..], &["snapshot", "camera0"]].concat()));
    assert_eq!(code, Some(1), "{why}");
    assert!(why.contains("operator") && why.contains("viewer"), "{why}");
    let (code, why) = words(&away(&["--host", &address, "cameras"]));
    assert_eq!(code, Some(1), "{why}");
    assert!(why.contains("token"), "{why}");
    let (code, why) = words(&away(&["--host", "127.0.0.1:1", "--token-file", &token, "cameras"]));
    assert_eq!(code, Some(1), "{why}");
    assert!(why.contains("127.0.0.1:1") && why.contains('→'), "{why}");
    for wrong in [&["frobnicate"][..], &["record", "camera0", "--for", "soon"], &["--host", "a b", "cameras"]]
    {
        assert_eq!(words(&away(wrong)).0, Some(2), "{wrong:?}");
    }
}

#[test]
fn a_camera_that_does_not_exist_is_said_with_those_that_do() {
    let testbox = TestBox::start();
    let (code, why) = words(&testbox.fieldcam(&["ctl", "snapshot", "cellar"]));
    assert_eq!(code, Some(1), "{why}");
    assert!(why.contains("cellar") && why.contains("camera0, camera1"), "{why}");
    let (code, why) = words(&testbox.fieldcam(&["ctl", "get", "camera0_2001-01-01_00-00-00"]));
    assert_eq!(code, Some(1), "{why}");
    assert!(why.contains("Recording not found"), "{why}");
}

#[test]
fn the_exit_code_tells_what_the_box_refuses_from_wrong_usage() {
    let testbox = Setup::new().cameras(1).start();
    let code = |args: &[&str]| {
        let out = testbox.fieldcam(&[&["ctl"], args].concat());
        (out.status.code(), words(&out).1)
    };
    for refused in [
        &["call", "frobnicate"][..],
        &["call", "get_camera_status", "{}"],
        &["call", "get_camera_status", "[]"],
        &["call", "take_snapshot", r#"{"device":"camera0","filename":"../x.jpg"}"#],
        &["call", "set_time", r#"{"time":"soon"}"#],
        &["call", "stop_recording", r#"{"device":"camera0"}"#],
        &["claim", "--code", "0123-4567-89AB"],
        &["control", "camera0", "brightness", "7"],
        &["factory-reset", "--confirm", "another-box"],
        &["forget", "camera0"],
        &["get", "no/name"],
        &["name", "camera0", "a\nb"],
        &["network", "set", "no-port", "192.0.2.7/99"],
        &["network", "confirm"],
        &["pin", "camera7"],
        &["record", "camera7", "--for", "2s"],
        &["update", "--reboot"],
        &["update", "ftp://192.0.2.7/x.raucb"],
        &["update", "http://192.0.2.7/x.raucb"],
        &["watch", "cellar"],
    ] {
        let (code, why) = code(refused);
        assert!(code == Some(1) && !why.is_empty(), "{refused:?}: {code:?}, {why}");
    }
    for wrong in [
        &["call", "ping", "{"][..],
        &["control", "--brighter"],
        &["find", "--host", "192.0.2.7"],
        &["network", "set", "eth0"],
        &["recordings", "--limit", "0"],
        &["update", "--allow-downgrade"],
    ] {
        let (code, why) = code(wrong);
        assert!(code == Some(2) && !why.is_empty(), "{wrong:?}: {code:?}, {why}");
    }
    assert_eq!(code(&["call", "ping"]).0, Some(0));
}
