//! Bytes that are no proper message, or no proper HTTP, harm nobody but their sender.

use std::time::Duration;

use crate::common::bystander::{Bystander, start};
use crate::common::rpc::{Received, outcome};
use crate::common::{Client, PATIENCE, http, process};
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;

const MIB: usize = 1 << 20;

#[test]
fn frames_that_are_no_text_are_answered_or_end_only_their_own_connection() {
    let testbox = start();
    let mut bystander = Bystander::new(&testbox);
    let mut client = testbox.connect();
    for frame in [&b"\x00\xff"[..], b"", br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#] {
        assert!(client.try_send(Message::binary(frame.to_vec())));
        let reply = client.reply();
        assert_eq!(reply["id"], Value::Null);
        assert_eq!(outcome(reply).unwrap_err().code, -32600);
    }
    for text in [&b"\xff\xfe\xfd"[..], b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xc3\x28\"}"] {
        client.send_frame(1, text);
        let reply = client.reply();
        assert_eq!(reply["id"], Value::Null);
        assert_eq!(outcome(reply).unwrap_err().code, -32600);
    }
    client.assert_alive();
    // A reserved kind of frame, a frame without a mask, a continuation of nothing, a long control frame.
    let mask = [0u8; 4];
    let broken: [Vec<u8>; 4] = [
        [&[0x83, 0x80][..], &mask].concat(),
        vec![0x81, 0x02, b'{', b'}'],
        [&[0x80, 0x82][..], &mask, b"{}"].concat(),
        [&[0x89, 0xfe, 0x01, 0x00][..], &mask, &[b'x'; 256]].concat(),
    ];
    for bytes in broken {
        let mut client = testbox.connect();
        client.send_bytes(&bytes).unwrap();
        let end = client.receive(PATIENCE);
        assert!(
            matches!(end, Received::Gone | Received::Closed(Some(1002)) | Received::Closed(None)),
            "{end:?}"
        );
    }
    // A message in two parts, with a WebSocket ping between them, is one message.
    let mut client = testbox.connect();
    let whole = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let (one, two) = whole.split_at(10);
    let head = |first: u8, n: usize| [&[first, 0x80 | n as u8][..], &mask].concat();
    let bytes =
        [head(0x01, one.len()), one.to_vec(), head(0x89, 0), head(0x80, two.len()), two.to_vec()].concat();
    client.send_bytes(&bytes).unwrap();
    assert_eq!(outcome(client.reply()).unwrap(), "pong");
    bystander.noticed_nothing();
}

