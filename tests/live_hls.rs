//! Live video as HLS through the box's own port: one signed URL, no other login.
#![allow(clippy::unwrap_used, reason = "see common")]

mod common;

use common::{TestBox, squares};
use serde_json::{Value, json};

/// The HLS URL of camera0 as a viewer is given it.
fn hls_url(testbox: &TestBox) -> String {
    let list = testbox.login("viewer").ok("get_camera_list", Value::Null);
    list["cameras"][0]["streams"]["hls"].as_str().unwrap().to_owned()
}

#[test]
fn five_seconds_of_hls_decode_by_the_signed_url_alone() {
    let testbox = TestBox::start();
    let url = hls_url(&testbox);
    let run = squares::read(&url, 150);
    assert_eq!(run.len(), 150);
    assert!(squares::holes(&run).is_empty(), "{:?}", squares::holes(&run));
    let status = testbox.login("viewer").ok("get_camera_status", json!({ "device": "camera0" }));
    assert!(status["streams"]["hls"].as_str().unwrap().contains("/live/camera0/index.m3u8?"), "{status}");
}
