//! `fieldcam ctl find` hears the boxes of the network, and whoever else answers there.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use mdns_sd::{IfKind, ServiceDaemon, ServiceInfo};
use serde_json::{Value, json};
use socket2::{Domain, Protocol, Socket, Type};

use crate::claim::{Laptop, said, setup, shown};

const GROUP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(224, 0, 0, 251), 5353);

/// Announces a box on this machine's loopback, as systemd-resolved does on a box's ports.
fn announce(name: &str, port: u16) -> ServiceDaemon {
    let daemon = ServiceDaemon::new().unwrap();
    daemon.disable_interface(IfKind::All).unwrap();
    daemon.enable_interface(IfKind::LoopbackV4).unwrap();
    let txt = [("path", "/ws"), ("tls", "1")];
    let host = format!("{name}.local.");
    let info = ServiceInfo::new("_fieldcam._tcp.local.", name, &host, "127.0.0.1", port, &txt[..]).unwrap();
    daemon.register(info).unwrap();
    daemon
}

/// The row of a host in what `find --json` printed.
#[track_caller]
fn row(laptop: &Laptop, host: &str) -> Value {
    let out = laptop.ctl_as_is(&["find", "--json"], "");
    assert!(out.status.success(), "{}", said(&out));
    let all: Value = serde_json::from_slice(&out.stdout).unwrap();
    let row = all["boxes"].as_array().unwrap().iter().find(|found| found["host"] == host);
    row.unwrap_or_else(|| panic!("{host} is not in {all}")).clone()
}

#[test]
fn a_box_is_found_and_says_whose_it_is() {
    let laptop = Laptop::new();
    let testbox = setup().start();
    let port: u16 = testbox.endpoints().address("ws").rsplit(':').next().unwrap().parse().unwrap();
    let name = format!("fieldcam-test-{}", testbox.pid());
    let _responder = announce(&name, port);
    let host = format!("{name}.local");

    let found = row(&laptop, &host);
    assert_eq!((&found["claimed"], &found["yours"]), (&json!(false), &json!(false)), "{found}");
    assert_eq!((&found["port"], &found["addresses"]), (&json!(port), &json!(["127.0.0.1"])), "{found}");
    assert_eq!(found["version"], env!("CARGO_PKG_VERSION"));

    let (_, code) = shown(&testbox);
    let claimed = laptop.ctl(&testbox, &["claim", "--code", &code]);
    assert!(claimed.status.success(), "{}", said(&claimed));
    let found = row(&laptop, &host);
    assert_eq!((&found["claimed"], &found["yours"]), (&json!(true), &json!(true)), "{found}");
    // Somebody else learns that it has an owner, and nothing else.
    let other = row(&Laptop::new(), &host);
    assert_eq!((&other["claimed"], &other["yours"]), (&json!(true), &json!(false)), "{other}");
    assert_eq!((&other["version"], &other["tls_fingerprint"]), (&Value::Null, &found["tls_fingerprint"]));

    let table = said(&laptop.ctl_as_is(&["find", "--for", "2s"], ""));
    let line = table.lines().find(|line| line.starts_with(&host)).unwrap_or_else(|| panic!("{table}"));
    let words: Vec<_> = line.split_whitespace().collect();
    assert_eq!(words[1..], ["127.0.0.1", &port.to_string(), "you", env!("CARGO_PKG_VERSION")], "{table}");
}

/// Answers each question for boxes with packets of its own, until it is dropped.
struct Stranger {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<u32>>,
}

impl Stranger {
    fn new(packets: Vec<Vec<u8>>) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.set_reuse_port(true).unwrap();
        socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 5353).into()).unwrap();
        socket.join_multicast_v4(GROUP.ip(), &Ipv4Addr::LOCALHOST).unwrap();
        socket.set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
        let socket = UdpSocket::from(socket);
        // Only for the end of the test: a question wakes it by itself.
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let ended = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut asked = 0;
            let mut packet = [0; 9000];
            while !ended.load(Ordering::Acquire) {
                let length = match socket.recv(&mut packet) {
                    Ok(length) => length,
                    Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
                    Err(e) => panic!("{e}"),
                };
                let question = length > 12 && packet[2] & 0x80 == 0;
                if question && packet[..length].windows(9).any(|word| word == b"_fieldcam") {
                    asked += 1;
                    for packet in &packets {
                        socket.send_to(packet, GROUP).unwrap();
                    }
                }
            }
            asked
        });
        Self { stop, thread: Some(thread) }
    }

    /// How often somebody asked.
    fn end(mut self) -> u32 {
        self.stop.store(true, Ordering::Release);
        self.thread.take().unwrap().join().unwrap()
    }
}

