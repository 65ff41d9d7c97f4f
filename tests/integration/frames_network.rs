//! Pictures of a network camera over HTTP: its newest keyframe, decoded once however many ask.

use std::collections::BTreeSet;

use crate::common::frames::{MjpegClient, burnt_in, counters, frame, shown};
use crate::common::rtsp_camera::{H264, RtspCamera};
use crate::common::{Setup, http, turn, wait_for};
use serde_json::json;

#[test]
fn a_keyframe_is_decoded_once_and_tells_its_age() {
    let _turn = turn::take();
    let mut camera = RtspCamera::start(H264);
    let testbox = Setup::new().cameras(0).toml(&camera.section("")).start();
    let token = testbox.token("viewer");
    let first = wait_for("the camera shows a picture", || {
        let answer = frame(&testbox, &token, "", &[]);
        (answer.status == 200).then(|| shown(&answer))
    });
    // A keyframe a second, and what the network and a busy machine add.
    assert!(first.age_ms < 10_000, "{first:?}");

    let clients: Vec<_> = (0..10)
        .map(|n| {
            let (url, token) = (testbox.http("/cameras/camera0/frame.jpg"), token.clone());
            std::thread::spawn(move || {
                let mut seen = Vec::new();
                for _ in 0..3 {
                    let after = seen.last().map_or(0, |s: &(u64, Vec<u8>)| s.0);
                    let quality = if n % 2 == 0 { "&quality=30" } else { "" };
                    let url = format!("{url}?newer_than={after}{quality}");
                    let answer = http::get(&url, &[("Authorization", &format!("Bearer {token}"))]);
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    seen.push((answer.header("x-frame-number").unwrap().parse().unwrap(), answer.body));
                }
                seen
            })
        })
        .collect();
    let seen: Vec<_> = clients.into_iter().map(|c| c.join().unwrap()).collect();
    let numbers: BTreeSet<_> = seen.iter().flatten().map(|s| s.0).chain([first.number]).collect();
    let cost = counters(&testbox, &token, "camera0");
    println!("10 clients, 30 answers of {} keyframes: {cost:?}", numbers.len());
    // The one before the first that could be read counts too.
    assert!(cost.decoded <= numbers.len() as u64 + 1, "{numbers:?}");
    assert!(cost.encoded(30) <= numbers.len() as u64);
    // One at each quality; reading a picture back takes a while.
    for client in &seen[..2] {
        let burnt: Vec<_> = client.iter().map(|(_, jpeg)| burnt_in(jpeg)).collect();
        assert!(burnt.is_sorted_by(|a, b| a < b), "{burnt:?}");
    }

    let unchanged = wait_for("a keyframe is asked for twice", || {
        let one = shown(&frame(&testbox, &token, "", &[]));
        let two = frame(&testbox, &token, "", &[("If-None-Match", &one.etag)]);
        (two.status == 304).then_some(two)
    });
    assert!(unchanged.body.is_empty());

    let url = testbox.http("/cameras/camera0/stream.mjpeg");
    let mut stream = MjpegClient::open(&url, &[("Authorization", &format!("Bearer {token}"))]);
    let (one, two) = (stream.part().unwrap(), stream.part().unwrap());
    assert!(two.number > one.number && burnt_in(&two.jpeg) > burnt_in(&one.jpeg));

    // Away is said at once, and a stream survives it.
    camera.kill_server();
    let mut client = testbox.login("viewer");
    wait_for("the camera is listed as away", || {
        let row = client.ok("get_camera_status", json!({ "device": "camera0" }));
        (row["status"] != "CONNECTED").then(|| assert!(row["preview"].is_null() || row["status"] == "ERROR"))
    });
    let away = frame(&testbox, &token, "", &[]);
    assert_eq!(away.status, 503, "{}", away.text());
    assert!(away.header("retry-after").is_some());
    camera.start_server();
    camera.start_publisher();
    let three = stream.part().expect("the same stream goes on");
    assert!(three.number > two.number);
}
