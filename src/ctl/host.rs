//! Which box, and with which token.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;
use std::str::FromStr;

use crate::base::{Error, ErrorKind, Result, Secret};
use crate::tls::Fingerprint;

/// The port a box listens on unless it was configured otherwise.
const DEFAULT_PORT: u16 = 8002;

/// A box's address: name or IP address, and port; and what is wanted of the way there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    name: String,
    port: Option<u16>,
    scheme: Scheme,
    fingerprint: Option<Fingerprint>,
}

/// Whether TLS is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Where the box does.
    Auto,
    /// No.
    Plain,
    /// Yes, or nothing is said.
    Tls,
}

impl Host {
    /// This machine, on a port.
    pub fn local(port: Option<u16>) -> Host {
        Host { name: "127.0.0.1".into(), port, scheme: Scheme::Auto, fingerprint: None }
    }

    /// An address: an IP address, a link-local one of IPv6 with its zone (`fe80::1%eth0`).
    pub(super) fn at(address: &str, port: u16) -> Host {
        Host { name: address.to_owned(), port: Some(port), scheme: Scheme::Auto, fingerprint: None }
    }

    /// With the certificate that the box has to show.
    pub fn with_fingerprint(mut self, fingerprint: Fingerprint) -> Host {
        self.fingerprint = Some(fingerprint);
        self.speaking(Scheme::Tls)
    }

    /// The same box by another name or address.
    pub(super) fn named(&self, name: &str) -> Host {
        Host { name: name.to_owned(), ..self.clone() }
    }

    /// The same, as it is known to speak.
    pub(super) fn speaking(mut self, scheme: Scheme) -> Host {
        self.scheme = scheme;
        self
    }

    /// Whether TLS is spoken. What stays on this machine needs none, and a box takes it without.
    pub(super) fn scheme(&self) -> Scheme {
        if self.scheme == Scheme::Auto && self.is_loopback() { Scheme::Plain } else { self.scheme }
    }

    /// The certificate that it has to show.
    pub(super) fn fingerprint(&self) -> Option<Fingerprint> {
        self.fingerprint
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(DEFAULT_PORT)
    }

    /// The name or address without brackets, for connecting.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the box is told that it was reached by: without the zone, which means something on this machine alone
    /// (RFC 6874, section 4).
    pub(super) fn authority(&self) -> String {
        self.without_zone().map_or_else(|| self.to_string(), |address| self.named(&address).to_string())
    }

    /// An address that the box told, as it can be used on this machine: with the zone that the box was not told of.
    pub(super) fn zoned(&self, url: &str) -> String {
        self.without_zone().map_or_else(
            || url.to_owned(),
            |address| url.replacen(&format!("[{address}]"), &format!("[{}]", self.name), 1),
        )
    }

    /// Whether it is an address that only this machine can make something of (`fe80::1%eth0`).
    pub(super) fn has_zone(&self) -> bool {
        self.without_zone().is_some()
    }

    /// The address of one with a zone, as everybody writes it.
    fn without_zone(&self) -> Option<String> {
        let (address, _) = self.name.split_once('%')?;
        Some(address.parse::<Ipv6Addr>().ok()?.to_string())
    }

    /// Whether it is this very machine, so that this machine's own secret may be used for it.
    pub(super) fn is_loopback(&self) -> bool {
        self.name.eq_ignore_ascii_case("localhost")
            || self.name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

impl fmt::Display for Host {
    /// As it can be given to `--host`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.contains(':') {
            write!(f, "[{}]:{}", self.name, self.port())
        } else {
            write!(f, "{}:{}", self.name, self.port())
        }
    }
}

impl FromStr for Host {
    type Err = String;

    /// `box`, `box:8002`, `192.0.2.1`, `[2001:db8::1]:8002`, `2001:db8::1`, `fe80::1%eth0`, or the box's `http://` or
    /// `https://` URL.
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let complaint = || format!("{text:?} is not a host; write HOST or HOST:PORT");
        let schemes = [
            ("http://", Scheme::Plain),
            ("ws://", Scheme::Plain),
            ("https://", Scheme::Tls),
            ("wss://", Scheme::Tls),
        ];
        let found = schemes.iter().find_map(|(s, scheme)| Some((text.strip_prefix(s)?, *scheme)));
        let (rest, scheme) = found.unwrap_or((text, Scheme::Auto));
        let rest = rest.split('/').next().unwrap_or_default();
        let (name, port) = if let Some(inner) = rest.strip_prefix('[') {
            let (name, after) = inner.split_once(']').ok_or_else(complaint)?;
            if !is_ipv6(name) {
                return Err(complaint());
            }
            (name, if after.is_empty() { None } else { Some(after.strip_prefix(':').ok_or_else(complaint)?) })
        } else if is_ipv6(rest) {
            (rest, None)
        } else {
            rest.split_once(':').map_or((rest, None), |(n, p)| (n, Some(p)))
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':');
        if name.is_empty() || !(name.chars().all(plain) || is_ipv6(name)) {
            return Err(complaint());
        }
        let port = match port {
            Some(p) => Some(p.parse::<u16>().ok().filter(|p| *p != 0).ok_or_else(complaint)?),
            None => None,
        };
        Ok(Host { name: name.to_owned(), port, scheme, fingerprint: None })
    }
}

