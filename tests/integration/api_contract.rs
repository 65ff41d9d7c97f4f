//! Every method of the API in every role, and the shape of what it answers.

use crate::common::rpc::outcome;
use crate::common::{Client, Setup, TestBox, ffmpeg, http, wait_for};
use serde_json::{Value, json};

/// Every method of issue 3 with the lowest role that may call it and parameters that change nothing.
fn methods() -> Vec<(&'static str, &'static str, Value)> {
    let nobody = json!({ "device": "camera99" });
    let nothing = json!({ "filename": "camera0_2001-01-01_00-00-00" });
    let no_picture = json!({ "filename": "camera0_2001-01-01_00-00-00.jpg" });
    vec![
        ("get_camera_list", "viewer", Value::Null),
        ("get_camera_status", "viewer", nobody.clone()),
        ("get_camera_capabilities", "viewer", nobody.clone()),
        ("list_recordings", "viewer", Value::Null),
        ("list_snapshots", "viewer", Value::Null),
        ("get_recording_info", "viewer", nothing.clone()),
        ("get_snapshot_info", "viewer", no_picture.clone()),
        ("get_stream_url", "viewer", nobody.clone()),
        ("get_stream_status", "viewer", nobody.clone()),
        ("get_streams", "viewer", Value::Null),
        ("get_server_info", "viewer", Value::Null),
        ("take_snapshot", "operator", nobody.clone()),
        ("start_recording", "operator", nobody.clone()),
        ("stop_recording", "operator", nobody.clone()),
        ("start_streaming", "operator", nobody.clone()),
        ("stop_streaming", "operator", nobody),
        ("delete_recording", "admin", nothing),
        ("delete_snapshot", "admin", no_picture),
        ("get_status", "admin", Value::Null),
    ]
}

const ROLES: [&str; 3] = ["viewer", "operator", "admin"];

#[test]
fn every_method_asks_for_its_role_and_for_no_more() {
    let testbox = TestBox::start();
    let mut stranger = testbox.connect();
    stranger.assert_alive();
    for (method, _, params) in methods() {
        let error = stranger.refused(method, params);
        assert_eq!(error.code, -32001, "{method} without a login: {error}");
        assert!(error.data["reason"].is_string(), "{error}");
    }
    // One socket through all roles: each login replaces the one before.
    let mut client = testbox.connect();
    for role in ["admin", "viewer", "operator", "admin"] {
        let session = client.authenticate(&testbox.token(role));
        assert_eq!(session["authenticated"], true);
        assert_eq!(session["role"], role);
        let permissions: &[&str] = match role {
            "viewer" => &["view"],
            "operator" => &["view", "control"],
            _ => &["view", "control", "admin"],
        };
        assert_eq!(session["permissions"], json!(permissions));
        timestamp(&session["expires_at"]);
        assert!(uuid::Uuid::parse_str(session["session_id"].as_str().unwrap()).is_ok());
        let level = |r: &str| ROLES.iter().position(|x| *x == r).unwrap();
        for (method, needed, params) in methods() {
            let refused = client.call(method, params).err();
            let denied = refused.as_ref().is_some_and(|e| e.code == -32002);
            assert_eq!(denied, level(role) < level(needed), "{method} as {role}: {refused:?}");
            if let Some(error) = refused.filter(|_| denied) {
                assert!(error.message.contains("Permission denied"), "{error}");
                assert_eq!(
                    (&error.data["required_role"], &error.data["have_role"]),
                    (&json!(needed), &json!(role))
                );
            }
        }
    }
}

