//! Streams on the network: found, added, watched, recorded, there again after a restart, and removed. What
//! they may not lead to is refused.

use crate::common::recording::Recording;
use crate::common::rtsp_camera::{H264, PASSWORD, RtspCamera};
use crate::common::{Client, Setup, TestBox, squares, turn, wait_for};
use serde_json::{Value, json};

/// A box without cameras that may use the hosts in `allowed`.
fn setup(allowed: &[String]) -> Setup {
    let allowed = json!(allowed);
    Setup::new()
        .cameras(0)
        .toml(&format!("[discovery]\nexternal_enabled = true\nallowed_hosts = {allowed}"))
        .env("LOG__LEVEL", "debug")
}

fn start_for(camera: &RtspCamera) -> TestBox {
    setup(&[camera.address().to_string()]).start()
}

#[track_caller]
fn connected(client: &mut Client) {
    wait_for("camera0 is connected", || {
        let row = client.call("get_camera_status", json!({ "device": "camera0" })).ok()?;
        (row["status"] == "CONNECTED").then_some(())
    });
}

fn urls(rows: &Value) -> Vec<&str> {
    rows.as_array().unwrap().iter().map(|row| row["url"].as_str().unwrap()).collect()
}

#[test]
fn a_stream_is_found_added_watched_recorded_there_after_a_restart_and_removed() {
    let _turn = turn::take();
    let camera = RtspCamera::start_open(H264);
    let mut testbox = start_for(&camera);
    let mut client = testbox.login("operator");
    let url = camera.open_url();

    let found = client.ok("discover_external_streams", json!({ "generic_enabled": true }));
    assert_eq!(urls(&found["generic_streams"]), [url.as_str()], "{found}");
    assert_eq!(urls(&found["skydio_streams"]), [url.replace("/live", "/subject").as_str()], "{found}");
    let row = &found["generic_streams"][0];
    assert_eq!((&row["status"], &row["capabilities"]["codec"]), (&json!("DISCOVERED"), &json!("h264")));

    client.ok("subscribe_events", json!({ "topics": ["camera_status_update"] }));
    let added = client.ok("add_external_stream", json!({ "stream_url": url, "stream_name": "Yard" }));
    assert_eq!((&added["status"], &added["stream_url"]), (&json!("ADDED"), &json!(url)));
    let told = client
        .notification(|n| n["method"] == "camera_status_update" && n["params"]["status"] == "CONNECTED");
    assert_eq!((&told["params"]["device"], &told["params"]["name"]), (&json!("camera0"), &json!("Yard")));
    connected(&mut client);
    let again = client.refused("add_external_stream", json!({ "stream_url": url, "stream_name": "Twice" }));
    assert_eq!(again.code, -32020);

    let reply = client.ok("get_stream_url", json!({ "device": "camera0" }));
    let run = squares::read(reply["stream_url"].as_str().unwrap(), 15);
    assert!(squares::holes(&run).is_empty(), "{run:?}");
    wait_for("a snapshot is possible", || client.call("take_snapshot", json!({ "device": "camera0" })).ok());
    let mut recording = Recording::start(&testbox, "camera0", 0);
    recording.wait_seconds(2);
    let refused = client.refused("remove_external_stream", json!({ "stream_url": url }));
    assert_eq!((refused.code, &refused.data["state"]), (-32020, &json!("RECORDING")));

    let name = client.ok("list_recordings", json!({}))["files"][0]["filename"].as_str().unwrap().to_owned();
    assert!(testbox.stop().success());
    testbox.start_again();
    let mut client = testbox.login("operator");
    connected(&mut client);
    let mut recording = Recording::again(&testbox, "camera0", &name);
    recording.wait_more(2);
    let known = client.ok("get_external_streams", json!({}));
    assert_eq!(
        (urls(&known["external_streams"]), &known["external_streams"][0]["name"]),
        (vec![url.as_str()], &json!("Yard"))
    );
    recording.stop();

    client.ok("remove_external_stream", json!({ "stream_url": url }));
    let row = client.ok("get_camera_status", json!({ "device": "camera0" }));
    assert_eq!(row["status"], "DISCONNECTED", "{row}");
    assert_eq!(client.ok("get_external_streams", json!({}))["total_count"], 0);
    assert_eq!(client.refused("remove_external_stream", json!({ "stream_url": url })).code, -32010);
    wait_for("the box lets the camera alone", || (camera.readers() == 0).then_some(()));
}

#[test]
fn an_added_password_is_seen_nowhere_and_the_same_stream_is_known_without_it() {
    let _turn = turn::take();
    let camera = RtspCamera::start(H264);
    let mut testbox = start_for(&camera);
    let mut client = testbox.login("admin");
    let (url, bare) = (camera.url(PASSWORD), camera.open_url());
    // It tells nothing of its streams to strangers, and that is told.
    let found = client.ok("discover_external_streams", json!({ "generic_enabled": true }));
    assert_eq!(found["generic_streams"][0]["status"], "ERROR", "{found}");

    let added = client.ok("add_external_stream", json!({ "stream_url": url, "stream_name": "Gate" }));
    assert_eq!(added["stream_url"], json!(bare));
    connected(&mut client);
    let wrong = json!({ "stream_url": url.replace(PASSWORD, "another-one"), "stream_name": "Gate" });
    let refused = client.refused("add_external_stream", wrong);
    for reply in [
        added,
        json!(format!("{} {}", refused.message, refused.data)),
        client.ok("get_external_streams", json!({})),
        client.ok("get_camera_status", json!({ "device": "camera0", "debug": true })),
        client.ok("get_streams", Value::Null),
    ] {
        assert!(!reply.to_string().contains(PASSWORD), "{reply}");
    }
    testbox.kill();
    testbox.start_again();
    let mut client = testbox.login("admin");
    connected(&mut client);
    client.ok("subscribe_events", json!({ "topics": ["camera_status_update"] }));
    assert_eq!(client.ok("remove_external_stream", json!({ "stream_url": bare }))["stream_url"], json!(bare));
    client.notification(|n| n["method"] == "camera_status_update" && n["params"]["status"] == "DISCONNECTED");
    // Nothing was kept of it, so nothing is left of it.
    assert_eq!(client.ok("get_camera_list", json!({}))["total"], 0);
    assert_eq!(client.refused("get_camera_status", json!({ "device": "camera0" })).code, -32010);
    assert!(!testbox.log().contains(PASSWORD), "it is in the log");
}

