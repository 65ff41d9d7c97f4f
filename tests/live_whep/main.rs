//! Live video over WebRTC: offer and answer through the box's own port, a real player of the media.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "see common")]

#[path = "../common/mod.rs"]
mod common;
mod crypto;
mod player;

use std::time::Instant;

use common::{PATIENCE, TestBox, http};
use player::Player;
use serde_json::json;

/// Where camera0's offers go, with the right to send one.
fn whep_url(testbox: &TestBox) -> String {
    let ask = json!({ "device": "camera0", "protocol": "webrtc" });
    testbox.login("viewer").ok("get_stream_url", ask)["stream_url"].as_str().unwrap().to_owned()
}

fn post(url: &str, offer: &str, headers: &[(&str, &str)]) -> http::Response {
    let headers = [&[("Content-Type", "application/sdp")], headers].concat();
    http::send("POST", url, &headers, offer.as_bytes())
}

#[test]
fn a_player_sees_video_and_ends_its_session() {
    let testbox = TestBox::start();
    let url = whep_url(&testbox);
    let mut player = Player::new();
    let begun = Instant::now();
    let answer = post(&url, &player.offer, &[]);
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/sdp"));
    let location = answer.header("location").unwrap();
    assert!(location.starts_with("/live/camera0/whep/"), "{location}");
    player.accept(&answer.text());
    let enough = |s: &player::Seen| s.packets >= 60 && s.pictures >= 60 && s.keyframe.is_some();
    assert!(player.play(PATIENCE, enough), "{:?}", player.seen);
    let first = player.seen.keyframe.unwrap().duration_since(begun);
    eprintln!("WHEP: offer to first keyframe on an idle camera {first:?}");

    let ended = http::request("DELETE", &testbox.http(location), &[]);
    assert_eq!(ended.status, 200, "{}", ended.text());
    assert!(player.play(PATIENCE, |s| s.ended), "the media went on after DELETE: {:?}", player.seen);
    assert_eq!(http::request("DELETE", &testbox.http(location), &[]).status, 404);
}