#[test]
fn cameras_are_described() {
    let testbox = Setup::new().cameras(3).start();
    let mut client = testbox.login("admin");
    let list = client.ok("get_camera_list", Value::Null);
    assert_eq!((&list["total"], &list["connected"]), (&json!(3), &json!(3)));
    let cameras = list["cameras"].as_array().unwrap();
    let ids: Vec<_> = cameras.iter().map(|c| c["device"].as_str().unwrap()).collect();
    assert_eq!(ids, ["camera0", "camera1", "camera2"]);
    for camera in cameras {
        camera_row(&testbox, camera);
    }
    let status = client.ok("get_camera_status", json!({ "device": "camera1" }));
    camera_row(&testbox, &status);
    for metric in ["bytes_sent", "readers", "uptime"] {
        assert!(status["metrics"][metric].is_u64(), "{metric}: {status}");
    }
    for list in ["formats", "resolutions"] {
        assert!(!status["capabilities"][list].as_array().unwrap().is_empty(), "{list}: {status}");
    }
    let able = client.ok("get_camera_capabilities", json!({ "device": "camera1" }));
    assert_eq!(able["device"], "camera1");
    assert!(able["fps_options"].as_array().unwrap().iter().all(|f| f.as_u64().unwrap() > 0));
    assert!(able["formats"].is_array() && able["resolutions"].is_array());
    assert!(["NONE", "DISCONNECTED", "CONFIRMED"].contains(&able["validation_status"].as_str().unwrap()));
    for device in [json!(list["device"]), json!("/dev/video0")] {
        assert!(!able.to_string().contains("/dev/"), "{device}: {able}");
    }
}

#[track_caller]
fn camera_row(testbox: &TestBox, camera: &Value) {
    assert_eq!(camera["status"], "CONNECTED", "{camera}");
    assert_eq!(camera["resolution"], "640x360", "{camera}");
    assert_eq!(camera["fps"], 30, "{camera}");
    assert!(!camera["name"].as_str().unwrap().is_empty(), "{camera}");
    let streams = camera["streams"].as_object().unwrap();
    assert!(!streams.contains_key("webrtc"), "{camera}");
    let rtsp = url::Url::parse(streams["rtsp"].as_str().unwrap()).unwrap();
    assert_eq!(rtsp.path(), format!("/{}", camera["device"].as_str().unwrap()));
    assert_eq!(rtsp.host_str(), Some("127.0.0.1"), "{rtsp}");
    assert!(!rtsp.username().is_empty() && rtsp.password().is_some());
    assert_eq!(rtsp.port(), url::Url::parse(testbox.endpoints().url("rtsp")).unwrap().port());
}

#[test]
fn a_stream_starts_is_reported_and_stops() {
    let testbox = TestBox::start();
    let mut client = testbox.login("operator");
    let device = json!({ "device": "camera0" });
    let idle = client.ok("get_stream_status", device.clone());
    assert_eq!((&idle["status"], &idle["ready"]), (&json!("INACTIVE"), &json!(false)), "{idle}");
    stream_status_shape(&idle);
    assert_eq!(client.refused("stop_streaming", device.clone()).code, -32020);

    let started = client.ok("start_streaming", device.clone());
    assert_eq!((&started["device"], &started["stream_name"]), (&json!("camera0"), &json!("camera0")));
    assert_eq!((&started["status"], &started["auto_close_after"]), (&json!("STARTED"), &json!("300s")));
    timestamp(&started["start_time"]);
    let command = started["ffmpeg_command"].as_str().unwrap();
    assert!(!command.contains("/dev/") && !command.contains('@'), "{command}");
    let url = client.ok("get_stream_url", device.clone());
    assert_eq!(url["stream_url"], started["stream_url"]);
    assert!(url["available"].is_boolean() && url["active_consumers"].is_u64(), "{url}");
    assert!(["READY", "NOT_READY", "ERROR"].contains(&url["stream_status"].as_str().unwrap()), "{url}");

    let live = wait_for("the stream is active", || {
        let status = client.ok("get_stream_status", device.clone());
        (status["status"] == "ACTIVE" && status["metrics"]["frames_sent"].as_u64() > Some(0))
            .then_some(status)
    });
    stream_status_shape(&live);
    assert_eq!((&live["ready"], &live["ffmpeg_process"]["running"]), (&json!(true), &json!(true)), "{live}");
    assert!(live["ffmpeg_process"]["pid"].as_u64() > Some(1), "{live}");
    timestamp(&live["start_time"]);
    let streams = client.ok("get_streams", Value::Null);
    let mine = streams.as_array().unwrap().iter().find(|s| s["name"] == "camera0").unwrap().clone();
    assert!(mine["ready"] == true && mine["readers"].is_u64() && mine["bytes_sent"].is_u64(), "{mine}");
    assert!(mine.get("source").is_some(), "{mine}");

    let stopped = client.ok("stop_streaming", device.clone());
    assert_eq!(
        (&stopped["status"], &stopped["stream_continues"]),
        (&json!("STOPPED"), &json!(false)),
        "{stopped}"
    );
    timestamp(&stopped["start_time"]);
    timestamp(&stopped["end_time"]);
    assert!(stopped["duration"].is_u64() && stopped["message"].is_string(), "{stopped}");
    wait_for("the stream is inactive", || {
        (client.ok("get_stream_status", device.clone())["status"] == "INACTIVE").then_some(())
    });
}

