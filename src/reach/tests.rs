use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;

use super::*;

fn reach(allowed: &[&str]) -> Reach {
    Reach::new(&allowed.iter().map(|e| e.parse().unwrap()).collect::<Vec<_>>())
}

fn policy(allowed: &[&str]) -> Policy {
    let entries: Vec<HostEntry> = allowed.iter().map(|e| e.parse().unwrap()).collect();
    Policy::new(entries.into(), vec!["10.0.0.9".parse().unwrap(), "fd00::9".parse().unwrap()])
}

/// What becomes of a host that is written like this.
fn judged(allowed: &[&str], host: &str) -> Result<(), Refusal> {
    let policy = policy(allowed);
    match read_host(host)? {
        Host::Address(address) => policy.judge(None, address, 554),
        Host::Name(name) => policy.judge_name(&name, 554),
    }
}

#[test]
fn every_way_to_write_what_is_refused_is_seen_through() {
    for (host, refusal) in [
        ("169.254.169.254", Refusal::Metadata),
        ("[::ffff:169.254.169.254]", Refusal::Metadata),
        ("0xa9fea9fe", Refusal::Metadata),
        ("2852039166", Refusal::Metadata),
        ("[64:ff9b::a9fe:a9fe]", Refusal::Metadata),
        ("[fd00:ec2::254]", Refusal::Metadata),
        ("100.100.100.200", Refusal::Metadata),
        ("127.0.0.1", Refusal::Loopback),
        ("127.255.0.3", Refusal::Loopback),
        ("[::1]", Refusal::Loopback),
        ("0x7f000001", Refusal::Loopback),
        ("0X7F.1", Refusal::Loopback),
        ("2130706433", Refusal::Loopback),
        ("127.1", Refusal::Loopback),
        ("127.0.1", Refusal::Loopback),
        ("0177.0.0.1", Refusal::Loopback),
        ("017700000001", Refusal::Loopback),
        ("127.0.0.1.", Refusal::Loopback),
        ("::ffff:127.0.0.1", Refusal::Loopback),
        ("[::ffff:7f00:1]", Refusal::Loopback),
        ("[::127.0.0.1]", Refusal::Loopback),
        ("[2002:7f00:1::]", Refusal::Loopback),
        ("localhost", Refusal::Loopback),
        ("LOCALHOST.", Refusal::Loopback),
        ("a.localhost", Refusal::Loopback),
        ("0.0.0.0", Refusal::NoHost),
        ("0", Refusal::NoHost),
        ("0x", Refusal::NoHost),
        ("00", Refusal::NoHost),
        ("[::]", Refusal::NoHost),
        ("[::ffff:0.0.0.0]", Refusal::NoHost),
        ("0.1.2.3", Refusal::NoHost),
        ("255.255.255.255", Refusal::NoHost),
        ("224.0.0.1", Refusal::NoHost),
        ("[ff02::1]", Refusal::NoHost),
        ("10.0.0.9", Refusal::Itself),
        ("[fd00::9]", Refusal::Itself),
        ("10.9", Refusal::Itself),
        ("", Refusal::Unreadable),
        ("256.0.0.1", Refusal::Unreadable),
        ("1.2.3.4.5", Refusal::Unreadable),
        ("4294967296", Refusal::Unreadable),
        ("08.0.0.1", Refusal::Unreadable),
        ("a.0x7f", Refusal::Unreadable),
        ("127。0。0。1", Refusal::Unreadable),
        ("%31", Refusal::Unreadable),
        ("[fe80::1%25eth0]", Refusal::Unreadable),
        ("a..b", Refusal::Unreadable),
    ] {
        // Neither an empty list nor the widest ranges open them.
        assert_eq!(judged(&[], host), Err(refusal), "{host}");
        assert_eq!(judged(&["0.0.0.0/0", "::/0", "localhost"], host), Err(refusal), "{host} in a wide range");
    }
    for host in
        ["192.0.2.20", "169.254.7.7", "[fd00::7]", "camera.local", "gate", "8.8.8.8", "[2002:808:808::]"]
    {
        assert_eq!(judged(&[], host), Ok(()), "{host}");
    }
}

#[test]
fn what_an_administrator_names_is_allowed_and_no_more() {
    for (allowed, host, want) in [
        ("127.0.0.1", "127.1", Ok(())),
        ("127.0.0.1", "127.0.0.2", Err(Refusal::Loopback)),
        ("127.0.0.0/8", "127.0.0.2", Ok(())),
        ("126.0.0.0/7", "127.0.0.2", Err(Refusal::Loopback)),
        ("::1", "[::1]", Ok(())),
        ("127.0.0.1:554", "127.0.0.1", Ok(())),
        ("127.0.0.1:555", "127.0.0.1", Err(Refusal::Loopback)),
        ("169.254.169.254", "169.254.169.254", Ok(())),
        ("169.254.0.0/16", "169.254.169.254", Err(Refusal::Metadata)),
        ("169.254.0.0/16", "169.254.1.1", Ok(())),
        ("10.0.0.9", "10.0.0.9", Ok(())),
        ("10.0.0.0/24", "10.0.0.9", Err(Refusal::Itself)),
        ("10.0.0.0/24", "10.0.0.8", Ok(())),
        ("10.0.0.0/24", "10.0.1.8", Err(Refusal::NotListed)),
        ("10.0.0.0/24:8554", "10.0.0.8", Err(Refusal::NotListed)),
        ("camera.local", "Camera.Local.", Ok(())),
        ("camera.local", "other.local", Err(Refusal::NotListed)),
        ("0.0.0.0", "0.0.0.0", Err(Refusal::NoHost)),
    ] {
        assert_eq!(judged(&[allowed], host), want, "{host} where {allowed} is allowed");
    }
}

