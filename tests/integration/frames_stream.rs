//! `stream.mjpeg` and who may have pictures, from a real box.

use std::time::{Duration, Instant};

use crate::common::frames::{MjpegClient, Part, burnt_in, counters, frame, shown};
use crate::common::{Setup, TestBox, http, turn, wait_for};
use serde_json::json;

fn small_box() -> TestBox {
    Setup::new().cameras(1).env("CAMERAS__RESOLUTION", "320x180").start()
}

fn stream(testbox: &TestBox, token: &str, query: &str) -> MjpegClient {
    let bearer = format!("Bearer {token}");
    MjpegClient::open(
        &testbox.http(&format!("/cameras/camera0/stream.mjpeg{query}")),
        &[("Authorization", &bearer)],
    )
}

#[test]
fn pictures_follow_each_other_at_most_as_often_as_asked() {
    let _turn = turn::take();
    let testbox = small_box();
    let token = testbox.token("viewer");
    let mut all = stream(&testbox, &token, "");
    assert_eq!(all.status, 200);
    assert_eq!(all.header("content-type"), Some("multipart/x-mixed-replace; boundary=fieldcam-frame"));
    assert_eq!(all.header("cache-control"), Some("private, no-store"));
    let parts: Vec<_> = (0..30).map(|_| all.part().unwrap()).collect();
    assert!(parts.windows(2).all(|w| w[1].number > w[0].number));
    let (first, last) = (&parts[0], &parts[29]);
    let counted = u64::from(burnt_in(&last.jpeg) - burnt_in(&first.jpeg));
    assert_eq!(last.number - first.number, counted);

    let mut fewer = stream(&testbox, &token, "?fps=5&quality=40");
    let begun = Instant::now();
    let few: Vec<_> = (0..6).map(|_| fewer.part().unwrap()).collect();
    let took = begun.elapsed();
    // Five intervals of 200 ms; the first picture comes at once.
    assert!(took > Duration::from_millis(800), "{took:?}");
    assert!(few[5].number - few[0].number > 10, "five of thirty a second");
    assert!(few[0].jpeg.len() < first.jpeg.len());
    // A picture that nobody takes is not made: every sixth here.
    let made = counters(&testbox, &token, "camera0").encoded(40);
    let newest: u64 = frame(&testbox, &token, "", &[]).header("x-frame-number").unwrap().parse().unwrap();
    assert!(made <= (newest - few[0].number) / 3 + 3, "{made} of {} encoded", newest - few[0].number);
    drop((all, fewer));
    wait_for("nobody follows", || (counters(&testbox, &token, "camera0").streams == 0).then_some(()));
}

#[test]
fn a_slow_client_gets_new_pictures_and_delays_nobody() {
    let _turn = turn::take();
    let testbox = Setup::new().cameras(1).env("CAMERAS__RESOLUTION", "1280x720").start();
    let token = testbox.token("viewer");
    let mut slow = stream(&testbox, &token, "");
    slow.part().unwrap();
    // It reads nothing while another one takes 120 pictures.
    let mut quick = stream(&testbox, &token, "");
    let parts: Vec<_> = (0..120).map(|_| quick.part().unwrap().number).collect();
    let missed = parts[119] - parts[0] - 119;
    println!("the quick one missed {missed} of 120 pictures while another one stood still");
    assert!(missed < 60, "{parts:?}");
    // What lay in the buffers of both ends comes first; then the newest.
    let behind = wait_for("the slow one is up to date", || {
        let part = slow.part().unwrap();
        (part.number >= parts[119]).then_some(part)
    });
    println!("{} old pictures lay in the buffers of both ends", slow.parts - 2);
    // 120 would be all of them.
    assert!(slow.parts < 60, "{} pictures were queued", slow.parts);
    let newest: u64 = frame(&testbox, &token, "", &[]).header("x-frame-number").unwrap().parse().unwrap();
    println!("then {} pictures behind the newest", newest - behind.number);
}