#[track_caller]
fn stream_status_shape(status: &Value) {
    for key in ["device", "stream_name", "status", "ready", "start_time"] {
        assert!(status.get(key).is_some(), "{key}: {status}");
    }
    for key in ["running", "pid", "uptime"] {
        assert!(status["ffmpeg_process"].get(key).is_some(), "{key}: {status}");
    }
    for key in ["exists", "ready", "readers"] {
        assert!(status["mediamtx_path"].get(key).is_some(), "{key}: {status}");
    }
    for key in ["bytes_sent", "frames_sent", "bitrate", "fps"] {
        assert!(status["metrics"][key].is_number(), "{key}: {status}");
    }
}

#[test]
fn snapshots_are_taken_listed_downloaded_and_deleted() {
    let testbox = TestBox::start();
    let mut client = testbox.login("admin");
    assert_eq!(
        client.ok("list_snapshots", Value::Null),
        json!({ "files": [], "total": 0, "limit": 50, "offset": 0 })
    );
    let taken = client.ok("take_snapshot", json!({ "device": "camera0", "filename": "door.jpg" }));
    assert_eq!((&taken["status"], &taken["filename"]), (&json!("SUCCESS"), &json!("door.jpg")), "{taken}");
    assert_eq!(
        (&taken["device"], &taken["file_path"]),
        (&json!("camera0"), &json!("/snapshots/door.jpg")),
        "{taken}"
    );
    timestamp(&taken["timestamp"]);
    // The name is taken: the picture is kept, and the next one gets another name or is refused.
    let again = client.call("take_snapshot", json!({ "device": "camera0", "filename": "door.jpg" }));
    assert_ne!(again.map(|t| t["filename"].clone()).unwrap_or_default(), "door.jpg");
    let info = client.ok("get_snapshot_info", json!({ "filename": "door.jpg" }));
    assert_eq!(info["file_size"], taken["file_size"]);
    timestamp(&info["created_time"]);
    let file = download(&testbox, info["download_url"].as_str().unwrap());
    assert_eq!(file.len() as u64, info["file_size"].as_u64().unwrap());
    let copy = testbox.scratch().join("door.jpg");
    std::fs::write(&copy, file).unwrap();
    assert_eq!(ffmpeg::jpeg_size(&copy), (640, 360));
    client.ok("take_snapshot", json!({ "device": "camera1" }));
    let list = client.ok("list_snapshots", json!({ "limit": 1 }));
    assert!(list["total"].as_u64() >= Some(2) && list["files"].as_array().unwrap().len() == 1, "{list}");
    assert!(list["files"][0]["filename"].as_str().unwrap().starts_with("camera1"), "newest first: {list}");
    timestamp(&list["files"][0]["modified_time"]);
    let gone = client.ok("delete_snapshot", json!({ "filename": "door.jpg" }));
    assert_eq!((&gone["filename"], &gone["deleted"]), (&json!("door.jpg"), &json!(true)));
    assert_eq!(client.refused("get_snapshot_info", json!({ "filename": "door.jpg" })).code, -32010);
    assert_eq!(
        client.refused("delete_snapshot", json!({ "filename": "door.jpg" })).data["resource"],
        "snapshot"
    );
}

