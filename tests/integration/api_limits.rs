//! A careless or hostile client meets limits, and the others notice nothing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::common::bystander::Bystander;
use crate::common::rpc::{Received, outcome};
use crate::common::tls::Line;
use crate::common::{Client, PATIENCE, Setup, TestBox, http, process, wait_for};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

const MIB: usize = 1 << 20;

/// A text frame's head for `length` bytes, masked with zeros.
fn head(length: usize) -> Vec<u8> {
    [&[0x81, 0xff][..], &(length as u64).to_be_bytes(), &[0; 4]].concat()
}

#[test]
fn calls_beyond_the_rate_are_refused_per_user_and_pings_are_not_counted() {
    let testbox = Setup::new().env("AUTH__RATE_LIMIT_PER_MINUTE", "60").start();
    let mut client = testbox.login("viewer");
    let begun = Instant::now();
    let mut taken = 0;
    let mut until_refused = |client: &mut Client| loop {
        match client.call("get_streams", Value::Null) {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
    };
    let error = until_refused(&mut client);
    assert_eq!(error.code, -32040);
    assert!(error.message.contains("Rate limited"), "{error}");
    let wait = error.data["retry_after_ms"].as_u64().unwrap();
    assert!((1..=1000).contains(&wait), "{error}");
    // Another socket of the same user has no calls of its own.
    assert_eq!(until_refused(&mut testbox.login("viewer")).code, -32040);
    // One more for each second that it took.
    let most = 61 + begun.elapsed().as_secs();
    assert!((60..=most).contains(&taken), "{taken} calls were answered, {most} may be");
    for _ in 0..200 {
        client.assert_alive();
    }
    wait_for("a call is free again", || client.call("get_streams", Value::Null).ok());
}

#[test]
fn strangers_of_one_address_share_a_rate_and_the_box_itself_has_none() {
    let testbox = Setup::new().env("AUTH__RATE_LIMIT_PER_MINUTE", "60").start();
    let url = testbox.endpoints().url("ws").to_owned();
    let Some(line) = Line::from_elsewhere(&testbox.endpoints().address("ws")) else {
        eprintln!("this machine has no address but loopback: nothing can come from elsewhere");
        return;
    };
    let mut stranger = Client::over(line, url.into_client_request().unwrap()).unwrap();
    let begun = Instant::now();
    let mut answered = 0;
    let error = loop {
        match stranger.call("ping", Value::Null) {
            Ok(_) => answered += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.code, -32040, "{error}");
    let most = 61 + begun.elapsed().as_secs();
    assert!((60..=most).contains(&answered), "{answered} were answered, {most} may be");
    stranger.send("no JSON");
    let refused = outcome(stranger.reply()).unwrap_err();
    assert_eq!(refused.code, -32040, "what is no request counts as well: {refused}");
    // Nobody else has to wait, and whoever logs in is counted as a user from then on.
    for _ in 0..200 {
        testbox.connect().ok("ping", Value::Null);
    }
    let token = testbox.token("viewer");
    wait_for("a log-in is taken", || stranger.call("authenticate", json!({ "auth_token": token })).ok());
    for _ in 0..20 {
        stranger.ok("ping", Value::Null);
    }
}

#[test]
fn connections_beyond_the_limit_are_told_when_to_come_back() {
    let testbox = Setup::new().env("SERVER__MAX_CONNECTIONS", "3").start();
    let url = testbox.endpoints().url("ws").to_owned();
    let mut held: Vec<Client> = (0..3).map(|_| testbox.connect()).collect();
    assert_eq!(Client::try_connect(&url, &[]).err(), Some(503));
    let refused = http::get(&testbox.http("/"), &[]);
    assert_eq!(refused.status, 503);
    assert!(refused.header("retry-after").unwrap().parse::<u32>().unwrap() > 0);
    assert!(refused.json()["error"].is_string() && refused.json()["hint"].is_string());
    for client in &mut held {
        client.assert_alive();
    }
    held.pop();
    wait_for("the place is free again", || Client::try_connect(&url, &[]).ok());
    assert_eq!(http::get(&format!("{}/health/live", testbox.endpoints().url("health")), &[]).status, 200);
}

#[test]
fn unfinished_messages_of_strangers_leave_room_for_those_logged_in() {
    let testbox = TestBox::start();
    let mut bystander = Bystander::new(&testbox);
    let before = process::rss_kib(testbox.pid());
    let mut strangers: Vec<Client> = (0..4).map(|_| testbox.connect()).collect();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for client in &mut strangers {
            scope.spawn(|| {
                let bytes = [head(16 * MIB), vec![b'x'; 15 * MIB]].concat();
                // Blocks when the box stops reading, and fails when it hangs up.
                let _ = client.send_bytes(&bytes);
            });
        }
        // A user's message of the largest size is read while the strangers wait.
        let mut user = testbox.login("viewer");
        let (start, end) = (r#"{"jsonrpc":"2.0","id":1,"method":"ping","pad":""#, r#""}"#);
        let large = format!("{start}{}{end}", "x".repeat(16 * MIB - start.len() - end.len()));
        assert!(user.try_send(Message::text(large)));
        assert_eq!(outcome(user.reply()).unwrap(), "pong");
        assert!(begun.elapsed() < Duration::from_secs(9), "it had to wait for the strangers");
        bystander.noticed_nothing();
        let grown = (process::rss_kib(testbox.pid()) - before) / 1024;
        assert!(grown < 90, "{grown} MiB for 60 MiB of unfinished messages");
    });
    for client in &mut strangers {
        let end = client.receive(PATIENCE);
        assert!(matches!(end, Received::Closed(Some(1008)) | Received::Gone), "{end:?}");
    }
    bystander.noticed_nothing();
}

#[test]
fn slow_calls_in_a_crowd_are_bounded_and_all_answered() {
    let testbox = TestBox::start();
    let mut client = testbox.login("operator");
    let count = 200;
    for id in 0..count {
        client.send(&json!({"jsonrpc": "2.0", "id": id, "method": "list_recordings"}).to_string());
    }
    let mut seen = vec![false; count];
    for _ in 0..count {
        let reply = client.reply();
        let id = reply["id"].as_u64().unwrap() as usize;
        assert!(!std::mem::replace(&mut seen[id], true), "answered twice: {reply}");
        if let Err(e) = outcome(reply) {
            assert_eq!(e.code, -32040, "{e}");
        }
    }
    client.assert_alive();
}

#[test]
fn a_client_that_never_reads_delays_nobody_and_holds_little() {
    let testbox = TestBox::start();
    let mut bystander = Bystander::new(&testbox);
    let before = process::rss_kib(testbox.pid());
    let mut deaf = TcpStream::connect(testbox.endpoints().address("ws")).unwrap();
    deaf.write_all(
        b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    )
    .unwrap();
    let request = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let frame = [&[0x81, 0x80 | request.len() as u8, 0, 0, 0, 0][..], request].concat();
    // Some of it is taken, then the box stops reading.
    deaf.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    assert!(deaf.write_all(&frame.repeat(500_000)).is_err(), "24 MB of requests were taken unanswered");
    bystander.noticed_nothing();
    let grown = (process::rss_kib(testbox.pid()).saturating_sub(before)) / 1024;
    assert!(grown < 16, "{grown} MiB");
}

#[test]
fn a_request_that_never_ends_is_ended() {
    let testbox = TestBox::start();
    let mut slow = TcpStream::connect(testbox.endpoints().address("ws")).unwrap();
    slow.set_read_timeout(Some(PATIENCE)).unwrap();
    slow.write_all(b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nX-").unwrap();
    let mut bytes = Vec::new();
    // Ends with or without an answer, but ends.
    let _ = slow.read_to_end(&mut bytes);
    testbox.connect().assert_alive();
}

/// A socket after its handshake whose client neither reads nor answers.
fn frozen(testbox: &TestBox) -> TcpStream {
    let mut stream = TcpStream::connect(testbox.endpoints().address("ws")).unwrap();
    let request = "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 101");
    stream
}

#[test]
fn a_place_that_nobody_uses_any_more_goes_to_whoever_waits_and_the_living_keep_theirs() {
    let testbox = Setup::new().env("SERVER__MAX_CONNECTIONS", "3").start();
    let url = testbox.endpoints().url("ws").to_owned();
    let mut alive = testbox.connect();
    let _frozen = frozen(&testbox);
    // It never says what it wants.
    let _silent = TcpStream::connect(testbox.endpoints().address("ws")).unwrap();
    alive.assert_alive();
    let mut first =
        wait_for("the place of the one that says nothing", || Client::try_connect(&url, &[]).ok());
    let done = AtomicBool::new(false);
    let mut second = std::thread::scope(|scope| {
        for client in [&mut alive, &mut first] {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    client.assert_alive();
                }
            });
        }
        let what = "the place of the one that does not answer";
        let second = catch_unwind(|| wait_for(what, || Client::try_connect(&url, &[]).ok()));
        done.store(true, Ordering::Relaxed);
        second.unwrap()
    });
    for client in [&mut alive, &mut first, &mut second] {
        client.assert_alive();
    }
    assert_eq!(Client::try_connect(&url, &[]).err(), Some(503), "all three live");
}

#[test]
fn ten_thousand_half_open_connections_harm_nobody_who_is_connected() {
    let testbox = TestBox::start();
    let mut bystander = Bystander::new(&testbox);
    let address = testbox.endpoints().address("ws");
    let before = process::rss_kib(testbox.pid());
    let mut held = std::collections::VecDeque::new();
    let begun = Instant::now();
    for n in 0..10_000 {
        let mut stream = TcpStream::connect(&address).unwrap();
        // Some say half of what they want.
        if n % 3 == 0 {
            let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: loc");
        }
        held.push_back(stream);
        // The usual limit of open files of this process.
        if held.len() > 500 {
            held.pop_front();
        }
    }
    println!("10,000 connections in {:?}", begun.elapsed());
    bystander.noticed_nothing();
    let grown = process::rss_kib(testbox.pid()).saturating_sub(before) / 1024;
    assert!(grown < 60, "{grown} MiB for connections that say nothing");
    drop(held);
    let url = testbox.endpoints().url("ws").to_owned();
    wait_for("a new client gets in", || Client::try_connect(&url, &[]).ok()).assert_alive();
}
