//! Live video as HLS through the box's own port: one signed URL, no other login.

use std::time::Duration;

use crate::common::{Setup, TestBox, http, squares, wait_for};
use fieldcam::auth::{Auth, Login};
use fieldcam::base::{Clock, Secret};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

/// The HLS URL of camera0 as a viewer is given it.
fn hls_url(testbox: &TestBox) -> String {
    let list = testbox.login("viewer").ok("get_camera_list", Value::Null);
    list["cameras"][0]["streams"]["hls"].as_str().unwrap().to_owned()
}

/// The address in the first playlist, whole.
fn media_playlist(index: &http::Response, url: &str) -> String {
    let text = index.text();
    let name =
        text.lines().find(|l| !l.starts_with('#') && !l.is_empty()).unwrap_or_else(|| panic!("{text}"));
    url.split("index.m3u8").next().unwrap().to_owned() + name
}

/// Signs with the box's own secret.
fn signer(testbox: &TestBox) -> (Auth, Login) {
    let auth = Auth::open(&testbox.data().join("secrets"), None, Clock::new(), 0).unwrap();
    let login = auth.verify(&testbox.token("viewer")).unwrap();
    (auth, login)
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

#[test]
fn a_viewing_session_outlives_the_link_that_opened_it() {
    let testbox = TestBox::start();
    let (auth, login) = signer(&testbox);
    let path = "/live/camera0/index.m3u8";
    let link = |lifetime: u64| {
        let query = auth.sign_path_for(&login, path, Duration::from_secs(lifetime));
        testbox.http(&format!("{path}?{query}"))
    };
    assert_eq!(http::get(&link(0), &[]).status, 403, "a link that is too old opens nothing");
    let (url, since) = (link(3), std::time::Instant::now());
    let index = http::get(&url, &[]);
    assert_eq!(index.status, 200, "{}", index.text());
    let media = media_playlist(&index, &url);
    assert!(!media.contains("sig="), "the link is not handed on: {media}");
    // FFmpeg opens by the same link and goes on reading long after it.
    let run = squares::read(&url, 180);
    assert_eq!(run.len(), 180);
    assert!(since.elapsed() > Duration::from_secs(4), "the link was still good");
    assert_eq!(http::get(&media, &[]).status, 200);
    assert_eq!(http::get(&url, &[]).status, 200, "its own client may open it again");
}

#[test]
fn a_player_may_ask_for_what_comes_next_before_it_is_there() {
    let testbox = TestBox::start();
    let url = hls_url(&testbox);
    let media = media_playlist(&http::get(&url, &[]), &url);
    let playlist = http::get(&media, &[]).text();
    let number = |tag: &str| -> u64 {
        let line = playlist.lines().find_map(|l| l.strip_prefix(tag)).unwrap_or_else(|| panic!("{playlist}"));
        line.trim().parse().unwrap()
    };
    let next = number("#EXT-X-MEDIA-SEQUENCE:")
        + playlist.lines().filter(|l| l.starts_with("#EXTINF")).count() as u64
        + 1;
    let blocked = http::get(&format!("{media}&_HLS_msn={next}&_HLS_part=0"), &[]);
    assert_eq!(blocked.status, 200, "{}", blocked.text());
    assert_ne!(blocked.text(), playlist, "it waited for a newer one");
    let part = playlist.lines().find_map(|l| l.strip_prefix("#EXT-X-MAP:URI=\"")?.split('"').next()).unwrap();
    let part = url.split("index.m3u8").next().unwrap().to_owned() + part;
    let init = http::get(&part, &[]);
    assert_eq!((init.status, init.header("content-type")), (200, Some("video/mp4")));
    let head = http::request("HEAD", &media, &[]);
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[test]
fn nobody_watches_without_a_login() {
    let testbox = TestBox::start();
    let url = hls_url(&testbox);
    let index = testbox.http("/live/camera0/index.m3u8");
    let status = |url: &str, headers: &[(&str, &str)]| http::get(url, headers).status;
    let none = http::get(&index, &[]);
    assert_eq!((none.status, none.header("www-authenticate").is_some()), (401, true), "{}", none.text());
    assert_eq!(none.json()["code"], -32001);
    assert_eq!(status(&index, &[("Authorization", "Bearer wrong")]), 401);
    assert_eq!(status(&url, &[("Authorization", "Bearer wrong")]), 401, "a wrong token is no link");
    assert_eq!(status(&url.replace("/camera0/", "/camera1/"), &[]), 403, "another camera's link");
    let tampered = url.replace("exp=", "exp=9");
    assert_eq!(status(&tampered, &[]), 403);
    let last = if url.ends_with('A') { "B" } else { "A" };
    assert_eq!(status(&format!("{}{last}", &url[..url.len() - 1]), &[]), 403, "another signature");
    let token = format!("Bearer {}", testbox.token("viewer"));
    let missing = http::get(&testbox.http("/live/camera99/index.m3u8"), &[("Authorization", &token)]);
    assert_eq!((missing.status, &missing.json()["code"]), (404, &json!(-32010)));
    assert_eq!(status(&testbox.http("/live/camera99/index.m3u8"), &[]), 401, "strangers learn nothing");
    let opened = http::get(&index, &[("Authorization", &token)]);
    assert_eq!(opened.status, 200, "{}", opened.text());
    let media = media_playlist(&opened, &index);
    assert_eq!(status(&media, &[]), 200);
    assert_eq!(status(&media.replace("/camera0/", "/camera1/"), &[]), 401, "a session is for its camera");
    assert_eq!(status(media.split('?').next().unwrap(), &[]), 401);
    assert_eq!(status(&media.replace("view=", "view=0"), &[]), 401);
    // MediaMTX itself is asked by nobody but us.
    let inner = testbox.endpoints().url("hls").trim_end_matches('/').to_owned();
    assert_eq!(status(&format!("{inner}/camera0/index.m3u8?cookieCheck=1"), &[]), 401);
}

#[test]
fn nothing_of_a_request_reaches_the_media_server_but_what_was_judged() {
    let testbox = Setup::new().env("LOG__LEVEL", "debug").start();
    let address = testbox.endpoints().address("ws");
    let url = hls_url(&testbox);
    let media = media_playlist(&http::get(&url, &[]), &url);
    let path = |url: &str| url.strip_prefix(&format!("http://{address}")).unwrap().to_owned();
    let ask = |line: &str, more: &str, body: &str| {
        let text = format!("{line} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{more}\r\n{body}");
        http::exchange(&address, text.as_bytes()).status
    };
    let (index, media) = (path(&url), path(&media));
    let query = index.split_once('?').unwrap().1;
    for traversal in [
        "/live/camera0/../camera0/index.m3u8",
        "/live/camera0/..%2f..%2fv3/paths/list",
        "/live/camera0/%2e%2e/index.m3u8",
        "/live//camera0/index.m3u8",
        "/live/camera0/index.m3u8/x",
        "/live/camera0/x.m3u8%00",
        "/live/fieldcam-x/index.m3u8",
    ] {
        assert_eq!(ask(&format!("GET {traversal}?{query}"), "", ""), 404, "{traversal}");
    }
    // Two lengths, and a second request hidden in what one of them calls the body.
    let hidden = "0\r\n\r\nGET /live/camera1/index.m3u8 HTTP/1.1\r\nHost: x\r\n\r\n";
    let both = format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", hidden.len());
    let answered = ask(&format!("GET {media}"), &both, hidden);
    assert!([200, 400].contains(&answered), "{answered}");
    assert_eq!(ask(&format!("GET {media}"), "Content-Length: 1\r\nContent-Length: 2\r\n", ""), 400);
    assert_eq!(ask(&format!("GET {media}"), "Transfer-Encoding: x\r\n", ""), 400);
    // Values that would break out of a request line are left out, not handed on.
    for odd in
        ["_HLS_msn=1%0d%0aX-Forwarded-For:%201.2.3.4", "_HLS_part=../../x", "session=x", "cookieCheck=0"]
    {
        assert_eq!(
            ask(&format!("GET {media}&{odd}"), "Cookie: hlsSession=x\r\nX-Real-IP: 9.9.9.9\r\n", ""),
            200
        );
    }
    let forwarded =
        "X-Forwarded-For: 198.51.100.7\r\nForwarded: for=198.51.100.7\r\nX-Real-IP: 198.51.100.7\r\n";
    assert_eq!(ask(&format!("GET {index}"), forwarded, ""), 200);
    wait_for("MediaMTX tells who came", || testbox.log().contains("created by 127.0.0.1").then_some(()));
    assert!(!testbox.log().contains("198.51.100.7"), "a client chose its own address");
    assert!(!testbox.log().contains(query), "a link stands in the log");
}

#[test]
fn a_session_ends_with_its_login() {
    let testbox = Setup::new().env("AUTH__JWT_SECRET", &"s".repeat(40)).start();
    let auth = Auth::open(testbox.scratch(), Some(&Secret::new("s".repeat(40))), Clock::new(), 0).unwrap();
    let token = auth.mint(fieldcam::auth::Role::Viewer, "ann", Duration::from_secs(12)).unwrap();
    let bearer = format!("Bearer {}", token.expose());
    let index = testbox.http("/live/camera0/index.m3u8");
    let opened = http::get(&index, &[("Authorization", &bearer)]);
    assert_eq!(opened.status, 200, "{}", opened.text());
    let media = media_playlist(&opened, &index);
    assert_eq!(http::get(&media, &[]).status, 200);
    let refused = wait_for("the session is over", || {
        let answer = http::get(&media, &[]);
        (answer.status != 200).then_some(answer)
    });
    assert_eq!((refused.status, &refused.json()["data"]["reason"]), (401, &json!("session_ended")));
    wait_for("MediaMTX has let the viewer go", || {
        let streams = testbox.login("viewer").ok("get_streams", Value::Null);
        let camera = streams.as_array()?.iter().find(|s| s["name"] == "camera0")?.clone();
        (camera["readers"] == 0).then_some(())
    });
}

#[test]
fn a_media_server_that_died_is_said_and_comes_back() {
    let testbox = TestBox::start();
    let url = hls_url(&testbox);
    let media = media_playlist(&http::get(&url, &[]), &url);
    let server = testbox.child("mediamtx");
    kill(Pid::from_raw(server.pid as i32), Signal::SIGKILL).unwrap();
    let old = wait_for("the old session is refused", || {
        let answer = http::get(&media, &[]);
        (answer.status != 200).then_some(answer)
    });
    assert!([401, 503].contains(&old.status), "{}", old.text());
    assert!(old.json()["hint"].is_string());
    let index = wait_for("a new session opens", || {
        let answer = http::get(&url, &[]);
        assert!([200, 503].contains(&answer.status), "{} {}", answer.status, answer.text());
        (answer.status == 200).then_some(answer)
    });
    assert_eq!(http::get(&media_playlist(&index, &url), &[]).status, 200);
}

#[test]
fn pages_of_allowed_origins_may_play_and_no_others() {
    let testbox = Setup::new().toml("[server]\nallowed_origins = [\"https://cams.example.org\"]").start();
    let url = hls_url(&testbox);
    let friend = [("Origin", "https://cams.example.org")];
    let answer = http::get(&url, &friend);
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, Some(friend[0].1)));
    assert_eq!(http::get(&url, &[("Origin", "https://evil.example")]).status, 403);
    let ask = [friend[0], ("Access-Control-Request-Method", "POST")];
    let preflight = http::request("OPTIONS", &testbox.http("/live/camera0/whep"), &ask);
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.header("access-control-allow-origin"), Some(friend[0].1));
    assert!(preflight.header("access-control-allow-headers").unwrap().contains("Authorization"));
}
