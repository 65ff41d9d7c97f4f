//! A box whose encoder does not work encodes all the same, and says with what and why.

use serde_json::json;

use crate::common::{Setup, wait_for};

#[test]
fn an_encoder_that_dies_three_times_is_given_up_for_one_that_works() {
    // FFmpeg has it, and this machine no device for it: it dies at its first frame, each time.
    let setup = Setup::new().cameras(1).env("CAMERAS__RESOLUTION", "320x180");
    let testbox = setup.env("CAMERAS__ENCODER", "h264_v4l2m2m").start();
    let mut client = testbox.login("operator");
    let status =
        |client: &mut crate::common::Client| client.ok("get_stream_status", json!({ "device": "camera0" }));
    assert_eq!(status(&mut client)["encoder"]["name"], "h264_v4l2m2m");
    client.ok("start_streaming", json!({ "device": "camera0" }));
    let now = wait_for("the stream is there", || {
        let now = status(&mut client);
        (now["status"] == "ACTIVE").then_some(now)
    });
    assert_eq!(now["encoder"]["name"], "libx264", "{now}");
    assert_eq!(now["encoder"]["given_up"], json!(["h264_v4l2m2m"]));
    assert!(now["encoder"]["reason"].as_str().unwrap().contains("h264_v4l2m2m died 3 times"), "{now}");
    assert_eq!(testbox.log().matches("is given up").count(), 1);
}
