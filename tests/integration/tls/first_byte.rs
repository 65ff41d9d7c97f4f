//! What comes first tells TLS from plain text; what is neither harms nobody.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use super::start;
use crate::common::bystander::Bystander;
use crate::common::tls::{self, Line};
use crate::common::{PATIENCE, Setup, http, process, wait_for};

/// The start of a ClientHello: a record that announces more than will come.
const HALF_HELLO: &[u8] = &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 1, 2, 3];

#[test]
fn garbage_is_hung_up_on_and_plain_text_goes_on() {
    let testbox = start();
    let mut bystander = Bystander::new(&testbox);
    let mut secure = tls::login(&testbox, "viewer");
    let address = testbox.endpoints().address("ws");
    let zeros = [0x16; 400];
    for garbage in
        [&b"\x00"[..], b"\x16", b"\x15\x03\x01\x00\x02\x02\x28", &zeros, b"\xff\xfe\r\n\r\n", b"\x80\x2e\x01"]
    {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(garbage).unwrap();
        // Whoever stops in the middle hears nothing more, as a listener that is at its end.
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{garbage:02x?} was answered {answer:02x?}");
    }
    // A record of TLS behind a plain request is no handshake any more.
    let mut stream = TcpStream::connect(&address).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    assert_eq!(http::get(&testbox.http("/"), &[]).status, 200);
    secure.assert_alive();
    bystander.noticed_nothing();
}

#[test]
fn a_request_in_single_bytes_and_a_pipelined_one_are_answered_over_tls() {
    let testbox = start();
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut line = tls::line(&testbox);
    for byte in request {
        line.write_all(&[*byte]).unwrap();
        line.flush().unwrap();
    }
    let mut answer = String::new();
    let _ = line.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let mut line = tls::line(&testbox);
    let two = [&b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..], request].concat();
    line.write_all(&two).unwrap();
    let mut answer = String::new();
    let _ = line.read_to_string(&mut answer);
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 2, "{answer}");
}

#[test]
fn a_handshake_that_never_ends_is_ended_with_its_place() {
    let testbox = Setup::new().env("SERVER__TLS", "auto").env("SERVER__MAX_CONNECTIONS", "3").start();
    let address = testbox.endpoints().address("ws");
    let begun = Instant::now();
    let mut slow: Vec<_> = (0..3)
        .map(|_| {
            let mut stream = TcpStream::connect(&address).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(HALF_HELLO).unwrap();
            stream
        })
        .collect();
    // Whoever waits gets the place of one that only began to greet, long before its time is over.
    let line = tls::line(&testbox);
    let mut client = tls::socket(&testbox, line).unwrap();
    client.assert_alive();
    // The others go when their ten seconds are over, if not before.
    for stream in &mut slow {
        let _ = stream.read_to_end(&mut Vec::new());
    }
    println!("three half-open handshakes were gone after {:?}", begun.elapsed());
    client.assert_alive();
}

#[test]
fn thousands_of_half_open_handshakes_harm_nobody_who_is_connected() {
    let testbox = start();
    let mut bystander = Bystander::new(&testbox);
    let mut secure = tls::login(&testbox, "viewer");
    let address = testbox.endpoints().address("ws");
    let before = process::rss_kib(testbox.pid());
    let mut held = std::collections::VecDeque::new();
    let begun = Instant::now();
    for n in 0..3000 {
        let mut stream = TcpStream::connect(&address).unwrap();
        let _ = stream.write_all(&HALF_HELLO[..1 + n % HALF_HELLO.len()]);
        held.push_back(stream);
        // The usual limit of open files of this process.
        if held.len() > 500 {
            held.pop_front();
        }
    }
    println!("3,000 half-open handshakes in {:?}", begun.elapsed());
    secure.assert_alive();
    bystander.noticed_nothing();
    let grown = process::rss_kib(testbox.pid()).saturating_sub(before) / 1024;
    println!("{grown} MiB");
    assert!(grown < 60, "{grown} MiB for handshakes that go nowhere");
    drop(held);
    let fingerprint = tls::fingerprint(&testbox);
    wait_for("a new client gets in", || {
        let line = tls::line_shown(&testbox, fingerprint).ok()?;
        tls::socket(&testbox, line).ok()
    })
    .assert_alive();
}

#[test]
fn a_quiet_connection_with_tls_has_a_bounded_price() {
    let testbox = start();
    let fingerprint = tls::fingerprint(&testbox);
    let open = |count: usize| -> Vec<_> {
        let one = || tls::socket(&testbox, tls::line_shown(&testbox, fingerprint).unwrap()).unwrap();
        (0..count).map(|_| one()).collect()
    };
    // What the first ones make the allocator and the session cache take is not theirs.
    let first = open(100);
    let before = process::rss_kib(testbox.pid());
    let mut held = open(300);
    let each = process::rss_kib(testbox.pid()).saturating_sub(before) as f64 / 300.0;
    println!("{each:.1} KiB a connection, before {before} KiB");
    assert!(each < 100.0, "{each:.1} KiB for a quiet connection");
    for client in &mut held {
        client.assert_alive();
    }
    drop((first, held));
}

#[test]
fn a_client_that_never_reads_over_tls_holds_little() {
    let testbox = start();
    let mut bystander = Bystander::new(&testbox);
    let before = process::rss_kib(testbox.pid());
    let mut deaf = tls::line(&testbox);
    deaf.write_all(
        b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    )
    .unwrap();
    let request = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let frame = [&[0x81, 0x80 | request.len() as u8, 0, 0, 0, 0][..], request].concat().repeat(1000);
    deaf.tcp().set_write_timeout(Some(std::time::Duration::from_secs(1))).unwrap();
    let taken = (0..500).take_while(|_| deaf.write_all(&frame).is_ok()).count();
    assert!(taken < 500, "24 MB of requests were taken unanswered");
    bystander.noticed_nothing();
    let grown = process::rss_kib(testbox.pid()).saturating_sub(before) / 1024;
    assert!(grown < 16, "{grown} MiB");
    // The box is not in the way of a slow one that goes on after all.
    let Line::Tls(mut stream) = deaf else { unreachable!() };
    let (mut piece, mut heard) = (vec![0; 64 << 10], 0);
    let stream = &mut *stream;
    while heard < 1 << 20 {
        // Without writing what the box does not take yet, as `Read` would.
        assert!(stream.conn.read_tls(&mut stream.sock).unwrap() > 0, "hung up after {heard} bytes");
        stream.conn.process_new_packets().unwrap();
        heard += stream.conn.reader().read(&mut piece).unwrap_or(0);
    }
}