#[test]
fn what_leads_to_the_box_or_its_cloud_is_refused_in_every_form() {
    let _turn = turn::take();
    let testbox = setup(&[]).start();
    let mut client = testbox.login("operator");
    for host in [
        "169.254.169.254",
        "127.0.0.1",
        "[::1]",
        "0x7f000001",
        "2130706433",
        "127.1",
        "0177.0.0.1",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "0",
        "localhost",
    ] {
        let params = json!({ "stream_url": format!("rtsp://{host}:8554/camera0"), "stream_name": "Mirror" });
        let refused = client.refused("add_external_stream", params);
        assert_eq!((refused.code, &refused.data["param"]), (-32602, &json!("stream_url")), "{host}");
        assert!(refused.data["suggestion"].as_str().unwrap().contains(' '), "it says what to do");
    }
    assert_eq!(client.ok("get_camera_list", json!({}))["total"], 0);
    assert_eq!(client.ok("get_external_streams", json!({}))["total_count"], 0);
}

#[test]
fn a_host_that_is_no_longer_allowed_is_not_connected_to_again() {
    let _turn = turn::take();
    let mut camera = RtspCamera::start_open(H264);
    let testbox = start_for(&camera);
    let mut client = testbox.login("operator");
    client.ok("add_external_stream", json!({ "stream_url": camera.open_url(), "stream_name": "Yard" }));
    connected(&mut client);
    let other = "[discovery]\nexternal_enabled = true\nallowed_hosts = [\"192.0.2.1\"]\n";
    std::fs::write(testbox.scratch().join("fieldcam.toml"), other).unwrap();
    assert!(testbox.fieldcam(&["ctl", "reload"]).status.success());
    camera.kill_server();
    camera.start_server();
    camera.start_publisher();
    wait_for("it says that the host is refused", || {
        let row = client.ok("get_camera_status", json!({ "device": "camera0" }));
        row["problem"].as_str().is_some_and(|p| p.contains("loopback")).then_some(())
    });
    assert_eq!(camera.readers(), 0);
}

#[test]
fn a_redirect_is_not_followed_wherever_it_leads() {
    let _turn = turn::take();
    let trap = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    trap.set_nonblocking(true).unwrap();
    let target = trap.local_addr().unwrap();
    let moved = format!("moved: {{source: redirect, sourceRedirect: 'rtsp://{target}/live'}}");
    let camera = RtspCamera::start_with_paths(H264, &moved);
    let testbox = start_for(&camera);
    let mut client = testbox.login("operator");
    let url = camera.open_url().replace("/live", "/moved");
    client.ok("add_external_stream", json!({ "stream_url": url, "stream_name": "Yard" }));
    wait_for("it says that the camera sends elsewhere", || {
        let row = client.ok("get_camera_status", json!({ "device": "camera0" }));
        row["problem"].as_str().is_some_and(|p| p.contains("sends elsewhere")).then_some(())
    });
    let caught = trap.accept();
    assert!(caught.is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock), "somebody followed it");
}

#[test]
fn the_box_searches_by_itself_once_an_interval_is_set_and_keeps_it() {
    let _turn = turn::take();
    let camera = RtspCamera::start_open(H264);
    let mut testbox = start_for(&camera);
    let mut client = testbox.login("admin");
    assert_eq!(client.ok("get_external_streams", json!({}))["total_count"], 0);
    let set = client.ok("set_discovery_interval", json!({ "scan_interval": 300 }));
    assert_eq!((&set["status"], &set["scan_interval"]), (&json!("UPDATED"), &json!(300)));
    let found = |client: &mut Client| {
        wait_for("the stream is found", || {
            let known = client.ok("get_external_streams", json!({}));
            urls(&known["generic_streams"]).contains(&camera.open_url().as_str()).then_some(())
        });
    };
    found(&mut client);
    assert!(testbox.stop().success());
    testbox.start_again();
    let mut client = testbox.login("admin");
    found(&mut client);
}

#[test]
fn switched_off_it_says_so() {
    let _turn = turn::take();
    let testbox = Setup::new().cameras(0).start();
    let mut client = testbox.login("admin");
    let url = json!({ "stream_url": "rtsp://192.0.2.20/a", "stream_name": "Yard", "scan_interval": 60 });
    for method in ["discover_external_streams", "add_external_stream", "set_discovery_interval"] {
        let refused = client.refused(method, url.clone());
        assert_eq!((refused.code, &refused.data["reason"]), (-32030, &json!("feature_disabled")), "{method}");
    }
    assert_eq!(client.ok("get_external_streams", json!({}))["total_count"], 0);
}
