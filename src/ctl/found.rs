//! What strangers on the network say of themselves, made fit to be shown: bounded, and without a control character.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

/// Boxes that are listed; what comes after them is counted only.
pub(super) const MOST: usize = 64;
/// Addresses that are kept of each.
const MOST_ADDRESSES: usize = 8;
/// Characters of a host name.
const MOST_NAME: usize = 63;

/// A box as it announces itself. Nothing of it is proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Announced {
    /// Its host name, such as `fieldcam-1a2b.local`.
    pub host: String,
    /// Those that lie in a network of this machine first, of these IPv4 first.
    pub addresses: Vec<Address>,
    /// The API's port.
    pub port: u16,
    /// It says that it speaks TLS.
    pub tls: bool,
}

/// Where a box says that it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Address {
    /// The address itself.
    pub ip: IpAddr,
    /// This machine's interface at which it was heard, where the address means nothing without one.
    pub zone: Option<String>,
}

impl Address {
    /// Heard at `interface`, if that is known.
    pub fn new(ip: IpAddr, interface: Option<&str>) -> Self {
        let local = matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
        Self { ip, zone: interface.filter(|name| local && !name.is_empty()).map(str::to_owned) }
    }
}

impl fmt::Display for Address {
    /// As `--host` takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.zone {
            Some(zone) => write!(f, "{}%{zone}", self.ip),
            None => self.ip.fmt(f),
        }
    }
}

/// The boxes heard of so far, each by the name of its service.
#[derive(Debug, Default)]
pub(super) struct Heard {
    boxes: BTreeMap<String, Announced>,
    /// Those for which there was no room.
    passed_over: u64,
}

impl Heard {
    /// A box has said this, in place of what it said before.
    pub fn put(&mut self, service: &str, told: Announced) {
        if self.boxes.len() < MOST || self.boxes.contains_key(service) {
            self.boxes.insert(service.to_owned(), told);
        } else {
            self.passed_over += 1;
        }
    }

    /// A box has said good-bye.
    pub fn remove(&mut self, service: &str) {
        self.boxes.remove(service);
    }

    /// In the order of their services' names; and how often there was no room.
    pub fn into_boxes(self) -> (Vec<Announced>, u64) {
        (self.boxes.into_values().collect(), self.passed_over)
    }
}

impl Announced {
    /// `near`: whether an address lies in a network of this machine.
    pub fn new(
        host: &str,
        addresses: impl Iterator<Item = Address>,
        port: u16,
        tls: bool,
        near: impl Fn(IpAddr) -> bool,
    ) -> Self {
        let mut addresses: Vec<_> = addresses.collect();
        addresses.sort_by_cached_key(|address| (!near(address.ip), address.ip.is_ipv6(), address.clone()));
        addresses.dedup();
        addresses.truncate(MOST_ADDRESSES);
        Self { host: plain(host.strip_suffix('.').unwrap_or(host), MOST_NAME), addresses, port, tls }
    }
}

/// `text` with at most `most` characters of its own, and what could move the cursor, colour the screen or turn the
/// direction of writing shown as its escape.
pub(super) fn plain(text: &str, most: usize) -> String {
    let mut shown = String::new();
    for (at, c) in text.chars().enumerate() {
        if at == most {
            shown.push('…');
            break;
        }
        match c {
            '\'' | '"' => shown.push(c),
            c => shown.extend(c.escape_debug()),
        }
    }
    shown
}

/// Whether `address` lies in one of these networks, each an address of this machine with its mask.
pub(super) fn lies_near(address: IpAddr, networks: &[(IpAddr, IpAddr)]) -> bool {
    networks.iter().any(|(own, mask)| same_network(address, *own, *mask))
}

/// Whether `address` lies in the network of `own` with `mask`. An address alone is no network.
fn same_network(address: IpAddr, own: IpAddr, mask: IpAddr) -> bool {
    match (address, own, mask) {
        (IpAddr::V4(address), IpAddr::V4(own), IpAddr::V4(mask)) => {
            let [address, own, mask] = [address, own, mask].map(u32::from);
            mask != 0 && address & mask == own & mask
        }
        (IpAddr::V6(address), IpAddr::V6(own), IpAddr::V6(mask)) => {
            let [address, own, mask] = [address, own, mask].map(u128::from);
            mask != 0 && address & mask == own & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn announced(host: &str, addresses: &[&str]) -> Announced {
        let near = |address| same_network(address, ip("192.0.2.9"), ip("255.255.255.0"));
        let addresses = addresses.iter().map(|a| Address::new(ip(a), Some("eth0")));
        Announced::new(host, addresses, 8002, true, near)
    }

    #[test]
    fn the_address_that_is_worth_trying_stands_first() {
        let told = announced("fieldcam-1a2b.local.", &["fe80::1", "198.51.100.7", "192.0.2.7", "192.0.2.7"]);
        assert_eq!(told.host, "fieldcam-1a2b.local");
        let shown: Vec<_> = told.addresses.iter().map(Address::to_string).collect();
        assert_eq!(shown, ["192.0.2.7", "198.51.100.7", "fe80::1%eth0"]);
        let many: Vec<_> = (0..200).map(|n| format!("192.0.2.{n}")).collect();
        assert_eq!(announced("x", &many.iter().map(String::as_str).collect::<Vec<_>>()).addresses.len(), 8);
    }

    #[test]
    fn a_network_is_where_the_mask_says() {
        assert!(same_network(ip("192.0.2.1"), ip("192.0.2.9"), ip("255.255.255.0")));
        assert!(!same_network(ip("192.0.3.1"), ip("192.0.2.9"), ip("255.255.255.0")));
        assert!(same_network(ip("fe80::1"), ip("fe80::2"), ip("ffff:ffff:ffff:ffff::")));
        assert!(!same_network(ip("192.0.3.1"), ip("192.0.2.9"), ip("0.0.0.0")), "everything is no network");
        assert!(!same_network(ip("fe80::1"), ip("192.0.2.9"), ip("255.255.255.0")));
    }

    #[test]
    fn what_would_command_a_terminal_is_shown() {
        assert_eq!(plain("Küche's \"box\"", 63), "Küche's \"box\"");
        assert_eq!(plain("a\u{1b}[2J\r\nb\u{9b}c\u{202e}", 63), "a\\u{1b}[2J\\r\\nb\\u{9b}c\\u{202e}");
        assert_eq!(plain(&"x".repeat(100), 3), "xxx…");
    }

    #[test]
    fn a_crowd_is_counted_and_those_known_may_speak_again() {
        let mut heard = Heard::default();
        for n in 0..100 {
            heard.put(&format!("{n:03}"), announced("x", &[]));
        }
        heard.put("005", announced("y", &[]));
        heard.remove("006");
        let (boxes, passed_over) = heard.into_boxes();
        assert_eq!((boxes.len(), passed_over), (MOST - 1, 36));
        assert_eq!(boxes[5].host, "y");
    }

    proptest! {
        #[test]
        fn no_text_leaves_a_control_character(text in ".*") {
            let shown = plain(&text, 63);
            prop_assert!(!shown.chars().any(char::is_control));
            prop_assert!(shown.chars().count() <= 63 * 10 + 1);
        }
    }
}
