//! Listen addresses: free ports in place of 0, and a clear word on a port that is taken.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use rand::Rng;

use super::Listens;
use crate::base::{Error, ErrorKind, Mono, Result, peer};

/// Below the ports Linux gives to outgoing connections (32768 and up): one of those could take our
/// port in the moment MediaMTX is being restarted.
const FREE: std::ops::Range<u16> = 20_000..32_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Tcp,
    /// Both with the same number: WebRTC's media.
    UdpAndTcp,
}

fn each(listens: &mut Listens) -> Vec<(&'static str, Transport, &mut SocketAddr)> {
    let mut all = vec![
        ("mediamtx.rtsp_listen", Transport::Tcp, &mut listens.rtsp),
        ("mediamtx.hls_listen", Transport::Tcp, &mut listens.hls),
        ("mediamtx.webrtc_listen", Transport::Tcp, &mut listens.webrtc),
        ("mediamtx.webrtc_udp", Transport::UdpAndTcp, &mut listens.webrtc_udp),
        ("mediamtx.api_listen", Transport::Tcp, &mut listens.api),
    ];
    all.extend(listens.rtsps.as_mut().map(|rtsps| ("mediamtx.rtsps_listen", Transport::Tcp, rtsps)));
    all
}

/// Puts a free port in place of each 0.
pub(super) fn fill(mut listens: Listens) -> Result<Listens> {
    let mut given = Vec::new();
    for (setting, transport, address) in each(&mut listens) {
        if address.port() == 0 {
            let free = |port: &u16| {
                !given.contains(port) && bind(SocketAddr::new(address.ip(), *port), transport).is_ok()
            };
            let tries = (0..500).map(|_| rand::rng().random_range(FREE)).find(free);
            let port = tries.ok_or_else(|| {
                Error::new(
                    ErrorKind::Config,
                    format!("{setting}: no free port was found on {}", address.ip()),
                )
            })?;
            address.set_port(port);
        }
        given.push(address.port());
    }
    Ok(listens)
}

/// Whether a failed start may be the fault of a port that was left to us and is gone again.
pub(super) fn may_be_at_fault(mut listens: Listens, e: &Error) -> bool {
    let named = e.data().get("port").and_then(serde_json::Value::as_u64);
    let mut given: Vec<_> = each(&mut listens).into_iter().map(|(_, _, a)| u64::from(a.port())).collect();
    given.sort_unstable();
    given[0] == 0 && (named.is_some_and(|p| !given.contains(&p)) || e.data().contains_key("exit"))
}

/// Complains about the first address that cannot be listened on. Waits up to `patience` for a port
/// to become free: a MediaMTX that dies with its daemon may hold its ports for some milliseconds.
pub(super) async fn check(mut listens: Listens, patience: Duration) -> Result<()> {
    let deadline = Mono::now() + patience;
    loop {
        let failed = each(&mut listens)
            .into_iter()
            .find_map(|(setting, t, a)| bind(*a, t).err().map(|e| (setting, *a, e)));
        let Some((setting, address, error)) = failed else { return Ok(()) };
        if Mono::now() >= deadline || error.kind() != io::ErrorKind::AddrInUse {
            return Err(complaint(setting, address, error));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn complaint(setting: &str, address: SocketAddr, error: io::Error) -> Error {
    let port = address.port();
    let text = match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "port {port} ({setting}) is already in use; stop the program that uses it or set another port (0 takes a free one)"
        ),
        io::ErrorKind::PermissionDenied => {
            format!("port {port} ({setting}) may not be used by this user; set one above 1023")
        }
        io::ErrorKind::AddrNotAvailable => {
            format!("{} ({setting}) is not an address of this machine", address.ip())
        }
        kind => format!("{address} ({setting}) cannot be listened on ({kind})"),
    };
    Error::dependency("mediamtx", text).with("setting", setting).with("port", port).caused_by(error)
}

fn bind(address: SocketAddr, transport: Transport) -> io::Result<()> {
    let attempt = |a| match transport {
        Transport::Tcp => TcpListener::bind(a).map(drop),
        Transport::UdpAndTcp => UdpSocket::bind(a).and_then(|_udp| TcpListener::bind(a)).map(drop),
    };
    // As Go does it.
    attempt(address).or_else(|e| attempt(peer::without_ipv6(address, &e).ok_or(e)?))
}

/// The address to reach a listener of this machine at.
pub(super) fn reach(listen: SocketAddr) -> SocketAddr {
    if listen.ip().is_unspecified() {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), listen.port())
    } else {
        listen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(address: &str) -> Listens {
        let a = address.parse().unwrap();
        Listens { rtsp: a, rtsps: Some(a), hls: a, webrtc: a, webrtc_udp: a, api: a }
    }

    #[test]
    fn zero_becomes_a_port_of_its_own() {
        let mut filled = fill(all("127.0.0.1:0")).unwrap();
        let mut ports: Vec<_> = each(&mut filled).into_iter().map(|(_, _, a)| a.port()).collect();
        assert!(ports.iter().all(|p| FREE.contains(p)), "{ports:?}");
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 6);
    }

    #[tokio::test]
    async fn a_taken_port_is_named_with_its_setting() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut listens = fill(all("127.0.0.1:0")).unwrap();
        listens.hls = taken.local_addr().unwrap();
        let e = check(listens, Duration::ZERO).await.unwrap_err();
        assert!(e.message().contains("mediamtx.hls_listen"), "{e}");
        assert!(e.message().contains(&listens.hls.port().to_string()), "{e}");
    }

    #[test]
    fn only_ports_left_to_us_are_chosen_again() {
        let failed = |port: u16| {
            complaint("x", SocketAddr::from(([127, 0, 0, 1], port)), io::ErrorKind::AddrInUse.into())
        };
        let mut listens = all("127.0.0.1:0");
        listens.rtsp.set_port(8554);
        assert!(!may_be_at_fault(listens, &failed(8554)));
        assert!(may_be_at_fault(listens, &failed(20123)));
        assert!(!may_be_at_fault(listens, &Error::dependency("mediamtx", "another version")));
        assert!(!may_be_at_fault(all("127.0.0.1:1"), &failed(20123)));
    }

    #[tokio::test]
    async fn a_port_that_becomes_free_in_time_is_waited_for() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut listens = fill(all("127.0.0.1:0")).unwrap();
        listens.api = taken.local_addr().unwrap();
        let waiting = check(listens, Duration::from_secs(20));
        tokio::pin!(waiting);
        assert!(futures_util::poll!(&mut waiting).is_pending());
        drop(taken);
        waiting.await.unwrap();
    }
}