#[test]
fn a_stream_survives_its_source_and_ends_with_its_login() {
    let _turn = turn::take();
    let testbox = small_box();
    let out = testbox.fieldcam(&["token", "--role", "viewer", "--ttl", "8s"]);
    let token = String::from_utf8(out.stdout).unwrap().trim().to_owned();
    let begun = Instant::now();
    let mut all = stream(&testbox, &token, "");
    // A client that does not read is cut off as well.
    let idle = stream(&testbox, &token, "");
    let before = all.part().unwrap().number;
    testbox.child("mpjpeg").signal(nix::sys::signal::Signal::SIGKILL);
    let mut last = None;
    while let Some(part) = all.part() {
        assert!(part.number > last.as_ref().map_or(before, |l: &Part| l.number));
        last = Some(part);
    }
    let took = begun.elapsed();
    let last = last.expect("pictures after the source's end");
    println!("ended after {took:?} with picture {}", last.number);
    assert!(took > Duration::from_secs(4), "it ended after {took:?}");
    // A source counts from 0, the box goes on.
    assert!(u64::from(burnt_in(&last.jpeg)) + 1 < last.number, "it is the source that was killed");
    let admin = testbox.token("viewer");
    wait_for("both ended", || (counters(&testbox, &admin, "camera0").streams == 0).then_some(()));
    drop(idle);
    assert_eq!(frame(&testbox, &token, "", &[]).status, 401);
    assert_eq!(frame(&testbox, &admin, "", &[]).status, 200);
}

#[test]
fn nobody_gets_a_picture_without_a_login_and_a_link_opens_one_camera() {
    let _turn = turn::take();
    let testbox = Setup::new().cameras(2).env("CAMERAS__RESOLUTION", "320x180").start();
    let mut client = testbox.login("viewer");
    let token = testbox.token("viewer");
    let bearer = format!("Bearer {token}");
    let status = client.ok("get_camera_status", json!({ "device": "camera0" }));
    let link = |name: &str| status["preview"][name].as_str().unwrap().to_owned();
    assert!(!status["streams"].to_string().contains("frame.jpg"));
    let (picture, mjpeg) = (link("frame"), link("mjpeg"));
    let shown_by_link = shown(&http::get(&picture, &[]));
    assert!(shown_by_link.age_ms < 5000);
    let head = http::request("HEAD", &picture, &[]);
    assert_eq!(head.status, 200);
    assert!(head.body.is_empty() && head.header("content-length").unwrap().parse::<u64>().unwrap() > 1000);
    assert_eq!(http::request("HEAD", &mjpeg, &[]).status, 200);
    assert!(MjpegClient::open(&mjpeg, &[]).part().is_some());
    let faster = http::get(&format!("{picture}&quality=30&t=5"), &[]);
    assert!(shown(&faster).bytes < shown_by_link.bytes);

    let get = |url: &str| http::get(url, &[]).status;
    assert_eq!(get(&testbox.http("/cameras/camera0/frame.jpg")), 401);
    assert_eq!(get(&picture.replace("camera0", "camera1")), 403);
    assert_eq!(get(&picture.replace("exp=", "exp=1")), 403);
    let asked = |method: &str, path: &str| {
        http::request(method, &testbox.http(path), &[("Authorization", &bearer)]).status
    };
    for method in ["POST", "PUT", "DELETE"] {
        assert_eq!(asked(method, "/cameras/camera0/frame.jpg"), 405);
    }
    for path in [
        "/cameras/camera7/frame.jpg",
        "/cameras/camera0/frame.png",
        "/cameras/camera0/",
        "/cameras/camera0/../../etc/passwd",
        "/cameras/camera0/%2e%2e/frame.jpg",
        "/cameras/../files/snapshots/x.jpg",
    ] {
        assert_eq!(asked("GET", path), 404, "{path}");
    }
    for query in ["quality=0", "quality=101", "quality=x", "newer_than=x", "fps=0"] {
        assert_eq!(asked("GET", &format!("/cameras/camera0/frame.jpg?{query}")), 400, "{query}");
    }
    assert!(!testbox.log().contains("sig="), "a link is in the log");
}

#[test]
fn a_login_has_sixteen_streams_and_the_next_is_refused() {
    let _turn = turn::take();
    let testbox = small_box();
    let token = testbox.token("viewer");
    let mut streams: Vec<_> = (0..16).map(|_| stream(&testbox, &token, "?fps=1")).collect();
    assert!(streams.iter().all(|s| s.status == 200));
    let refused = stream(&testbox, &token, "");
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").is_some());
    let other = testbox.fieldcam(&["token", "--role", "viewer", "--user", "bob"]);
    let other = String::from_utf8(other.stdout).unwrap();
    assert_eq!(stream(&testbox, other.trim(), "").status, 200, "another login");
    streams.truncate(15);
    wait_for("a place comes free", || (stream(&testbox, &token, "").status == 200).then_some(()));
}
