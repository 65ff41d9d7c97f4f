//! Which address may be connected to, as pure code.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use crate::base::Error;
use crate::config::{HostEntry, Range};

/// Where clouds answer whoever asks from inside with the keys of the machine: AWS, Azure, Google and most
/// others (169.254.169.254, fd00:ec2::254, fd20:ce::254), Azure's second one, Alibaba, Oracle.
const METADATA: [IpAddr; 6] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// Why a host is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is neither a name nor an address.
    Unreadable,
    /// This machine by its loopback.
    Loopback,
    /// A cloud's metadata service.
    Metadata,
    /// This machine by an address of its own.
    Itself,
    /// No single host: 0.0.0.0, broadcast, multicast.
    NoHost,
    /// `discovery.allowed_hosts` names others.
    NotListed,
}

impl Refusal {
    /// What must be otherwise, for a person.
    pub const fn rule(self) -> &'static str {
        match self {
            Refusal::Unreadable => "must name its host by a plain name or address",
            Refusal::Loopback => "must not lead to the box's loopback",
            Refusal::Metadata => "must not lead to a metadata service",
            Refusal::Itself => "must not lead to the box itself",
            Refusal::NoHost => "must lead to one host",
            Refusal::NotListed => "must lead to a host in discovery.allowed_hosts",
        }
    }

    const fn hint(self) -> &'static str {
        match self {
            Refusal::Unreadable | Refusal::NoHost => {
                "write it like rtsp://192.168.1.20/stream1 or rtsp://camera.local/stream1"
            }
            Refusal::Loopback | Refusal::Metadata | Refusal::Itself => {
                "give the camera's own address; an administrator may name this one in discovery.allowed_hosts"
            }
            Refusal::NotListed => "ask an administrator to add the host to discovery.allowed_hosts",
        }
    }

    /// As clients read it.
    pub fn error(self) -> Error {
        Error::param("stream_url", self.rule(), self.hint()).with("suggestion", self.hint())
    }
}

/// What holds at one moment.
#[derive(Clone, Debug)]
pub struct Policy {
    allowed: Arc<[HostEntry]>,
    own: Vec<IpAddr>,
}

impl Policy {
    /// `own` are the box's addresses.
    pub fn new(allowed: Arc<[HostEntry]>, own: Vec<IpAddr>) -> Self {
        Self { allowed, own }
    }

    /// Whether a name may be looked up at all: not one that can never pass.
    pub fn judge_name(&self, name: &str, port: u16) -> Result<(), Refusal> {
        if name == "localhost" || name.ends_with(".localhost") {
            // Whatever the name server says: this name means the box.
            let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
            return self.judge(Some(name), loopback, port);
        }
        let could = |entry: &HostEntry| match &entry.range {
            Range::Name(listed) => listed == name,
            Range::Net { .. } => true,
        };
        let listed = self.for_port(port).any(could);
        if self.allowed.is_empty() || listed { Ok(()) } else { Err(Refusal::NotListed) }
    }

    /// Whether `address`, in its plain form and found by `name` if it was, may be connected to.
    pub fn judge(&self, name: Option<&str>, address: IpAddr, port: u16) -> Result<(), Refusal> {
        let special = self.special(address);
        if special == Some(Refusal::NoHost) {
            return Err(Refusal::NoHost);
        }
        let entries = || self.for_port(port);
        let exact = entries().any(|e| e.range.single() == Some(address));
        if let Some(refusal) = special {
            // A name never opens these, nor does a range that merely holds them: only who wrote the
            // address, or a part of the loopback, meant it.
            let inside = |e: &HostEntry| e.range.holds(address) && is_within_loopback(&e.range);
            let meant = exact || refusal == Refusal::Loopback && entries().any(inside);
            return if meant { Ok(()) } else { Err(refusal) };
        }
        let listed = |e: &HostEntry| match &e.range {
            Range::Name(listed) => Some(listed.as_str()) == name,
            range => range.holds(address),
        };
        if self.allowed.is_empty() || entries().any(listed) { Ok(()) } else { Err(Refusal::NotListed) }
    }

    fn for_port(&self, port: u16) -> impl Iterator<Item = &HostEntry> {
        self.allowed.iter().filter(move |entry| entry.port.is_none_or(|only| only == port))
    }

    /// What is refused unless it was meant.
    fn special(&self, address: IpAddr) -> Option<Refusal> {
        let no_host = match address {
            // All of 0.0.0.0/8 is "this host"; Linux takes 0.0.0.0 for the loopback.
            IpAddr::V4(a) => a.octets()[0] == 0 || a.is_multicast() || a.octets()[0] >= 240,
            IpAddr::V6(a) => a.is_unspecified() || a.is_multicast(),
        };
        if no_host {
            Some(Refusal::NoHost)
        } else if address.is_loopback() {
            Some(Refusal::Loopback)
        } else if METADATA.contains(&address) {
            Some(Refusal::Metadata)
        } else if self.own.contains(&address) {
            Some(Refusal::Itself)
        } else {
            None
        }
    }
}

fn is_within_loopback(range: &Range) -> bool {
    matches!(range, Range::Net { base, bits } if base.is_loopback() && (base.is_ipv6() && *bits == 128 || base.is_ipv4() && *bits >= 8))
}