#[test]
fn recordings_start_stop_are_listed_downloaded_and_deleted() {
    let testbox = TestBox::start();
    let mut client = testbox.login("admin");
    let device = json!({ "device": "camera0" });
    let started = client.ok("start_recording", device.clone());
    let name = started["filename"].as_str().unwrap().to_owned();
    assert!(name.starts_with("camera0_") && !name.contains('.'), "{started}");
    assert_eq!((&started["device"], &started["status"]), (&json!("camera0"), &json!("RECORDING")));
    timestamp(&started["start_time"]);
    let twice = client.refused("start_recording", device.clone());
    assert_eq!(twice.code, -32020);
    assert!(twice.data["state"].is_string() && twice.data["allowed_states"].is_array(), "{twice}");
    let filename = json!({ "filename": name });
    wait_for("something is recorded", || {
        let info = client.call("get_recording_info", filename.clone()).ok()?;
        (info["duration"].as_u64() >= Some(2)).then_some(())
    });
    let stopped = client.ok("stop_recording", device.clone());
    assert_eq!((&stopped["status"], &stopped["filename"]), (&json!("STOPPED"), &json!(name)));
    timestamp(&stopped["start_time"]);
    timestamp(&stopped["end_time"]);
    assert!(
        stopped["duration"].as_u64() >= Some(2) && stopped["file_size"].as_u64() > Some(1000),
        "{stopped}"
    );
    assert!(stopped["format"].is_string(), "{stopped}");
    assert_eq!(client.refused("stop_recording", device).code, -32020);

    let info = client.ok("get_recording_info", json!({ "filename": format!("{name}.mp4") }));
    assert_eq!(
        info,
        strip_url(client.ok("get_recording_info", filename.clone()), &info),
        "with and without extension"
    );
    assert_eq!(
        (&info["file_size"], &info["duration"]),
        (&stopped["file_size"], &stopped["duration"]),
        "{info}"
    );
    timestamp(&info["created_time"]);
    let bytes = download(&testbox, info["download_url"].as_str().unwrap());
    let copy = testbox.scratch().join("copy.mp4");
    std::fs::write(&copy, bytes).unwrap();
    ffmpeg::decode_all(&copy).unwrap();
    let list = client.ok("list_recordings", Value::Null);
    assert_eq!((&list["total"], &list["files"][0]["filename"]), (&json!(1), &json!(name)));
    assert_eq!(list["files"][0]["file_size"], info["file_size"]);
    assert_eq!(client.ok("delete_recording", filename.clone())["deleted"], true);
    assert_eq!(client.refused("get_recording_info", filename).data["resource"], "recording");
    assert_eq!(
        client.ok("list_recordings", json!({ "offset": 5 })),
        json!({ "files": [], "total": 0, "limit": 50, "offset": 5 })
    );
}

/// The same answer, but for the link, which is signed anew each time.
fn strip_url(mut info: Value, other: &Value) -> Value {
    for link in ["download_url", "thumbnail_url"] {
        if other.get(link).is_some() {
            info[link] = other[link].clone();
        }
    }
    if other.get("segments").is_some() {
        info["segments"] = other["segments"].clone();
    }
    info
}

