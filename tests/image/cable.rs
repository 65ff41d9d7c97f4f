//! A bare cable from the box to a laptop, with nothing else on it: no DHCP, no name server.

use std::io::ErrorKind;
use std::net::{IpAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::wait_within;
use crate::disk::{Disk, done};
use crate::laptop::{Laptop, code, said};
use crate::machine::{Machine, PATIENCE};

/// The box's second port.
const MAC: &str = "52:54:00:fc:00:02";

/// The laptop's end of the cable, with the address that a laptop takes when nobody gives it one.
struct Port(String);

impl Port {
    fn new() -> Port {
        let port = Port(format!("fccable{}", std::process::id() % 100_000));
        let ip = |args: &[&str]| done(Command::new("ip").args(args));
        ip(&["tuntap", "add", "dev", &port.0, "mode", "tap"]);
        ip(&["addr", "add", "169.254.77.1/16", "dev", &port.0]);
        ip(&["link", "set", &port.0, "up"]);
        port
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["link", "del", &self.0]).status();
    }
}

/// What `ctl find` says of a box.
fn found(laptop: &Laptop, host: &str) -> Option<Value> {
    let said = laptop.command(&["find", "--for", "2s", "--json"]).output().unwrap();
    let list: Value = serde_json::from_slice(&said.stdout).ok()?;
    list["boxes"].as_array()?.iter().find(|found| found["host"] == host).cloned()
}

/// Its address on the cable that begins so, once it has told who owns it.
fn own_address(found: &Value, begins: &str) -> Option<String> {
    found["claimed"].as_bool()?;
    let mut addresses = found["addresses"].as_array()?.iter().filter_map(Value::as_str);
    addresses.find(|address| address.starts_with(begins)).map(str::to_owned)
}

#[test]
#[ignore = "needs root and QEMU: scripts/test image"]
fn a_box_at_a_bare_cable_is_found_and_driven_by_its_name() {
    let (laptop, port) = (Laptop::new(), Port::new());
    let cable = format!("tap,id=cable,ifname={},script=no,downscript=no", port.0);
    let device = format!("virtio-net-pci,netdev=cable,mac={MAC},romfile=");
    let mut machine = Machine::with(Disk::with_agent(), &["-netdev", &cable, "-device", &device]);
    machine.next_boot();
    let host = format!("{}.local", machine.ask("cat /etc/hostname"));
    // By its number: udev gives it another name while it starts.
    let inside = format!("$(dirname $(grep -l {MAC} /sys/class/net/*/address))");
    let carrier = |machine: &mut Machine, wanted: &str| {
        wait_within(PATIENCE, "the box sees its cable", || {
            (machine.run(&format!("cat {inside}/carrier")).out.trim() == wanted).then_some(())
        });
    };
    // It answers at the cable it was started with, and once more when that is plugged in anew.
    wait_within(PATIENCE, "the box is found and says who it is", || {
        own_address(&found(&laptop, &host)?, "fe80:")
    });
    machine.qmp("set_link", &json!({ "name": "cable", "up": false }));
    carrier(&mut machine, "0");
    machine.qmp("set_link", &json!({ "name": "cable", "up": true }));
    let plugged = Instant::now();
    wait_within(PATIENCE, "its name answers again", || found(&laptop, &host));
    let by_name = plugged.elapsed();
    let reach = |begins: &str| {
        let (of_box, address) = wait_within(PATIENCE, &format!("it says who it is at {begins}"), || {
            let of_box = found(&laptop, &host)?;
            own_address(&of_box, begins).map(|address| (of_box, address))
        });
        let address = if address.contains(':') { format!("[{address}]") } else { address };
        (of_box, format!("https://{address}:8002"), plugged.elapsed())
    };
    let drive = |at: &str, command: &[&str]| {
        let out = laptop.command(&[&["--host", at], command].concat()).output().unwrap();
        assert!(out.status.success(), "{at} {command:?}: {}", said(&out));
    };
    let (of_box, at, by_ipv6) = reach("fe80:");
    assert_eq!((&of_box["port"], &of_box["claimed"]), (&json!(8002), &json!(false)), "{of_box}");
    drive(&at, &["claim", "--code", &code(&machine.console()).expect("its screen shows it")]);
    // networkd asks for a lease a few times before it gives the port an IPv4 address of its own.
    let (of_box, at, by_ipv4) = reach("169.254.");
    assert_eq!(of_box["yours"], json!(true), "{of_box}");
    drive(&at, &["--fingerprint", of_box["tls_fingerprint"].as_str().unwrap(), "status"]);
    let address = own_address(&of_box, "169.254.").expect("it was driven there");
    the_firewall_lets_in_what_is_served(&mut machine, address.parse().unwrap(), || {
        let search = ["call", "discover_external_streams", r#"{"generic_enabled":true}"#];
        let out = laptop.command(&[&["--host", &at], &search[..]].concat()).output().unwrap();
        out.status.success().then_some(())
    });
    eprintln!(
        "after the cable was plugged in, searches of two seconds included: the name answers after {:.1} s \
         (goal: 15 s), the API by IPv6 after {:.1} s, by IPv4 after {:.1} s",
        by_name.as_secs_f64(),
        by_ipv6.as_secs_f64(),
        by_ipv4.as_secs_f64()
    );
}

/// What is refused was let in, and nobody listens there; of what the firewall keeps out nothing comes back. `search` has the box
/// look for network cameras.
fn the_firewall_lets_in_what_is_served(machine: &mut Machine, at: IpAddr, search: impl Fn() -> Option<()>) {
    const SOON: Duration = Duration::from_secs(3);
    let tcp = |port| TcpStream::connect_timeout(&(at, port).into(), SOON).map(drop).map_err(|e| e.kind());
    for port in [8002, 8003, 8189, 8322, 8554] {
        assert!(matches!(tcp(port), Ok(()) | Err(ErrorKind::ConnectionRefused)), "{port}: {:?}", tcp(port));
    }
    for port in [22, 80, 9997] {
        assert_eq!(tcp(port), Err(ErrorKind::TimedOut), "{port}");
    }
    // A camera's answer to a question that went to all, and one to nobody's question.
    let udp = |port| {
        let socket = UdpSocket::bind("169.254.77.1:3702").unwrap();
        socket.connect((at, port)).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        socket.send(b"answer").unwrap();
        socket.recv(&mut [0; 8]).unwrap_err().kind()
    };
    let settings = "[discovery]\\nexternal_enabled = true\\n";
    machine.ask(&format!(
        "printf '{settings}' >/etc/fieldcam/conf.d/search.toml && systemctl kill -s HUP fieldcam"
    ));
    wait_within(PATIENCE, "the box looks for network cameras", search);
    let asked = machine.ask("nft list set inet fieldcam searching");
    let port = asked.split_once("elements = { ").and_then(|(_, list)| list.split(' ').next()?.parse().ok());
    let port: u16 = port.unwrap_or_else(|| panic!("no port in {asked}"));
    assert_eq!(udp(port), ErrorKind::ConnectionRefused, "{asked}");
    assert_eq!(udp(port ^ 1), ErrorKind::WouldBlock, "{asked}");
}