fn name(labels: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for label in labels {
        out.push(label.len() as u8);
        out.extend_from_slice(label);
    }
    out.push(0);
    out
}

fn record(name: &[u8], kind: u16, data: &[u8]) -> Vec<u8> {
    let head = [&kind.to_be_bytes()[..], &1u16.to_be_bytes(), &120u32.to_be_bytes()].concat();
    [name, &head, &(data.len() as u16).to_be_bytes(), data].concat()
}

fn answer(records: &[Vec<u8>]) -> Vec<u8> {
    let head = [0, 0, 0x84, 0, 0, 0, 0, records.len() as u8, 0, 0, 0, 0];
    [&head[..], &records.concat()].concat()
}

/// An answer that announces a box.
fn announcement(instance: &[u8], host: &[u8], address: [u8; 4], port: u16, txt: &[u8]) -> Vec<u8> {
    let service = name(&[b"_fieldcam", b"_tcp", b"local"]);
    let instance = name(&[instance, b"_fieldcam", b"_tcp", b"local"]);
    let host = name(&[host, b"local"]);
    let place = [&[0, 0, 0, 0][..], &port.to_be_bytes(), &host].concat();
    answer(&[
        record(&service, 12, &instance),
        record(&instance, 33, &place),
        record(&instance, 16, txt),
        record(&host, 1, &address),
    ])
}

#[test]
fn what_strangers_answer_is_bounded_and_moves_no_terminal() {
    // It takes connections and never says a word.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = mute.local_addr().unwrap().port();
    let tls = b"\x05tls=1";
    let own = format!("mute-{port}");
    let evil = format!("\x1b]0;{port}\x07\x1b[2J\u{202e}");
    let long = "x".repeat(63);
    let pointer_to_itself = [&[0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0][..], &[0xc0, 12, 0, 12, 0, 1]].concat();
    let all_counts = [&[0, 0, 0x84, 0, 255, 255, 255, 255, 255, 255, 255, 255][..], &[63; 40]].concat();
    let short = announcement(b"a", b"a", [127, 0, 0, 1], 1, tls);
    let stranger = Stranger::new(vec![
        Vec::new(),
        vec![0xff; 8000],
        pointer_to_itself,
        all_counts,
        short[..short.len() - 3].to_vec(),
        announcement(b"\xff\xfe\x80", b"\xc3\x28", [127, 0, 0, 1], port, tls),
        announcement(evil.as_bytes(), evil.as_bytes(), [127, 0, 0, 1], port, tls),
        announcement(long.as_bytes(), long.as_bytes(), [198, 51, 100, 7], 0, &[255; 200]),
        announcement(own.as_bytes(), own.as_bytes(), [127, 0, 0, 1], port, tls),
    ]);
    let laptop = Laptop::new();
    let found = row(&laptop, &format!("{own}.local"));
    assert_eq!((&found["claimed"], &found["version"]), (&Value::Null, &Value::Null), "{found}");
    let out = laptop.ctl_as_is(&["find"], "");
    let text = said(&out);
    assert!(out.status.success(), "{text}");
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    let line =
        text.lines().find(|line| line.contains(&format!("]0;{port}"))).unwrap_or_else(|| panic!("{text}"));
    assert!(line.contains(r"\u{1b}[2J\u{202e}"), "{text}");
    assert!(stranger.end() > 0);
}

#[test]
fn who_names_no_box_is_told_how_to_find_one() {
    let laptop = Laptop::new();
    let out = laptop.ctl_as_is(&["status"], "");
    assert!(!out.status.success() && said(&out).contains("`fieldcam ctl find`"), "{}", said(&out));
    let out = laptop.ctl_as_is(&["--host", "192.0.2.1", "find"], "");
    assert!(!out.status.success() && said(&out).contains("the whole network"), "{}", said(&out));
}
