//! The names and addresses that a certificate of the box's own is for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nix::ifaddrs::getifaddrs;

/// At most so many addresses: a box that routes may have thousands.
const ADDRESSES: usize = 32;

/// What a certificate says it is for.
pub(super) struct Names {
    /// The box's own first.
    pub dns: Vec<String>,
    pub addresses: Vec<IpAddr>,
}

/// What this machine calls itself now. Names and addresses may change later: clients that know the
/// fingerprint do not mind.
pub(super) fn own_names() -> Names {
    let found = getifaddrs().into_iter().flatten().filter_map(|i| {
        let address = i.address?;
        let v4 = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))
    });
    Names { dns: dns_names(&crate::machine::host_name()), addresses: addresses(found) }
}

fn dns_names(hostname: &str) -> Vec<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let label = |l: &str| (1..=63).contains(&l.len()) && l.bytes().all(plain);
    let hostname = hostname.to_ascii_lowercase();
    let usable = hostname.len() <= 240 && hostname.split('.').all(label) && hostname != "localhost";
    let mut names = Vec::new();
    if usable {
        let first = hostname.split('.').next().unwrap_or_default().to_owned();
        if first != hostname {
            names.push(hostname);
        }
        names.push(format!("{first}.local"));
        names.insert(0, first);
    }
    names.push("localhost".into());
    names
}

fn addresses(found: impl IntoIterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut all = vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    for address in found {
        // One that means nothing without an interface cannot stand in a certificate.
        let local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
        if !local && !address.is_unspecified() && !all.contains(&address) && all.len() < ADDRESSES {
            all.push(address);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_box_goes_by_its_name_in_the_local_network_too() {
        assert_eq!(dns_names("Box7"), ["box7", "box7.local", "localhost"]);
        assert_eq!(dns_names("box7.example.org"), ["box7", "box7.example.org", "box7.local", "localhost"]);
        for useless in ["", "localhost", "a_b", "a b", "ä", ".", "a..b", &"a".repeat(64)] {
            assert_eq!(dns_names(useless), ["localhost"], "{useless:?}");
        }
    }

    #[test]
    fn addresses_stand_once_and_without_those_of_one_link() {
        let found = ["192.0.2.1", "127.0.0.1", "fe80::1", "fd00::2", "192.0.2.1", "0.0.0.0"];
        let all = addresses(found.map(|a| a.parse().unwrap()));
        let shown: Vec<_> = all.iter().map(IpAddr::to_string).collect();
        assert_eq!(shown, ["127.0.0.1", "::1", "192.0.2.1", "fd00::2"]);
        assert_eq!(addresses((0..100u8).map(|n| IpAddr::from([10, 0, 0, n]))).len(), ADDRESSES);
        assert!(own_names().addresses.len() >= 2);
    }

    proptest! {
        #[test]
        fn no_name_keeps_the_box_from_making_one(hostname in ".{0,80}") {
            for name in dns_names(&hostname) {
                prop_assert!(rcgen::CertificateParams::new(vec![name]).is_ok());
            }
        }
    }
}