/// Whether `text` is an IPv6 address, with or without a zone: an interface's name or number (RFC 4007, section 11).
fn is_ipv6(text: &str) -> bool {
    let (address, zone) = text.split_once('%').map_or((text, None), |(address, zone)| (address, Some(zone)));
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '@');
    address.parse::<Ipv6Addr>().is_ok() && zone.is_none_or(|z| !z.is_empty() && z.chars().all(plain))
}

/// What this machine's own data directory offers, when it can be read.
pub struct Local {
    /// Where the running box listens (`run/endpoints.json`).
    pub port: Option<u16>,
    /// A token made with the box's secret.
    pub token: Option<Secret>,
}

/// Decides where to go and what to log in with: the token file, else FIELDCAM_TOKEN, else, for this
/// machine only, its own secret; no token: none of them.
pub fn token_for(
    host: Option<&Host>,
    token_file: Option<&Path>,
    local: impl FnOnce() -> Option<Local>,
) -> Result<(Host, Option<Secret>)> {
    let given = match token_file {
        Some(file) => Some(read_token(file)?),
        None => std::env::var("FIELDCAM_TOKEN").ok().map(|t| t.trim().to_owned()).filter(|t| !t.is_empty()),
    };
    let given = given.map(Secret::new);
    // A token made here must never travel to another machine.
    let here = host.is_none_or(Host::is_loopback);
    let known = if here && (host.is_none() || given.is_none()) { local() } else { None };
    let (port, minted) = known.map_or((None, None), |l| (l.port, l.token));
    Ok((host.cloned().unwrap_or_else(|| Host::local(port)), given.or(minted)))
}

/// There is nothing to log in with.
pub fn no_token(host: &Host) -> Error {
    Error::new(ErrorKind::AuthFailed, format!("There is no token to log in to {host} with")).with(
        "suggestion",
        "make one on the box with `fieldcam token --role operator` and pass it by --token-file or FIELDCAM_TOKEN; \
         a box that nobody owns yet is claimed with `fieldcam ctl claim`",
    )
}

fn read_token(file: &Path) -> Result<String> {
    let text = std::fs::read_to_string(file).map_err(|e| {
        Error::new(ErrorKind::AuthFailed, format!("The token file {} cannot be read: {e}", file.display()))
    })?;
    match text.trim() {
        "" => Err(Error::new(ErrorKind::AuthFailed, format!("The token file {} is empty", file.display()))),
        token => Ok(token.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hosts_are_read_in_every_usual_form() {
        for (text, shown) in [
            ("box", "box:8002"),
            ("box.local:9000", "box.local:9000"),
            ("192.0.2.1", "192.0.2.1:8002"),
            ("2001:db8::1", "[2001:db8::1]:8002"),
            ("[2001:db8::1]:99", "[2001:db8::1]:99"),
            ("http://box:8002/", "box:8002"),
            ("https://box", "box:8002"),
            ("wss://[::1]:7/ws", "[::1]:7"),
            ("fe80::1%eth0", "[fe80::1%eth0]:8002"),
            ("https://[fe80::1%2]:99", "[fe80::1%2]:99"),
        ] {
            assert_eq!(text.parse::<Host>().unwrap().to_string(), shown);
        }
        let near: Host = "FE80:0::1%eth0".parse().unwrap();
        assert_eq!(near.authority(), "[fe80::1]:8002");
        let told = "rtsps://u:p@[fe80::1]:8322/camera0";
        assert_eq!(near.zoned(told), "rtsps://u:p@[FE80:0::1%eth0]:8322/camera0");
        assert_eq!("2001:db8::1".parse::<Host>().unwrap().zoned(told), told);
        for bad in [
            "",
            ":80",
            "box:",
            "box:0",
            "box:99999",
            "a b",
            "[::1",
            "[box]",
            "user@box",
            "box:1:2",
            "box%2",
            "fe80::1%",
            "[::1%a b]",
        ] {
            assert!(bad.parse::<Host>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn tls_is_as_the_url_says_and_this_machine_needs_none() {
        for (text, scheme) in [
            ("box", Scheme::Auto),
            ("http://box", Scheme::Plain),
            ("wss://box", Scheme::Tls),
            ("localhost", Scheme::Plain),
            ("127.0.0.1:9", Scheme::Plain),
            ("https://localhost", Scheme::Tls),
        ] {
            assert_eq!(text.parse::<Host>().unwrap().scheme(), scheme, "{text}");
        }
        assert_eq!(Host::local(None).with_fingerprint(Fingerprint::of(b"a")).scheme(), Scheme::Tls);
    }

    #[test]
    fn a_token_made_here_stays_here() {
        let mint = || Some(Local { port: Some(1), token: Some(Secret::new("x")) });
        let away: Host = "192.0.2.1".parse().unwrap();
        // The variable may be set where the tests run; then there is nothing to show.
        if std::env::var_os("FIELDCAM_TOKEN").is_none() {
            assert!(token_for(Some(&away), None, mint).unwrap().1.is_none());
            assert_eq!(token_for(None, None, mint).unwrap().0.port(), 1);
            let near: Host = "localhost:7".parse().unwrap();
            assert_eq!(token_for(Some(&near), None, mint).unwrap().0.port(), 7);
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".*") {
            if let Ok(host) = text.parse::<Host>() {
                prop_assert_eq!(host.to_string().parse::<Host>().unwrap().to_string(), host.to_string());
            }
        }
    }
}