/// A policy whose name server answers with these in turn, the last one for ever.
fn turning(answers: &'static [&'static str], allowed: &[&str]) -> Reach {
    let looks = AtomicUsize::new(0);
    let names = Names::asking(move |_| {
        let look = looks.fetch_add(1, Ordering::Relaxed).min(answers.len() - 1);
        Ok(answers[look].split(' ').map(|a| a.parse().unwrap()).collect())
    });
    Reach::asking(names, &allowed.iter().map(|e| e.parse().unwrap()).collect::<Vec<_>>())
}

#[tokio::test]
async fn a_name_that_changes_its_answer_is_judged_each_time() {
    let answers = &[
        "192.0.2.7",
        "127.0.0.1",
        "169.254.169.254",
        "0.0.0.0",
        "::ffff:127.0.0.1",
        "192.0.2.7 ::1",
        "64:ff9b::7f00:1 192.0.2.7",
    ];
    for allowed in [&["turns.example", "0.0.0.0/0"][..], &[]] {
        let reach = turning(answers, allowed);
        let first = reach.resolve("Turns.Example", 554).await.unwrap();
        assert_eq!(first, ["192.0.2.7:554".parse().unwrap()]);
        for _ in 1..answers.len() {
            let error = reach.resolve("turns.example", 554).await.unwrap_err();
            assert_eq!(error.data()["param"], "stream_url");
            assert!(!error.message().contains("127.0.0.1"), "what a name means inside is not told");
        }
    }
}

#[tokio::test]
async fn a_name_without_address_is_the_name_servers_fault() {
    let nobody = Reach::asking(Names::asking(|_| Ok(Vec::new())), &[]);
    let error = nobody.resolve("none.example", 554).await.unwrap_err();
    assert_eq!(error.kind(), crate::base::ErrorKind::DependencyFailed);
    assert!(error.data()["suggestion"].as_str().unwrap().contains("check the name"));
}

/// What an added camera does when its name leads somewhere else at the second look.
#[tokio::test]
async fn the_way_to_a_camera_does_not_lead_where_its_name_turned() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let camera = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = camera.local_addr().unwrap().port();
    // The same port: what is forbidden there would take the connection.
    let inside = std::net::TcpListener::bind(("127.0.0.2", port)).unwrap();
    inside.set_nonblocking(true).unwrap();
    let reach = turning(&["127.0.0.1", "127.0.0.2"], &["turns.example", "127.0.0.1"]);
    let Ok(crate::config::SourceSpec::Rtsp(url)) = format!("rtsp://turns.example:{port}/").parse() else {
        unreachable!()
    };
    let mut phases = crate::supervise::Phases::default();
    let group = phases.add("test");
    let relay = Relay::start(reach, &url, "camera0", &group).await.unwrap();
    let near = relay.url(&url).unwrap().socket_addrs(|| None).unwrap()[0];

    let mut first = tokio::net::TcpStream::connect(near).await.unwrap();
    let (mut far, _) = camera.accept().await.unwrap();
    far.write_all(b"RTSP/1.0 200 OK\r\n\r\n").await.unwrap();
    let mut bytes = [0; 8];
    first.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"RTSP/1.0");

    let mut second = tokio::net::TcpStream::connect(near).await.unwrap();
    assert!(matches!(second.read(&mut bytes).await, Ok(0) | Err(_)), "it is closed at once");
    assert_eq!(inside.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    drop((first, second));
    phases.shutdown(std::time::Duration::from_secs(10)).await;
}

#[test]
fn the_box_knows_itself() {
    assert!(own_addresses().contains(&"127.0.0.1".parse().unwrap()));
    assert!(is_own("127.0.0.1".parse().unwrap()));
    for other in ["192.0.2.7", "2001:db8::7"] {
        assert!(!is_own(other.parse().unwrap()), "{other}");
    }
}

#[tokio::test]
async fn a_url_is_handed_on_with_its_address() {
    let url = |text: &str| match text.parse().unwrap() {
        crate::config::SourceSpec::Rtsp(url) => url,
        other => panic!("{other}"),
    };
    let handed = |text: &'static str| async move {
        reach(&["127.0.0.0/8"]).address_of(&url(text)).await.map(|url| url.to_string()).ok()
    };
    assert_eq!(
        handed("rtsp://u:p%40w@127.2:8554/a?b=c").await.unwrap(),
        "rtsp://u:p%40w@127.0.0.2:8554/a?b=c"
    );
    assert_eq!(handed("rtsps://0x7f000003/").await.unwrap(), "rtsps://127.0.0.3/");
    assert_eq!(handed("rtsp://[::ffff:127.0.0.1]/x").await.unwrap(), "rtsp://127.0.0.1/x");
    assert_eq!(handed("rtsp://192.0.2.7/").await, None);
}

proptest! {
    #[test]
    fn any_host_is_read_without_panic(text in ".*", digits in "[0-9a-fx.:\\[\\]]{0,40}") {
        for text in [text, digits] {
            if let Ok(Host::Name(name)) = read_host(&text) {
                prop_assert!(name.parse::<IpAddr>().is_err());
            }
        }
    }

    #[test]
    fn no_loopback_address_passes_in_any_form(low in 0u32..1 << 24) {
        let bits = 127 << 24 | low;
        let a = std::net::Ipv4Addr::from_bits(bits);
        let [o0, o1, o2, o3] = a.octets();
        for host in [
            a.to_string(),
            bits.to_string(),
            format!("{bits:#x}"),
            format!("0{bits:o}"),
            format!("{o0:#x}.0{o1:o}.{}", u32::from(o2) << 8 | u32::from(o3)),
            format!("[::ffff:{a}]"),
        ] {
            prop_assert_eq!(judged(&[], &host), Err(Refusal::Loopback), "{}", host);
        }
    }
}
