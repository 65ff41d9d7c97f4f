//! `discovery.allowed_hosts`: a name, an address or a range of addresses, each with or without a port.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use figment::value::Value;

use super::rule::{Fault, Rule, Shape, wrong_type};

/// Entries beyond this are a mistake.
const MOST: usize = 256;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostEntry {
    /// What it names.
    pub range: Range,
    /// The only port that it means; every one when there is none.
    pub port: Option<u16>,
}

/// What an entry names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Range {
    /// A host's name, in lower case and without a dot at its end.
    Name(String),
    /// Addresses that have the first `bits` bits in common; all of them is one address.
    Net {
        /// The first address.
        base: IpAddr,
        /// 0–32 or 0–128.
        bits: u8,
    },
}

impl Range {
    /// Whether `address` is one of it. IPv4 addresses are never in a range of IPv6 ones.
    pub fn holds(&self, address: IpAddr) -> bool {
        match (self, address) {
            (Range::Net { base: IpAddr::V4(base), bits }, IpAddr::V4(a)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(*bits)).unwrap_or(0);
                (a.to_bits() ^ base.to_bits()) & mask == 0
            }
            (Range::Net { base: IpAddr::V6(base), bits }, IpAddr::V6(a)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(*bits)).unwrap_or(0);
                (a.to_bits() ^ base.to_bits()) & mask == 0
            }
            _ => false,
        }
    }

    /// The address, when it is a single one.
    pub fn single(&self) -> Option<IpAddr> {
        match self {
            Range::Net { base, bits } if *bits == width(*base) => Some(*base),
            _ => None,
        }
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

impl fmt::Display for HostEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.range {
            Range::Name(name) => f.write_str(name)?,
            Range::Net { base, bits } => {
                let single = *bits == width(*base);
                match (base, self.port) {
                    (IpAddr::V6(base), Some(_)) if single => write!(f, "[{base}]")?,
                    (IpAddr::V6(base), Some(_)) => write!(f, "[{base}/{bits}]")?,
                    (base, _) if single => write!(f, "{base}")?,
                    (base, _) => write!(f, "{base}/{bits}")?,
                }
            }
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl FromStr for HostEntry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("holds {text:?}, which is no host");
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or_else(refused)?;
                let port =
                    if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or_else(refused)?) };
                (host, port)
            }
            None if text.matches(':').count() == 1 => {
                let (host, port) = text.split_once(':').ok_or_else(refused)?;
                (host, Some(port))
            }
            None => (text, None),
        };
        let port = match port {
            None => None,
            Some(port) => {
                let port = port.parse().ok().filter(|p| *p > 0);
                Some(port.ok_or_else(|| format!("holds {text:?}, whose port is none from 1 to 65535"))?)
            }
        };
        let range = match host.split_once('/') {
            Some((base, bits)) => {
                let base: IpAddr = base.parse().map_err(|_| refused())?;
                let bits = bits.parse().ok().filter(|b| *b <= width(base)).ok_or_else(refused)?;
                Range::Net { base, bits }
            }
            None => match host.parse::<IpAddr>() {
                Ok(base) => Range::Net { base, bits: width(base) },
                Err(_) => Range::Name(name(host).ok_or_else(refused)?),
            },
        };
        Ok(Self { range, port })
    }
}

/// A DNS name in lower case; nothing for what resolvers may take for an address written otherwise.
fn name(text: &str) -> Option<String> {
    let text = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && !l.starts_with('-')
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    let numeric = last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x");
    (text.len() <= 253 && !numeric && text.split('.').all(label)).then_some(text)
}

pub(super) fn host_entries() -> Rule<Vec<HostEntry>> {
    let wanted = "a list of names, addresses and ranges, each with or without a port, such as \
                  [\"192.168.1.0/24\", \"drone.local:5554\", \"[fd00::7]:554\"]";
    Rule::new(Shape::List, wanted, move |value| {
        let Value::Array(_, items) = value else { return Err(wrong_type(value, wanted)) };
        if items.len() > MOST {
            return Err(Fault::new(format!("has {} entries", items.len()), format!("write at most {MOST}")));
        }
        items
            .iter()
            .map(|item| {
                let Value::String(_, text) = item else { return Err(wrong_type(item, wanted)) };
                text.parse().map_err(|what: String| Fault::new(what, format!("write {wanted}")))
            })
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn entries_are_read_and_shown_alike() {
        for text in [
            "192.0.2.20",
            "192.0.2.20:8554",
            "192.168.1.0/24",
            "192.168.1.0/24:554",
            "fd00::7",
            "[fd00::7]:554",
            "fd00::/64",
            "[fd00::/64]:554",
            "drone.local",
            "drone.local:5554",
        ] {
            assert_eq!(text.parse::<HostEntry>().unwrap().to_string(), text);
        }
        assert_eq!("Drone.LOCAL.".parse::<HostEntry>().unwrap().to_string(), "drone.local");
        for bad in [
            "",
            ":554",
            "a b",
            "127.1",
            "0x7f000001",
            "2130706433",
            "10.0.0.0/33",
            "h:0",
            "h:x",
            "[::1",
            "h/8",
        ] {
            assert!(bad.parse::<HostEntry>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_range_holds_its_addresses_alone() {
        let holds = |entry: &str, address: &str| {
            entry.parse::<HostEntry>().unwrap().range.holds(address.parse().unwrap())
        };
        assert!(holds("192.168.1.0/24", "192.168.1.255"));
        assert!(!holds("192.168.1.0/24", "192.168.2.0"));
        assert!(holds("0.0.0.0/0", "8.8.8.8") && !holds("0.0.0.0/0", "::1"));
        assert!(holds("::/0", "fe80::1") && holds("fd00::/8", "fdff::1") && !holds("fd00::/8", "fe80::1"));
        assert!(holds("10.0.0.1", "10.0.0.1") && !holds("10.0.0.1", "10.0.0.2"));
    }

    proptest! {
        #[test]
        fn any_text_is_judged_without_panic(text in ".*") {
            if let Ok(entry) = text.parse::<HostEntry>() {
                prop_assert_eq!(entry.to_string().parse::<HostEntry>().unwrap(), entry);
            }
        }
    }
}
