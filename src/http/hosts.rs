//! Which `Host` and `Origin` may talk to us (contract.md, "Transport"): decided from the texts alone.
//!
//! A page of a hostile site can make a browser resolve the site's own name to the box's address; its
//! requests then carry that name as `Host`, which is refused here.

use std::net::IpAddr;

/// The names that are the box's own.
#[derive(Clone, Debug, Default)]
pub(super) struct Hosts {
    names: Vec<String>,
    /// As `http://host[:port]`, lower case.
    origins: Vec<String>,
}

/// `Host` taken apart: a name or address, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Authority {
    /// Lower case; IPv6 in brackets.
    pub(super) host: String,
    pub(super) port: Option<u16>,
}

impl Hosts {
    /// `hostname` as the machine knows it; the hosts of `origins` are the box's names too, since
    /// their pages are served under them.
    pub(super) fn new(hostname: &str, origins: &[String]) -> Self {
        let origins: Vec<String> = origins.iter().map(|o| o.trim_end_matches('/').to_lowercase()).collect();
        let configured = origins.iter().filter_map(|o| Some(authority(o.split_once("://")?.1)?.host));
        let names = std::iter::once(hostname.to_lowercase())
            .filter(|name| !name.is_empty())
            .chain(configured)
            .collect();
        Self { names, origins }
    }

    /// The host, if it is one of ours.
    pub(super) fn check(&self, host: &str) -> Option<Authority> {
        let authority = authority(host)?;
        let name = authority.host.trim_end_matches('.');
        let ours = is_address(name)
            || name == "localhost"
            || name.ends_with(".localhost")
            || name.strip_suffix(".local").is_some_and(|n| !n.is_empty())
            || self.names.iter().any(|n| n == name);
        ours.then_some(authority)
    }

    /// Whether a page from `origin` may talk to us, who were reached as `host`.
    pub(super) fn allows_origin(&self, origin: &str, host: &Authority) -> bool {
        let origin = origin.to_lowercase();
        if self.origins.contains(&origin) {
            return true;
        }
        let Some((scheme, rest)) = origin.split_once("://") else { return false };
        let usual = match scheme {
            "http" => 80,
            "https" => 443,
            _ => return false,
        };
        authority(rest)
            .is_some_and(|o| o.host == host.host && o.port.unwrap_or(usual) == host.port.unwrap_or(usual))
    }
}

fn authority(text: &str) -> Option<Authority> {
    let text = text.to_ascii_lowercase();
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (inner, rest) = rest.split_once(']')?;
            inner.parse::<std::net::Ipv6Addr>().ok()?;
            (format!("[{inner}]"), rest.strip_prefix(':').or(rest.is_empty().then_some("")))
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host.to_owned(), Some(port)),
            None => (text.clone(), Some("")),
        },
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    let named = host.starts_with('[') || (!host.is_empty() && host.len() <= 253 && host.bytes().all(plain));
    let port = match port? {
        "" => None,
        digits if digits.bytes().all(|b| b.is_ascii_digit()) => Some(digits.parse().ok()?),
        _ => return None,
    };
    named.then_some(Authority { host, port })
}

fn is_address(host: &str) -> bool {
    host.starts_with('[') || host.parse::<IpAddr>().is_ok()
}

/// How URLs name an address: IPv6 in brackets, IPv4 in IPv6 as IPv4.
pub(super) fn host_of(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hosts() -> Hosts {
        Hosts::new("Box7", &["https://View.example:8443/".into(), "http://kiosk".into()])
    }

    fn host(text: &str) -> Option<String> {
        hosts().check(text).map(|a| a.host)
    }

    #[test]
    fn our_own_names_and_addresses_are_taken() {
        for (text, want) in [
            ("192.168.1.5:8002", "192.168.1.5"),
            ("10.0.0.1", "10.0.0.1"),
            ("[fe80::1]:8002", "[fe80::1]"),
            ("[::1]", "[::1]"),
            ("localhost:8002", "localhost"),
            ("LOCALHOST", "localhost"),
            ("box7:8002", "box7"),
            ("box7.local:8002", "box7.local"),
            ("other-name.local", "other-name.local"),
            ("view.example:8443", "view.example"),
            ("kiosk", "kiosk"),
        ] {
            assert_eq!(host(text).as_deref(), Some(want), "{text}");
        }
    }

    #[test]
    fn foreign_and_broken_ones_are_not() {
        for text in [
            "evil.example",
            "evil.example:8002",
            "box7.evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            ".local",
            "local",
            "",
            ":8002",
            "[::1",
            "[evil]:80",
            "::1",
            "localhost:80:80",
            "localhost:port",
            "localhost:99999",
            "local host",
            "user@localhost",
            "localhost/",
            "0x7f000001",
            "[::1]evil.example",
        ] {
            assert_eq!(host(text), None, "{text}");
        }
    }

    #[test]
    fn origins_are_the_same_or_configured() {
        let reached = hosts().check("box7.local:8002").unwrap();
        for origin in
            ["http://box7.local:8002", "HTTP://BOX7.local:8002", "https://view.example:8443", "http://kiosk"]
        {
            assert!(hosts().allows_origin(origin, &reached), "{origin}");
        }
        for origin in
            ["null", "http://box7.local", "http://evil.example:8002", "ws://box7.local:8002", "", "http://"]
        {
            assert!(!hosts().allows_origin(origin, &reached), "{origin}");
        }
        let plain = hosts().check("box7.local").unwrap();
        assert!(hosts().allows_origin("http://box7.local:80", &plain));
        assert!(hosts().allows_origin("https://box7.local", &plain));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,60}", origin in ".{0,60}") {
            if let Some(authority) = hosts().check(&text) {
                hosts().allows_origin(&origin, &authority);
            }
        }

        #[test]
        fn every_address_comes_back_as_ours(bits in any::<u128>(), v4 in any::<u32>()) {
            for address in [IpAddr::from(std::net::Ipv6Addr::from(bits)), IpAddr::from(std::net::Ipv4Addr::from(v4))] {
                let text = host_of(address);
                prop_assert_eq!(host(&format!("{text}:8002")), Some(text));
            }
        }
    }
}
