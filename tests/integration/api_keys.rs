//! API keys: made on the box, used wherever a token is, and withdrawn at once.

use std::io::Read;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::common::frames::MjpegClient;
use crate::common::recording::Recording;
use crate::common::{Setup, TestBox, ffmpeg, http, squares, wait_for};

/// The value behind a name in what `fieldcam key create` prints.
fn printed(text: &str, name: &str) -> String {
    let line = text.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_else(|| panic!("no {name}: {text}"));
    line.trim().to_owned()
}

fn fieldcam(testbox: &TestBox, args: &[&str]) -> String {
    let out = testbox.fieldcam(args);
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

struct Key {
    id: String,
    key: String,
    user: String,
    password: String,
}

fn create(testbox: &TestBox, role: &str) -> Key {
    let text = fieldcam(testbox, &["key", "create", "--role", role, "--name", "hall"]);
    Key {
        id: printed(&text, "id "),
        key: printed(&text, "key "),
        user: printed(&text, "stream user "),
        password: printed(&text, "stream password "),
    }
}

#[test]
fn a_key_made_on_the_box_opens_every_door_until_it_is_revoked() {
    let testbox = TestBox::start();
    let key = create(&testbox, "operator");
    let mut socket = testbox.connect();
    let answer = socket.authenticate(&key.key);
    assert_eq!(answer["role"], "operator");
    assert_eq!(socket.refused("list_api_keys", Value::Null).code, -32002);
    socket.ok("subscribe_events", json!({ "topics": ["camera.status_change"] }));
    let still = socket.ok("take_snapshot", json!({ "device": "camera0" }));
    let file = testbox.http(&format!("/files{}", still["file_path"].as_str().unwrap()));
    let with = |key: &str| http::get(&file, &[("X-API-Key", key)]).status;
    assert_eq!(with(&key.key), 200);
    let mut wrong = key.key.clone();
    let last = if wrong.pop() == Some('0') { '1' } else { '0' };
    wrong.push(last);
    assert_eq!((with(&wrong), with(""), with("fk_")), (401, 401, 401));
    let index = testbox.http("/live/camera0/index.m3u8");
    assert_eq!(http::get(&index, &[("X-API-Key", &key.key)]).status, 200);
    let link = socket.ok("get_camera_list", Value::Null)["cameras"][0]["streams"]["hls"]
        .as_str()
        .unwrap()
        .to_owned();
    let first = http::get(&link, &[]);
    assert_eq!(first.status, 200);
    // The address in it needs no other log-in, and ends with this one.
    let text = first.text();
    let name = text.lines().find(|l| !l.starts_with('#') && !l.is_empty()).unwrap();
    let playlist = testbox.http(&format!("/live/camera0/{name}"));
    assert_eq!(http::get(&playlist, &[]).status, 200);

    let listed = fieldcam(&testbox, &["key", "list"]);
    assert!(listed.contains(&key.id) && listed.contains("hall") && !listed.contains(&key.key), "{listed}");
    fieldcam(&testbox, &["key", "revoke", &key.id]);
    for method in ["get_camera_list", "get_server_info"] {
        let error = socket.refused(method, Value::Null);
        assert_eq!((error.code, &error.data["reason"]), (-32001, &json!("key_revoked")));
    }
    let stats = testbox.login("viewer").ok("get_subscription_stats", Value::Null);
    assert_eq!(stats["global_stats"]["topic_counts"].get("camera.status_change"), None, "{stats}");
    assert_eq!(with(&key.key), 401);
    assert_eq!(http::get(&index, &[("X-API-Key", &key.key)]).status, 401);
    // Links are refused in words of their own.
    assert_eq!(http::get(&link, &[]).status, 403);
    assert_eq!(http::get(&playlist, &[]).status, 401);
    assert!(!testbox.fieldcam(&["key", "revoke", &key.id]).status.success());
    let log = testbox.log();
    assert!(!log.contains(&key.key) && !log.contains(&key.password), "a secret in the log");
}

#[test]
fn a_key_revoked_while_streaming_ends_its_viewers_and_no_others() {
    let testbox = TestBox::start();
    let (key, other) = (create(&testbox, "viewer"), create(&testbox, "viewer"));
    let base = testbox.endpoints().address("rtsp");
    let url = |k: &Key| format!("rtsp://{}:{}@{base}/camera0", k.user, k.password);
    let mut socket = testbox.connect();
    socket.authenticate(&key.key);
    let given = socket.ok("get_stream_url", json!({ "device": "camera0" }))["stream_url"]
        .as_str()
        .unwrap()
        .to_owned();
    // Whoever has the key's own password, and whoever was given an address in its name.
    let watch = |url: &str| {
        std::process::Command::new("ffmpeg")
            .args(["-v", "error", "-rtsp_transport", "tcp", "-i", url, "-c", "copy", "-f", "null", "-"])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    let mut ended = [watch(&url(&key)), watch(&given)];
    let mut stays = watch(&url(&other));
    let mut admin = testbox.login("admin");
    let mut readers = |wanted: i64| {
        wait_for("the readers are as many as wanted", || {
            let all = admin.ok("get_streams", Value::Null);
            (all[0]["readers"].as_i64() == Some(wanted)).then_some(())
        });
    };
    let pictures = testbox.http("/cameras/camera0/stream.mjpeg");
    let mut pictures = MjpegClient::open(&pictures, &[("X-API-Key", &key.key)]);
    assert!(pictures.part().is_some());
    readers(3);
    fieldcam(&testbox, &["key", "revoke", &key.id]);
    for viewer in &mut ended {
        wait_for("the viewer is gone", || viewer.try_wait().unwrap());
    }
    // What was on its way may still come.
    assert!((0..300).any(|_| pictures.part().is_none()), "the pictures end");
    readers(1);
    assert!(stays.try_wait().unwrap().is_none(), "the other key's viewer goes on");
    assert!(ffmpeg::try_probe(&url(&key)).is_err());
    assert_eq!(squares::read(&url(&other), 5).len(), 5);
    stays.kill().unwrap();
    stays.wait().unwrap();
}

#[test]
fn a_download_under_way_ends_when_its_key_is_revoked() {
    let testbox = Setup::new().cameras(1).env("CAMERAS__RESOLUTION", "1280x720").start();
    let mut recording = Recording::start(&testbox, "camera0", 0);
    // More than the sockets between both ends take.
    wait_for("5 MB are recorded", || {
        (recording.info()["file_size"].as_u64() > Some(5_000_000)).then_some(())
    });
    recording.stop();
    let size = recording.info()["file_size"].as_u64().unwrap();
    let key = create(&testbox, "viewer");
    let mut socket = testbox.connect();
    socket.authenticate(&key.key);
    let info = socket.ok("get_recording_info", json!({ "filename": recording.name }));
    let link = info["download_url"].as_str().unwrap();
    let mut download = http::open(link);
    fieldcam(&testbox, &["key", "revoke", &key.id]);
    let mut got = Vec::new();
    // It ends in the middle, with or without a word.
    let _ = download.read_to_end(&mut got);
    assert!((got.len() as u64) < size, "all of {size} bytes came");
    assert_eq!(http::get(link, &[]).status, 403);
}

#[test]
fn keys_outlive_a_restart_and_are_made_without_a_running_box_too() {
    let mut testbox = TestBox::start();
    let first = create(&testbox, "viewer");
    assert!(testbox.stop().success());
    let second = create(&testbox, "admin");
    let gone = create(&testbox, "viewer");
    fieldcam(&testbox, &["key", "revoke", &gone.id]);
    testbox.start_again();
    for key in [&first, &second] {
        testbox.connect().authenticate(&key.key);
    }
    assert_eq!(testbox.connect().refused("authenticate", json!({ "auth_token": gone.key })).code, -32001);
    // In place of the first one, which ends at once.
    let mut admin = testbox.connect();
    admin.authenticate(&second.key);
    let mut former = testbox.connect();
    former.authenticate(&first.key);
    let new = admin.ok("rotate_api_key", json!({ "id": first.id, "overlap": 0 }));
    testbox.connect().authenticate(new["key"].as_str().unwrap());
    wait_for("the former key's socket is refused", || former.call("get_camera_list", Value::Null).err());
    assert_eq!(testbox.connect().refused("authenticate", json!({ "auth_token": first.key })).code, -32001);
}
