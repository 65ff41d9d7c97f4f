//! TLS on the box's own port, beside plain text.

mod ctl;
mod first_byte;
mod plain;
mod reload;

use crate::common::tls::{self, Line};
use crate::common::{Setup, TestBox, wait_for};
use serde_json::{Value, json};

/// A box with a certificate of its own.
fn start() -> TestBox {
    Setup::new().env("SERVER__TLS", "auto").start()
}

#[test]
fn sockets_files_hls_and_pages_come_over_tls_and_their_addresses_say_so() {
    let testbox = start();
    let mut client = tls::login(&testbox, "operator");
    let shown = client.ok("get_server_info", Value::Null)["tls_fingerprint"].clone();
    assert_eq!(shown, tls::fingerprint(&testbox).to_string());
    let port = testbox.endpoints().address("ws");
    let still = client.ok("take_snapshot", json!({ "device": "camera0", "filename": "door.jpg" }));
    assert_eq!(still["status"], "SUCCESS", "{still}");
    let link = client.ok("get_snapshot_info", json!({ "filename": "door.jpg" }))["download_url"].clone();
    let link = link.as_str().unwrap();
    assert!(link.starts_with(&format!("https://{port}/files/snapshots/door.jpg?")), "{link}");
    let file = tls::get(tls::line(&testbox), link, &[]);
    assert_eq!((file.status, file.header("content-type")), (200, Some("image/jpeg")));
    assert_eq!(&file.body[..3], b"\xff\xd8\xff");

    let hls = client.ok("get_stream_url", json!({ "device": "camera0", "protocol": "hls" }));
    let hls = hls["stream_url"].as_str().unwrap();
    assert!(hls.starts_with(&format!("https://{port}/live/camera0/index.m3u8?")), "{hls}");
    let index = tls::get(tls::line(&testbox), hls, &[]).text();
    let media = index.lines().find(|l| !l.starts_with('#') && !l.is_empty()).unwrap();
    let media = wait_for("a playlist with segments", || {
        let playlist = tls::get(tls::line(&testbox), &format!("https://x/live/camera0/{media}"), &[]).text();
        playlist.lines().find(|l| l.contains("_seg") && !l.starts_with('#')).map(str::to_owned)
    });
    let segment = tls::get(tls::line(&testbox), &format!("https://x/live/camera0/{media}"), &[]);
    assert_eq!(segment.status, 200);
    assert!(segment.body.len() > 10_000, "{} bytes", segment.body.len());

    let page = client.ok("get_stream_url", json!({ "device": "camera0", "protocol": "page" }));
    let page = tls::get(tls::line(&testbox), page["stream_url"].as_str().unwrap(), &[]);
    assert!(page.text().contains("<html"), "{}", page.text());
    let first = tls::get(tls::line(&testbox), "/", &[]).text();
    assert!(first.contains(&"wss://127.0.0.1".to_owned()) && first.contains("https://"), "{first}");
    // On the box itself everything goes on without it.
    testbox.login("viewer").assert_alive();
}

#[test]
fn the_certificate_is_that_of_the_box_and_stays_over_a_restart() {
    let mut testbox = start();
    let first = tls::fingerprint(&testbox);
    assert!(testbox.log().contains(&format!("TLS is on fingerprint={first}")), "{}", testbox.log());
    let run = std::fs::read_to_string(testbox.data().join("run/endpoints.json")).unwrap();
    assert!(run.contains(&first.to_string()) && run.contains("wss://127.0.0.1"), "{run}");
    let versions = [&rustls::version::TLS12, &rustls::version::TLS13];
    for version in versions {
        let line = Line::plain(&testbox.endpoints().address("ws")).unwrap();
        let line = line.secured(first, &[version]).unwrap();
        tls::socket(&testbox, line).unwrap().assert_alive();
    }
    let other = fieldcam::tls::Fingerprint::of(b"another");
    assert!(tls::line_shown(&testbox, other).is_err(), "the test's client takes any certificate");
    testbox.stop();
    testbox.start_again();
    assert_eq!(tls::fingerprint(&testbox), first);
    testbox.stop();
    std::fs::write(testbox.data().join("secrets/tls.pem"), "damaged").unwrap();
    testbox.start_again();
    testbox.wait_log("is made again: the box has a new fingerprint");
    assert_ne!(tls::fingerprint(&testbox), first);
    tls::login(&testbox, "viewer").assert_alive();
}
