//! How a host is written: every form that some resolver takes for an address becomes that address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::policy::Refusal;

/// A host in its one plain form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A name to be looked up, in lower case and without a dot at its end.
    Name(String),
    /// An address; IPv4 in whatever disguise is IPv4 here.
    Address(IpAddr),
}

/// Reads the host of a URL, brackets around IPv6 or not.
///
/// Refuses what is neither: percent signs, letters beyond ASCII, and names whose last part is a number
/// without the whole being an address. Those are what one program takes for an address and another not.
pub fn read_host(text: &str) -> Result<Host, Refusal> {
    let inner = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    if inner.contains(':') {
        let address: Ipv6Addr = inner.parse().map_err(|_| Refusal::Unreadable)?;
        return Ok(Host::Address(plain(address.into())));
    }
    let name = inner.strip_suffix('.').unwrap_or(inner).to_ascii_lowercase();
    let last = name.rsplit('.').next().unwrap_or_default();
    let numeric = last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x");
    if numeric {
        return four(&name).map(|a| Host::Address(a.into())).ok_or(Refusal::Unreadable);
    }
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && !l.starts_with('-')
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    if name.len() <= 253 && name.split('.').all(label) {
        Ok(Host::Name(name))
    } else {
        Err(Refusal::Unreadable)
    }
}

/// IPv4 as `inet_aton` reads it: one to four parts, decimal, octal or hexadecimal, the last of which fills
/// what is left.
fn four(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<&str> = text.split('.').collect();
    let (last, first) = parts.split_last()?;
    if first.len() > 3 {
        return None;
    }
    let mut bits: u32 = 0;
    for part in first {
        bits = bits << 8 | u32::from(u8::try_from(number(part)?).ok()?);
    }
    let left = 8 * (4 - first.len() as u32);
    let last = number(last)?;
    if u64::from(last) >= 1 << left {
        return None;
    }
    Some(Ipv4Addr::from_bits(bits.checked_shl(left).unwrap_or(0) | last))
}

fn number(text: &str) -> Option<u32> {
    let (digits, radix) = match text.strip_prefix("0x") {
        // `0x` alone is zero to inet_aton.
        Some("") => return Some(0),
        Some(hex) => (hex, 16),
        None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        None => (text, 10),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    u32::from_str_radix(digits, radix).ok()
}

/// The address that is really meant: IPv6 forms that carry an IPv4 address are that one. These are
/// mapped (::ffff:0:0/96), compatible (::/96), NAT64 (64:ff9b::/96) and 6to4 (2002::/16).
pub(super) fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(six) = address else { return address };
    let s = six.segments();
    let low = || Ipv4Addr::from_bits(u32::from(s[6]) << 16 | u32::from(s[7]));
    match s {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => address,
        [0, 0, 0, 0, 0, 0 | 0xffff, _, _]
        | [0, 0, 0, 0, 0xffff, 0, _, _]
        | [0x64, 0xff9b, 0, 0, 0, 0, _, _] => low().into(),
        [0x2002, high, second, ..] => Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(second)).into(),
        _ => address,
    }
}
