//! How a port of the box gets its addresses: as text and back, and as a file of systemd-networkd.
//!
//! Owns the one rule for addresses that a box may be given, over the API or by its provisioning file, and the one writer
//! of such a file. Promises: what somebody wrote is read into addresses and a name of plain letters here, and only these
//! are ever written again; whatever is set, a port keeps its link-local addresses and the box's name. Pure.

use std::fmt;
use std::net::IpAddr;

/// Name servers are at most so many.
pub const DNS_MAX: usize = 3;

/// The name of a network port, such as `eth0`: what the kernel takes, of plain letters, and not the loopback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port(String);

/// An address with the length of its network, such as `192.168.5.10/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    ip: IpAddr,
    bits: u8,
}

/// One that does not change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Static {
    /// Its own.
    pub address: Address,
    /// Of the way out; of the address's network, or an IPv6 link-local one.
    pub gateway: Option<IpAddr>,
    /// Name servers, at most [`DNS_MAX`].
    pub dns: Vec<IpAddr>,
}

/// A port with the way to its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The port.
    pub port: Port,
    /// None: DHCP.
    pub fixed: Option<Static>,
}

/// What is wrong with a setting, in the words of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// `port`, `address`, `gateway` or `dns`.
    pub param: &'static str,
    /// What it breaks.
    pub rule: &'static str,
    /// What to write instead.
    pub hint: &'static str,
}

impl Port {
    /// Reads a name.
    pub fn parse(text: &str) -> Result<Port, Mistake> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        let good = (1..=15).contains(&text.len())
            && text.bytes().all(fits)
            && text.as_bytes()[0].is_ascii_alphanumeric()
            && text != "lo";
        let mistake = Mistake {
            param: "port",
            rule: "must be the name of a network port",
            hint: "use one that get_network lists, such as eth0",
        };
        if good { Ok(Port(text.to_owned())) } else { Err(mistake) }
    }

    /// As the kernel has it.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl Address {
    /// Reads `192.168.5.10/24` or `2001:db8::10/64`: one that a box can be reached by from elsewhere.
    pub fn parse(text: &str) -> Result<Address, Mistake> {
        let mistake = |rule| Mistake {
            param: "address",
            rule,
            hint: "an address of the box's own with the length of its network, such as 192.168.5.10/24",
        };
        let form = "must be an address with the length of its network";
        let read = text.split_once('/').and_then(|(ip, bits)| {
            let plain = bits.len() <= 3 && bits.bytes().all(|b| b.is_ascii_digit()) && !bits.starts_with('0');
            let bits = bits.parse().ok().filter(|_| plain)?;
            Some((ip.parse::<IpAddr>().ok()?, bits))
        });
        let (ip, bits): (IpAddr, u8) = read.ok_or_else(|| mistake(form))?;
        if bits > width(ip) {
            return Err(mistake(form));
        }
        if !is_a_hosts(ip) {
            return Err(mistake("must be one that a box may have"));
        }
        let address = Address { ip, bits };
        if matches!(ip, IpAddr::V4(_)) && bits <= 30 {
            let own = number(ip) & !address.mask();
            if own == 0 || own == !address.mask() & u128::from(u32::MAX) {
                return Err(mistake("must not be the first or the last of its network"));
            }
        }
        Ok(address)
    }

    /// Without the length.
    pub fn ip(self) -> IpAddr {
        self.ip
    }

    /// Whether another one is of the same network.
    fn holds(self, other: IpAddr) -> bool {
        self.ip.is_ipv4() == other.is_ipv4() && (number(self.ip) ^ number(other)) & self.mask() == 0
    }

    /// The bits of the network, of as many as the kind of address has.
    fn mask(self) -> u128 {
        let all = if self.ip.is_ipv4() { u128::from(u32::MAX) } else { u128::MAX };
        all & !(all.checked_shr(u32::from(self.bits)).unwrap_or(0))
    }
}

fn width(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

/// One that a machine on a network can have and be reached by: link-local ones are there anyway.
fn is_a_hosts(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let first = ip.octets()[0];
            (1..224).contains(&first) && !ip.is_loopback() && !ip.is_link_local()
        }
        IpAddr::V6(ip) => {
            !ip.is_unspecified()
                && !ip.is_loopback()
                && !ip.is_multicast()
                && !ip.is_unicast_link_local()
                && ip.to_ipv4().is_none()
        }
    }
}