#[test]
fn a_message_of_16_mib_is_answered_and_a_larger_one_closes_with_1009() {
    let testbox = start();
    let mut bystander = Bystander::new(&testbox);
    let sized = |size: usize| {
        let (head, tail) = (r#"{"jsonrpc":"2.0","id":1,"method":"ping","pad":""#, r#""}"#);
        format!("{head}{}{tail}", "x".repeat(size - head.len() - tail.len()))
    };
    let mut client = testbox.connect();
    client.send(&sized(16 * MIB));
    assert_eq!(outcome(client.reply()).unwrap(), "pong");
    client.send(&"x".repeat(16 * MIB));
    assert_eq!(outcome(client.reply()).unwrap_err().code, -32600);
    client.assert_alive();
    // It may hang up before we have sent everything.
    client.try_send(Message::text(sized(16 * MIB + 1)));
    let end = client.receive(PATIENCE);
    assert!(matches!(end, Received::Closed(Some(1009)) | Received::Gone), "{end:?}");
    // The announced length is enough for the verdict, and then nothing stands in the way of its close frame.
    let mut client = testbox.connect();
    let length = (16 * MIB as u64 + 1).to_be_bytes();
    client.send_bytes(&[&[0x81, 0xff][..], &length, &[0; 4]].concat()).unwrap();
    assert_eq!(client.receive(PATIENCE), Received::Closed(Some(1009)));
    bystander.noticed_nothing();
}

#[test]
fn a_message_of_a_gibibyte_costs_the_box_no_more_than_the_limit() {
    let testbox = start();
    let mut bystander = Bystander::new(&testbox);
    let before = process::rss_kib(testbox.pid());
    // Announced as a whole: refused before any of it is there.
    let mut client = testbox.connect();
    client.send_bytes(&[&[0x81, 0xff][..], &(1u64 << 30).to_be_bytes(), &[0; 4]].concat()).unwrap();
    assert_eq!(client.receive(PATIENCE), Received::Closed(Some(1009)));
    // In pieces of a MiB that never say how many more will come.
    let mut client = testbox.connect();
    let piece =
        |opcode: u8| [&[opcode, 0xff][..], &(MIB as u64).to_be_bytes(), &[0; 4], &vec![b'x'; MIB]].concat();
    let (first, more) = (piece(0x01), piece(0x00));
    // What comes after the verdict is thrown away for a while, so that the close frame can be read.
    for n in 0..1024 {
        if client.send_bytes(if n == 0 { &first } else { &more }).is_err() {
            break;
        }
    }
    let end = client.receive(PATIENCE);
    assert!(matches!(end, Received::Closed(Some(1009)) | Received::Gone), "{end:?}");
    let grown = process::rss_kib(testbox.pid()).saturating_sub(before) / 1024;
    assert!(grown < 64, "{grown} MiB for a message of which 16 MiB are allowed");
    bystander.noticed_nothing();
}

#[test]
fn bad_http_requests_get_the_status_that_says_why() {
    let testbox = start();
    let mut bystander = Bystander::new(&testbox);
    let address = testbox.endpoints().address("ws");
    let ws = testbox.endpoints().url("ws").to_owned();
    assert_eq!(Client::try_connect(&ws, &[("Host", "evil.example")]).err(), Some(421));
    assert_eq!(Client::try_connect(&ws, &[("Origin", "http://evil.example")]).err(), Some(403));
    assert_eq!(
        Client::try_connect(&ws, &[("Host", "evil.example"), ("Origin", "http://evil.example")]).err(),
        Some(421)
    );
    let same = format!("http://{address}");
    Client::try_connect(&ws, &[("Origin", &same)]).unwrap().assert_alive();
    for (method, path, statuses) in [
        ("GET", "/nothing", &[404][..]),
        ("GET", "/ws", &[400, 426]),
        ("POST", "/ws", &[400, 405]),
        ("DELETE", "/", &[404, 405]),
        ("GET", "/files/recordings/x.mp4", &[401]),
        ("GET", "/files/recordings/x.mp4?exp=1&sig=00", &[401, 403]),
        ("GET", "/files/recordings/../../secrets/jwt.key", &[400, 401, 403, 404]),
        ("GET", "/files/recordings/%2e%2e/%2e%2e/secrets/jwt.key", &[400, 401, 403, 404]),
        ("GET", "/files/../fieldcam.db", &[400, 401, 403, 404]),
    ] {
        let answer = http::request(method, &testbox.http(path), &[]);
        assert!(statuses.contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.text());
        assert!(!answer.text().contains(&*testbox.data().to_string_lossy()), "{}", answer.text());
    }
    let bearer = format!("Bearer {}", testbox.token("admin"));
    for path in [
        "/files/recordings/../../secrets/jwt.key",
        "/files/recordings/%2e%2e%2f%2e%2e%2ffieldcam.db",
        "/files/recordings/",
        "/files/snapshots/none.jpg",
    ] {
        let answer = http::get(&testbox.http(path), &[("Authorization", &bearer)]);
        assert!([400, 403, 404].contains(&answer.status), "{path}: {} {}", answer.status, answer.text());
    }
    let garbage = http::exchange(&address, b"\x16\x03\x01 not http\r\n\r\n");
    assert_eq!(garbage.status, 400);
    bystander.noticed_nothing();
}

#[test]
fn half_a_request_blocks_nobody() {
    let testbox = start();
    let mut bystander = Bystander::new(&testbox);
    let mut held: Vec<Client> = (0..40).map(|_| testbox.connect()).collect();
    for client in &mut held {
        // The beginning of a message whose end never comes.
        client.send_bytes(&[0x81, 0xfe, 0x10, 0x00, 0, 0, 0, 0, b'{']).unwrap();
    }
    bystander.noticed_nothing();
    let mut first = held.swap_remove(0);
    assert_eq!(first.receive(Duration::from_millis(1)), Received::Nothing);
    drop(held);
    bystander.noticed_nothing();
}
