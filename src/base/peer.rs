//! Who counts as one, of those who connect.

use std::net::IpAddr;

/// The address that a peer is counted by: of IPv6 the network of 64 bits, as one host has as many addresses there as it
/// likes (RFC 8981); IPv4 within IPv6 is IPv4.
pub fn counted(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
