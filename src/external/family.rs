//! Kinds of streams and where each is usually found.

use crate::config::{HostEntry, Range};

/// Hosts beyond this are not looked at in one search.
pub(super) const HOSTS_MAX: usize = 256;

/// One kind.
#[derive(Debug)]
pub(super) struct Family {
    /// `type` in replies.
    pub kind: &'static str,
    pub source: &'static str,
    pub format: &'static str,
    /// Ports that are tried where the configuration names none.
    pub ports: &'static [u16],
    /// Path, `stream_type`, name for people.
    pub paths: &'static [(&'static str, &'static str, &'static str)],
}

impl Family {
    /// The one that a stream of this kind belongs to.
    pub(super) fn of(kind: &str) -> &'static Family {
        if kind.starts_with("skydio") { &SKYDIO } else { &GENERIC }
    }

    /// What is usually found at `path`.
    pub(super) fn stream_type(&self, path: &str) -> &'static str {
        self.paths.iter().find(|(usual, ..)| *usual == path).map_or("main", |(_, stream_type, _)| stream_type)
    }
}

/// Drones of Skydio: X2 and X10 serve their visible and thermal cameras at these ports and paths.
pub(super) const SKYDIO: Family = Family {
    kind: "skydio_stanag4609",
    source: "skydio_uav",
    format: "stanag4609",
    ports: &[5554, 6554, 554],
    paths: &[("/subject", "eo", "Skydio EO"), ("/infrared", "ir", "Skydio IR")],
};

/// What makers of cameras use most.
pub(super) const GENERIC: Family = Family {
    kind: "generic_rtsp",
    source: "generic",
    format: "rtp",
    ports: &[554, 8554],
    paths: &[
        ("/", "main", "Network stream"),
        ("/live", "main", "Network stream"),
        ("/stream1", "main", "Network stream"),
        ("/stream", "main", "Network stream"),
        ("/live/main", "main", "Network stream"),
        ("/h264", "main", "Network stream"),
        ("/Streaming/Channels/101", "main", "Network stream"),
        ("/cam/realmonitor?channel=1&subtype=0", "main", "Network stream"),
        ("/axis-media/media.amp", "main", "Network stream"),
        ("/video1", "main", "Network stream"),
    ],
};

/// Where Skydio's controller and dock put the drone.
const SKYDIO_HOST: &str = "192.168.42.10";

/// A server to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub host: String,
    pub port: u16,
    /// The configuration names this very host, not a range around it.
    pub named: bool,
}

/// The servers to be asked for `family`. Ranges count up to [`HOSTS_MAX`] hosts in all; answers whether some
/// were left out.
pub(super) fn targets(family: &Family, allowed: &[HostEntry]) -> (Vec<Target>, bool) {
    let mut all = Vec::new();
    let mut hosts = 0;
    let mut left_out = false;
    let mut add = |host: String, port: Option<u16>, named: bool| {
        let one = port.map(|port| vec![port]).unwrap_or_else(|| family.ports.to_vec());
        for port in one {
            if !all.iter().any(|t: &Target| t.host == host && t.port == port) {
                all.push(Target { host: host.clone(), port, named });
            }
        }
    };
    for entry in allowed {
        let found: Vec<String> = match &entry.range {
            Range::Name(name) => vec![name.clone()],
            range => addresses(range, HOSTS_MAX + 1),
        };
        let named = found.len() == 1;
        for host in found {
            if hosts == HOSTS_MAX {
                left_out = true;
                break;
            }
            hosts += 1;
            add(host, entry.port, named);
        }
    }
    if allowed.is_empty() && family.kind == SKYDIO.kind {
        add(SKYDIO_HOST.to_owned(), None, false);
    }
    (all, left_out)
}

/// The first addresses of a range, network and broadcast left out of wider ones.
fn addresses(range: &Range, most: usize) -> Vec<String> {
    let Range::Net { base, bits } = range else { return Vec::new() };
    match base {
        _ if range.single().is_some() => vec![base.to_string()],
        std::net::IpAddr::V4(base) => {
            let size = 1u64 << (32 - u32::from(*bits).min(32));
            let first = u64::from(base.to_bits()) & !(size - 1);
            let (low, high) = if size > 2 { (first + 1, first + size - 1) } else { (first, first + size) };
            (low..high)
                .take(most)
                .filter_map(|n| u32::try_from(n).ok())
                .map(|n| std::net::Ipv4Addr::from_bits(n).to_string())
                .collect()
        }
        // Nobody can look through a network of IPv6.
        std::net::IpAddr::V6(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(allowed: &[&str]) -> (Vec<Target>, bool) {
        targets(&GENERIC, &allowed.iter().map(|e| e.parse().unwrap()).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_configured_is_asked_and_nothing_else() {
        let target = |host: &str, port| Target { host: host.into(), port, named: true };
        let in_range = |host: &str, port| Target { named: false, ..target(host, port) };
        assert_eq!(asked(&[]), (vec![], false));
        assert_eq!(asked(&["gate.local:7"]).0, [target("gate.local", 7)]);
        assert_eq!(asked(&["10.0.0.7"]).0, [target("10.0.0.7", 554), target("10.0.0.7", 8554)]);
        assert_eq!(asked(&["10.0.0.0/30:5"]).0, [in_range("10.0.0.1", 5), in_range("10.0.0.2", 5)]);
        assert_eq!(asked(&["10.0.0.0/31:5"]).0.len(), 2);
        assert_eq!(targets(&SKYDIO, &[]).0[0], in_range(SKYDIO_HOST, 5554));
    }

    #[test]
    fn a_wide_range_is_cut_and_that_is_told() {
        for wide in ["10.0.0.0/8:5", "0.0.0.0/0:5", "255.255.0.0/16:5"] {
            let (all, left_out) = asked(&[wide]);
            assert_eq!((all.len(), left_out), (HOSTS_MAX, true), "{wide}");
        }
        assert!(asked(&["[::/0]:5"]).0.is_empty());
    }
}
