//! With TLS on, what a log-in needs comes by TLS, or from the box itself.

use std::net::TcpStream;

use serde_json::{Value, json};

use super::start;
use crate::common::http;
use crate::common::tls::{self, Line};
use crate::common::{RpcError, Setup, TestBox};

/// As another machine would connect; none where this one has but one address.
fn elsewhere(testbox: &TestBox) -> Option<Line> {
    let line = Line::from_elsewhere(&testbox.endpoints().address("ws"));
    if line.is_none() {
        println!("skipped: this machine has no address besides loopback");
    }
    line
}

fn try_login(testbox: &TestBox, line: Line) -> Result<Value, RpcError> {
    let mut client = tls::socket(testbox, line).unwrap();
    client.call("authenticate", json!({ "auth_token": testbox.token("viewer") }))
}

#[test]
fn log_ins_without_tls_are_refused_from_elsewhere_with_the_reason() {
    let testbox = start();
    let Some(line) = elsewhere(&testbox) else { return };
    let refused = try_login(&testbox, line).unwrap_err();
    assert_eq!((refused.code, &refused.data["reason"]), (-32001, &json!("tls_required")));
    assert_eq!(refused.data["details"], "this box takes log-ins over TLS only");
    assert!(refused.data["suggestion"].as_str().unwrap().contains("wss://"), "{refused}");
    // A socket without a log-in may say hello.
    tls::socket(&testbox, elsewhere(&testbox).unwrap()).unwrap().assert_alive();

    let mut near = tls::login(&testbox, "operator");
    near.ok("take_snapshot", json!({ "device": "camera0", "filename": "door.jpg" }));
    let link = near.ok("get_snapshot_info", json!({ "filename": "door.jpg" }))["download_url"].clone();
    let (link, bearer) = (link.as_str().unwrap(), format!("Bearer {}", testbox.token("viewer")));
    let get = |path: &str, headers: &[(&str, &str)]| tls::get(elsewhere(&testbox).unwrap(), path, headers);
    for (path, headers) in [
        (link, &[][..]),
        ("/files/snapshots/door.jpg", &[("Authorization", bearer.as_str())]),
        ("/files/snapshots/door.jpg", &[("X-API-Key", "fc_0123456789")]),
        ("/cameras/camera0/frame.jpg", &[("Authorization", &bearer)]),
        ("/live/camera0/index.m3u8?sig=x", &[]),
        ("/ws", &[("Authorization", &bearer)]),
    ] {
        let answer = get(path, headers);
        assert_eq!(answer.status, 403, "{path}");
        let body = answer.json();
        assert_eq!(body["error"], "this box takes log-ins and links over TLS only");
        assert!(body["hint"].as_str().unwrap().contains("s://127.0.0.1"), "{body}");
        assert!(!body.to_string().contains("sig="), "{body}");
    }
    assert_eq!(get("/", &[]).status, 200);
    let health = testbox.endpoints().address("health");
    let health = tls::get(Line::from_elsewhere(&health).unwrap(), "/health/live", &[]);
    assert_eq!(health.status, 200);

    // The same with TLS, and from the box itself without.
    let secured = elsewhere(&testbox).unwrap().secured(tls::fingerprint(&testbox), &[]).unwrap();
    try_login(&testbox, secured).unwrap();
    let secured = || elsewhere(&testbox).unwrap().secured(tls::fingerprint(&testbox), &[]).unwrap();
    assert_eq!(tls::get(secured(), link, &[]).status, 200);
    assert_eq!(http::get(&link.replace("https", "http"), &[]).status, 200);
    testbox.login("viewer").assert_alive();
    let cameras = testbox.fieldcam(&["ctl", "cameras"]);
    assert!(cameras.status.success(), "{}", String::from_utf8_lossy(&cameras.stderr));
}

#[test]
fn allow_plain_takes_them_and_hands_out_what_such_a_client_can_use() {
    let testbox = Setup::new().env("SERVER__TLS", "auto").env("SERVER__ALLOW_PLAIN", "true").start();
    let Some(line) = elsewhere(&testbox) else { return };
    let mut client = tls::socket(&testbox, line).unwrap();
    client.authenticate(&testbox.token("viewer"));
    let mut secure = tls::login(&testbox, "viewer");
    let list = client.ok("get_camera_list", Value::Null)["cameras"][0]["streams"].clone();
    assert!(list["hls"].as_str().unwrap().starts_with("http://"), "{list}");
    assert!(list["rtsp"].as_str().unwrap().starts_with("rtsp://"), "{list}");
    let list = secure.ok("get_camera_list", Value::Null)["cameras"][0]["streams"].clone();
    assert!(list["hls"].as_str().unwrap().starts_with("https://"), "{list}");
    assert!(list["rtsp"].as_str().unwrap().starts_with("rtsps://"), "{list}");
}

#[test]
fn plain_rtsp_is_for_the_box_itself_alone_unless_plain_text_is_allowed() {
    for (allowed, host) in [("false", "127.0.0.1:"), ("true", "")] {
        let testbox = Setup::new()
            .env("SERVER__TLS", "auto")
            .env("SERVER__ALLOW_PLAIN", allowed)
            .env("MEDIAMTX__RTSP_LISTEN", ":0")
            .start();
        let file = std::fs::read(testbox.data().join("run/mediamtx/mediamtx.yml")).unwrap();
        let file: Value = serde_json::from_slice(&file).unwrap();
        let address = file["rtspAddress"].as_str().unwrap();
        assert!(
            if host.is_empty() { address.starts_with(':') } else { address.starts_with(host) },
            "{address}"
        );
        let port = address.rsplit(':').next().unwrap();
        TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    }
}