impl Static {
    /// Brings the parts together; each is judged by itself and beside the others.
    pub fn new(address: Address, gateway: Option<IpAddr>, dns: Vec<IpAddr>) -> Result<Static, Mistake> {
        if let Some(gateway) = gateway {
            let linked =
                matches!(gateway, IpAddr::V6(ip) if ip.is_unicast_link_local()) && address.ip.is_ipv6();
            let near = is_a_hosts(gateway) && address.holds(gateway) && gateway != address.ip;
            if !linked && !near {
                return Err(Mistake {
                    param: "gateway",
                    rule: "must be another address of the same network",
                    hint: "the router's own address in that network, or leave it out",
                });
            }
        }
        let twice = |(i, ip): (usize, &IpAddr)| dns[..i].contains(ip);
        if dns.len() > DNS_MAX || !dns.iter().all(|ip| is_a_hosts(*ip)) || dns.iter().enumerate().any(twice) {
            return Err(Mistake {
                param: "dns",
                rule: "must be at most three different addresses of name servers",
                hint: "such as 192.168.5.1, or leave it out",
            });
        }
        Ok(Static { address, gateway, dns })
    }
}

impl Setting {
    /// Reads what [`Setting`] shows as, and nothing that is spelled in another way.
    pub fn parse(text: &str) -> Option<Setting> {
        let mut words = text.split(' ');
        let port = Port::parse(words.next()?).ok()?;
        let fixed = match words.next()? {
            "dhcp" => None,
            address => {
                let address = Address::parse(address).ok()?;
                let (mut gateway, mut dns) = (None, Vec::new());
                for word in words.by_ref() {
                    match word.split_once('=')? {
                        ("gateway", ip) => gateway = Some(ip.parse().ok()?),
                        ("dns", list) => {
                            dns = list.split(',').map(|ip| ip.parse().ok()).collect::<Option<_>>()?;
                        }
                        _ => return None,
                    }
                }
                Some(Static::new(address, gateway, dns).ok()?)
            }
        };
        let setting = Setting { port, fixed };
        (setting.to_string() == text).then_some(setting)
    }

    /// The text of a file of systemd-networkd, without its head.
    pub fn file(&self) -> String {
        file(Some(&self.port), self.fixed.as_ref())
    }
}

/// The text of a file of systemd-networkd, without its head: for one port, or for every wired one; without an address
/// of its own it has DHCP.
pub fn file(port: Option<&Port>, fixed: Option<&Static>) -> String {
    let matched = port.map_or("Type=ether\nKind=!*".to_owned(), |port| format!("Name={port}"));
    let mut text = format!("[Match]\n{matched}\n\n[Link]\nRequiredForOnline=no\n\n[Network]\n");
    match fixed {
        None => text.push_str("DHCP=yes\n"),
        Some(Static { address, gateway, dns }) => {
            text.push_str(&format!("Address={address}\n"));
            text.extend(gateway.iter().map(|ip| format!("Gateway={ip}\n")));
            text.extend(dns.iter().map(|ip| format!("DNS={ip}\n")));
        }
    }
    // As on every port, so that the box is found however wrong the setting is.
    text.push_str("LinkLocalAddressing=yes\nIPv6AcceptRA=yes\nMulticastDNS=yes\nLLMNR=no\n");
    if fixed.is_none() {
        // A wireless way is the second best, as in the image's own file.
        let wireless = port.is_some_and(|port| port.0.starts_with("wl"));
        let metric = if wireless { "RouteMetric=2048\n" } else { "" };
        text.push_str(&format!("\n[DHCPv4]\nUseDomains=no\nUseNTP=yes\nSendHostname=yes\n{metric}"));
    }
    text
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.bits)
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Static { address, gateway, dns }) = &self.fixed else {
            return write!(f, "{} dhcp", self.port);
        };
        write!(f, "{} {address}", self.port)?;
        if let Some(gateway) = gateway {
            write!(f, " gateway={gateway}")?;
        }
        for (i, ip) in dns.iter().enumerate() {
            write!(f, "{}{ip}", if i == 0 { " dns=" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