/// A whole file by its signed link alone, then part of it, then only if it has changed.
fn download(testbox: &TestBox, link: &str) -> Vec<u8> {
    let url = if link.starts_with('/') { testbox.http(link) } else { link.to_owned() };
    let whole = http::get(&url, &[]);
    assert_eq!(whole.status, 200, "{}", whole.text());
    let tag = whole.header("etag").unwrap().to_owned();
    assert!(whole.header("content-disposition").unwrap().starts_with("attachment"));
    assert_eq!(whole.header("referrer-policy"), Some("no-referrer"));
    assert!(whole.header("cache-control").unwrap().contains("private"));
    let part = http::get(&url, &[("Range", "bytes=5-14"), ("If-Range", &tag)]);
    assert_eq!((part.status, &part.body[..]), (206, &whole.body[5..15]));
    assert_eq!(part.header("content-range").unwrap(), format!("bytes 5-14/{}", whole.body.len()));
    assert_eq!(http::get(&url, &[("Range", "bytes=5-14"), ("If-Range", "\"other\"")]).status, 200);
    assert_eq!(http::get(&url, &[("Range", "bytes=999999999-")]).status, 416);
    let bare = url.split('?').next().unwrap();
    assert_eq!(http::get(bare, &[]).status, 401);
    assert_eq!(http::get(&url.replace("sig=", "sig=0"), &[]).status / 100, 4);
    let bearer = format!("Bearer {}", testbox.token("viewer"));
    assert_eq!(http::get(bare, &[("Authorization", &bearer)]).body.len(), whole.body.len());
    whole.body
}

#[test]
fn the_box_describes_itself_and_its_health() {
    let testbox = TestBox::start();
    let mut client = testbox.login("admin");
    let info = client.ok("get_server_info", Value::Null);
    for key in ["name", "version", "build_date", "go_version", "architecture"] {
        assert!(info[key].is_string(), "{key}: {info}");
    }
    assert!(info["capabilities"].is_array() && info["supported_formats"].is_array(), "{info}");
    assert!(info["max_cameras"].as_u64() > Some(0), "{info}");
    let status = client.ok("get_status", Value::Null);
    assert!(["HEALTHY", "DEGRADED", "UNHEALTHY"].contains(&status["status"].as_str().unwrap()), "{status}");
    assert!(status["uptime"].is_number() && status["version"] == info["version"], "{status}");
    for part in ["websocket_server", "camera_monitor", "mediamtx"] {
        assert_eq!(status["components"][part], "RUNNING", "{status}");
    }
    let health = testbox.endpoints().url("health").trim_end_matches('/').to_owned();
    let ready = http::get(&format!("{health}/health/ready"), &[]);
    assert_eq!((ready.status, &ready.json()["ready"]), (200, &json!(true)));
    assert_eq!(http::get(&format!("{health}/health/live"), &[]).status, 200);
    let overall = http::get(&format!("{health}/health"), &[]).json();
    assert!(overall["status"].is_string() && overall["version"].is_string(), "{overall}");
    assert!(http::get(&format!("{health}/health/detailed"), &[]).json()["components"].is_array());
    let front = http::get(&testbox.http("/"), &[]);
    assert_eq!(front.status, 200);
    assert!(
        front.text().to_lowercase().contains("fieldcam")
            && front.text().contains(info["version"].as_str().unwrap())
    );
    assert!(front.text().contains("token"), "it says how to log in: {}", front.text());
}

#[test]
fn slow_work_does_not_delay_the_next_request() {
    let testbox = TestBox::start();
    let mut client: Client = testbox.login("operator");
    // The camera is at rest: its first picture takes a camera start.
    client.send(r#"{"jsonrpc":"2.0","id":"slow","method":"take_snapshot","params":{"device":"camera0"}}"#);
    client.send(r#"{"jsonrpc":"2.0","id":"quick","method":"ping"}"#);
    assert_eq!(client.reply()["id"], "quick");
    let slow = client.reply();
    assert_eq!(slow["id"], "slow");
    assert_eq!(outcome(slow).unwrap()["status"], "SUCCESS");
}

#[track_caller]
fn timestamp(value: &Value) {
    let text = value.as_str().unwrap_or_else(|| panic!("not a time: {value}"));
    assert!(text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok(), "not ISO 8601 UTC: {text}");
}
