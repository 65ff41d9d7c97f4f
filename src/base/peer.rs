//! Addresses: who counts as one, of those who connect, and what a listener falls back to.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The address that a peer is counted by: of IPv6 the network of 64 bits, as one host has as many addresses there as it
/// likes (RFC 8981); IPv4 within IPv6 is IPv4.
pub fn counted(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Where to listen instead of "every address", when `error` says that the kernel has no IPv6; none: it says something else.
pub fn without_ipv6(address: SocketAddr, error: &io::Error) -> Option<SocketAddr> {
    let lacks = error.raw_os_error() == Some(nix::libc::EAFNOSUPPORT) && address.ip().is_unspecified();
    lacks.then(|| SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_that_of_ipv4_where_there_is_no_ipv6() {
        let fallback = |address: &str, number| {
            without_ipv6(address.parse().unwrap(), &io::Error::from_raw_os_error(number))
                .map(|a| a.to_string())
        };
        assert_eq!(fallback("[::]:8002", nix::libc::EAFNOSUPPORT).as_deref(), Some("0.0.0.0:8002"));
        assert_eq!(fallback("[::]:8002", nix::libc::EADDRINUSE), None);
        assert_eq!(fallback("[2001:db8::1]:8002", nix::libc::EAFNOSUPPORT), None, "that one was meant");
    }

    #[test]
    fn a_host_is_one_whatever_address_it_takes() {
        let counted = |text: &str| counted(text.parse().unwrap()).to_string();
        assert_eq!(counted("2001:db8::1:2:3:4"), "2001:db8::");
        assert_eq!(counted("2001:db8::ffff"), counted("2001:db8::1"));
        assert_ne!(counted("2001:db8:0:1::1"), counted("2001:db8::1"));
        assert_eq!(counted("::ffff:192.0.2.7"), "192.0.2.7");
        assert_ne!(counted("192.0.2.7"), counted("192.0.2.8"));
    }
}
