//! Live video over WebRTC: offer and answer through the box's own port, a real player of the media.

mod crypto;
mod figures;
mod player;

use std::time::{Duration, Instant};

use std::net::SocketAddr;

use crate::common::rtsp_camera::{self, RtspCamera};
use crate::common::{PATIENCE, Setup, TestBox, http, wait_for};
use fieldcam::auth::{Auth, Role};
use fieldcam::base::{Clock, Secret};
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

#[test]
fn media_come_over_tcp_where_a_network_lets_no_udp_through() {
    let testbox = TestBox::start();
    let url = whep_url(&testbox);
    let first = post(&url, &Player::new().offer, &[]);
    let loopback = |a: &SocketAddr| a.ip().is_loopback() && a.is_ipv4();
    let media = player::candidates(&first.text(), "tcp").into_iter().find(loopback);
    let media = media.unwrap_or_else(|| panic!("no TCP on loopback: {}", first.text()));
    let over_udp = player::candidates(&first.text(), "udp");
    assert!(over_udp.contains(&media), "UDP and TCP have one number: {over_udp:?} {media}");
    let mut player = Player::over_tcp(media);
    let answer = post(&url, &player.offer, &[]);
    assert_eq!(answer.status, 201, "{}", answer.text());
    player.accept(&answer.text());
    let enough = |s: &player::Seen| s.packets >= 60 && s.keyframe.is_some();
    assert!(player.play(PATIENCE, enough), "{:?}", player.seen);
}

#[test]
fn no_offer_is_taken_without_a_login() {
    let testbox = TestBox::start();
    let url = whep_url(&testbox);
    let plain = testbox.http("/live/camera0/whep");
    let offer = Player::new().offer;
    let status = |url: &str, headers: &[(&str, &str)]| post(url, &offer, headers).status;
    assert_eq!(status(&plain, &[]), 401);
    assert_eq!(status(&plain, &[("Authorization", "Bearer wrong")]), 401);
    assert_eq!(status(&url.replace("/camera0/", "/camera1/"), &[]), 403, "another camera's link");
    assert_eq!(status(&url.replace("exp=", "exp=9"), &[]), 403, "tampered with");
    let auth = Auth::open(&testbox.data().join("secrets"), None, Clock::new(), 0).unwrap();
    let login = auth.verify(&testbox.token("viewer")).unwrap();
    let old = auth.sign_path_for(&login, "/live/camera0/index.m3u8", Duration::ZERO);
    assert_eq!(status(&format!("{plain}?{old}"), &[]), 403, "expired");
    let options = |url: &str| http::request("OPTIONS", url, &[]);
    assert_eq!(options(&plain).status, 401);
    let answer = options(&url);
    assert_eq!((answer.status, answer.header("accept-post")), (204, Some("application/sdp")));

    let bearer = format!("Bearer {}", testbox.token("viewer"));
    let bearer = [("Authorization", bearer.as_str())];
    assert_eq!(status(&plain, &bearer), 201);
    assert_eq!(status(&testbox.http("/live/camera99/whep"), &bearer), 404);
    assert_eq!(status(&testbox.http("/live/camera99/whep"), &[]), 401, "strangers learn nothing");
    let nobody = testbox.http("/live/camera0/whep/0b7c3c1e-6a55-4f4b-9d3c-2f4f2f0b8a11");
    assert_eq!(http::request("DELETE", &nobody, &bearer).status, 404);
    let json = http::send("POST", &url, &[("Content-Type", "application/json")], b"{}");
    assert_eq!(json.status, 415, "{}", json.text());
    let nonsense = post(&url, "v=0", &[]);
    assert_eq!((nonsense.status, &nonsense.json()["code"]), (400, &json!(-32602)), "{}", nonsense.text());
    let giant = post(&url, &"a".repeat(100_000), &[]);
    assert_eq!(giant.status, 400, "{}", giant.text());
    let get = http::get(&url, &[]);
    assert_eq!(get.status, 405);
    // MediaMTX itself takes offers of nobody but us.
    let inner = testbox.endpoints().url("webrtc").trim_end_matches('/').to_owned();
    assert_eq!(status(&format!("{inner}/camera0/whep"), &[]), 401);
}

#[test]
fn a_player_is_cut_off_when_its_login_ends() {
    let testbox = Setup::new().env("AUTH__JWT_SECRET", &"s".repeat(40)).start();
    let auth = Auth::open(testbox.scratch(), Some(&Secret::new("s".repeat(40))), Clock::new(), 0).unwrap();
    let token = auth.mint(Role::Viewer, "ann", Duration::from_secs(12)).unwrap();
    let bearer = format!("Bearer {}", token.expose());
    watch_until(&testbox, ("Authorization", &bearer), || {});
}

#[test]
fn a_player_is_cut_off_when_its_key_is_revoked() {
    let testbox = TestBox::start();
    let mut admin = testbox.login("admin");
    let made = admin.ok("create_api_key", json!({ "name": "hall", "role": "viewer" }));
    let end = || drop(admin.ok("revoke_api_key", json!({ "id": made["id"] })));
    watch_until(&testbox, ("X-API-Key", made["key"].as_str().unwrap()), end);
}

/// Watches with a log-in until that has ended, and the media with it.
fn watch_until(testbox: &TestBox, login: (&str, &str), end: impl FnOnce()) {
    let mut player = Player::new();
    let answer = post(&testbox.http("/live/camera0/whep"), &player.offer, &[login]);
    assert_eq!(answer.status, 201, "{}", answer.text());
    player.accept(&answer.text());
    assert!(player.play(PATIENCE, |s| s.packets > 0), "{:?}", player.seen);
    end();
    assert!(player.play(PATIENCE, |s| s.ended), "media went on: {:?}", player.seen);
    let location = testbox.http(answer.header("location").unwrap());
    assert_eq!(http::request("DELETE", &location, &[]).status, 404);
}

#[test]
fn a_codec_that_the_player_lacks_names_another_way() {
    let camera = RtspCamera::start(rtsp_camera::H265_AAC);
    let testbox = Setup::new().cameras(0).toml(&camera.section("")).start();
    let mut client = testbox.login("viewer");
    wait_for("the camera is connected", || {
        let list = client.ok("get_camera_list", serde_json::Value::Null);
        (list["cameras"][0]["status"] == "CONNECTED").then_some(())
    });
    let url = whep_url(&testbox);
    // As a browser without H.265 would ask.
    let offer: String =
        Player::new().offer.lines().filter(|l| !l.contains("H265")).map(|l| format!("{l}\r\n")).collect();
    let refused = post(&url, &offer, &[]);
    let said = refused.json();
    assert_eq!(
        (refused.status, &said["code"], &said["data"]["codec"]),
        (501, &json!(-32030), &json!("H265")),
        "{said}"
    );
    assert!(said["error"].as_str().unwrap().contains("use hls"), "{said}");
    let hls = client.ok("get_stream_url", json!({ "device": "camera0", "protocol": "hls" }));
    let played = crate::common::ffmpeg::video_stream(hls["stream_url"].as_str().unwrap());
    assert_eq!(played["codec_name"], "hevc");
}
