//! `frame.jpg`: the newest picture over HTTP, from a real box with synthetic cameras.

use crate::common::frames::{Shown, counters, frame, shown};
use crate::common::{PATIENCE, Setup, TestBox, http, turn, wait_for};
use serde_json::json;

const SMALL: (&str, &str) = ("CAMERAS__RESOLUTION", "320x180");

fn small_box() -> TestBox {
    Setup::new().cameras(1).env(SMALL.0, SMALL.1).start()
}

#[test]
fn numbers_rise_with_the_pictures_and_an_unchanged_one_costs_nothing() {
    let _turn = turn::take();
    let testbox = small_box();
    let token = testbox.token("viewer");
    // Nobody asked before: this starts the camera.
    let first = frame(&testbox, &token, "", &[]);
    assert_eq!(first.status, 200, "{}", first.text());
    assert_eq!(first.header("content-type"), Some("image/jpeg"));
    assert_eq!(first.header("cache-control"), Some("private, no-cache"));
    assert_eq!(first.header("referrer-policy"), Some("no-referrer"));

    let mut last = shown(&first);
    for _ in 0..10 {
        let asked = format!("?newer_than={}", last.number);
        let next = shown(&frame(&testbox, &token, &asked, &[]));
        assert!(next.number > last.number, "{next:?} after {last:?}");
        // The number counts the same frames as the one burnt in.
        assert_eq!(next.number - last.number, u64::from(next.burnt_in - last.burnt_in), "{next:?} {last:?}");
        assert!(next.etag.contains(&format!("-{}-own", next.number)), "{next:?}");
        assert!(next.age_ms < 5000, "{next:?}");
        last = next;
    }
    // The ETag does as well, quoted or not.
    for tag in [last.etag.clone(), last.etag.trim_matches('"').to_owned()] {
        let next = shown(&frame(&testbox, &token, &format!("?newer_than={}", tag.replace('"', "%22")), &[]));
        assert!(next.number > last.number);
    }
    // The encoder was never needed.
    let mut client = testbox.login("viewer");
    assert_eq!(client.ok("get_stream_status", json!({ "device": "camera0" }))["status"], "INACTIVE");
}

#[test]
fn a_frozen_source_answers_304_and_nothing_newer() {
    let _turn = turn::take();
    let testbox = small_box();
    let token = testbox.token("viewer");
    let Shown { number, .. } = shown(&frame(&testbox, &token, "?quality=50", &[]));
    let source = testbox.child("mpjpeg");
    source.signal(nix::sys::signal::Signal::SIGSTOP);
    // What was in the pipe may still come.
    let still = wait_for("the picture stands still", || {
        let one = shown(&frame(&testbox, &token, "?quality=50", &[]));
        let two = frame(&testbox, &token, "?quality=50", &[("If-None-Match", &one.etag)]);
        (two.status == 304).then_some((one, two))
    });
    let (one, two) = still;
    assert!(one.number >= number);
    assert!(two.body.is_empty() && two.header("etag") == Some(&one.etag), "{two:?}");
    assert_eq!(two.header("x-frame-number"), Some(&*one.number.to_string()));
    // It is taken for stuck and started again, and the number goes on.
    let next = shown(&frame(&testbox, &token, &format!("?newer_than={}", one.number), &[]));
    assert!(next.number > one.number && next.burnt_in < one.burnt_in + 30, "{next:?} after {one:?}");
}

#[test]
fn quality_decides_the_size_and_twenty_clients_cost_one_encoding_a_picture() {
    let _turn = turn::take();
    let testbox = small_box();
    let token = testbox.token("viewer");
    let sizes: Vec<_> =
        [90, 50, 10].map(|q| shown(&frame(&testbox, &token, &format!("?quality={q}"), &[])).bytes).to_vec();
    assert!(sizes[0] > sizes[1] && sizes[1] > sizes[2], "{sizes:?}");

    let before = counters(&testbox, &token, "camera0").encoded(33);
    let rounds = 15;
    let clients: Vec<_> = (0..20)
        .map(|_| {
            let (url, token) = (testbox.http("/cameras/camera0/frame.jpg"), token.clone());
            std::thread::spawn(move || {
                let bearer = format!("Bearer {token}");
                let mut seen = Vec::new();
                for _ in 0..rounds {
                    let after = seen.last().copied().unwrap_or(0);
                    let url = format!("{url}?quality=33&newer_than={after}");
                    let answer = http::get(&url, &[("Authorization", &bearer)]);
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    seen.push(answer.header("x-frame-number").unwrap().parse::<u64>().unwrap());
                }
                seen
            })
        })
        .collect();
    let seen: Vec<Vec<u64>> = clients.into_iter().map(|c| c.join().unwrap()).collect();
    assert!(seen.iter().all(|s| s.windows(2).all(|w| w[1] > w[0])), "{seen:?}");
    let different: std::collections::BTreeSet<_> = seen.iter().flatten().collect();
    let after = counters(&testbox, &token, "camera0");
    println!("20 clients, {} answers of {} pictures, {:?}", 20 * rounds, different.len(), after);
    assert_eq!(after.encoded(33) - before, different.len() as u64, "each picture once");
    assert_eq!(after.refused, 0);
}

#[test]
fn a_client_that_goes_away_ends_its_wait() {
    let _turn = turn::take();
    let testbox = small_box();
    let token = testbox.token("viewer");
    let Shown { .. } = shown(&frame(&testbox, &token, "", &[]));
    testbox.child("mpjpeg").signal(nix::sys::signal::Signal::SIGSTOP);
    let waiting = || counters(&testbox, &token, "camera0").waiting;
    let connection = wait_for("a client waits", || {
        let number = frame(&testbox, &token, "", &[]).header("x-frame-number").unwrap().to_owned();
        let mut connection = std::net::TcpStream::connect(testbox.endpoints().address("ws")).unwrap();
        let request = format!(
            "GET /cameras/camera0/frame.jpg?newer_than={number} HTTP/1.1\r\nHost: localhost\r\n\
             Authorization: Bearer {token}\r\n\r\n"
        );
        std::io::Write::write_all(&mut connection, request.as_bytes()).unwrap();
        let deadline = std::time::Instant::now() + PATIENCE / 30;
        while std::time::Instant::now() < deadline {
            if waiting() > 0 {
                return Some(connection);
            }
        }
        None
    });
    drop(connection);
    wait_for("nobody waits", || (waiting() == 0).then_some(()));
}
