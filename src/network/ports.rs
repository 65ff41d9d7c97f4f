//! What networkd says of the machine's ports, read.

use std::net::IpAddr;

use serde::Deserialize;

/// As it answers Describe.
#[derive(Deserialize)]
struct Described {
    #[serde(rename = "Interfaces", default)]
    interfaces: Vec<Link>,
}

/// One port. Only Ethernet and Wi-Fi, of whatever make.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(super) struct Link {
    #[serde(rename = "Name")]
    pub name: String,
    #[serde(rename = "Type", default)]
    pub kind: String,
    #[serde(rename = "HardwareAddress", default)]
    mac: Vec<u8>,
    #[serde(rename = "CarrierState", default)]
    carrier: String,
    /// The file that it is set by.
    #[serde(rename = "NetworkFile", default)]
    pub file: Option<String>,
    #[serde(rename = "Addresses", default)]
    addresses: Vec<Place>,
    /// How that file sets it; filled in by who can read files.
    #[serde(skip)]
    pub method: Option<Method>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
struct Place {
    #[serde(rename = "Address")]
    bytes: Vec<u8>,
    #[serde(rename = "PrefixLength", default)]
    bits: u8,
    /// Where networkd has it from, such as `DHCPv4`, `NDisc` or `static`.
    #[serde(rename = "ConfigSource", default)]
    source: String,
}

/// How a port gets its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Dhcp,
    Static,
}

/// Reads networkd's answer. None: it is not understood.
pub(super) fn parse(text: &str) -> Option<Vec<Link>> {
    let all: Described = serde_json::from_str(text).ok()?;
    Some(all.interfaces.into_iter().filter(|link| ["ether", "wlan"].contains(&link.kind.as_str())).collect())
}

/// How a file of networkd sets its ports. None: in no way that we know.
pub(super) fn method(text: &str) -> Option<Method> {
    let mut section = "";
    let (mut dhcp, mut fixed) = (false, false);
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        }
        match (section, line.split_once('=').map(|(key, value)| (key.trim(), value.trim()))) {
            ("[Network]", Some(("DHCP", value))) => dhcp = !["no", "false", "0", "off", ""].contains(&value),
            ("[Network]" | "[Address]", Some(("Address", value))) => fixed = !value.is_empty(),
            _ => {}
        }
    }
    if dhcp { Some(Method::Dhcp) } else { fixed.then_some(Method::Static) }
}

impl Link {
    /// Whether a cable is in, or Wi-Fi is joined.
    pub fn has_carrier(&self) -> bool {
        ["carrier", "degraded-carrier", "enslaved"].contains(&self.carrier.as_str())
    }

    /// As people write it.
    pub fn mac(&self) -> Option<String> {
        let digits: Vec<_> = self.mac.iter().map(|b| format!("{b:02x}")).collect();
        (digits.len() == 6).then(|| digits.join(":"))
    }

    /// Its addresses, each with the length of its network.
    pub fn addresses(&self) -> impl Iterator<Item = (IpAddr, u8)> + '_ {
        self.addresses.iter().filter_map(|address| Some((address.ip()?, address.bits)))
    }

    /// Without the lengths.
    pub fn ips(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.addresses().map(|(ip, _)| ip)
    }

    /// Those that a DHCP server gave it.
    pub fn leased(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.addresses.iter().filter(|address| address.source.starts_with("DHCP")).filter_map(Place::ip)
    }

    /// Those that it has whatever is set, link-local ones and those of router advertisements, beside leased ones. A
    /// static one is none of them, it may be one of before that is just going.
    pub fn lasting(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.addresses.iter().filter(|address| address.source != "static").filter_map(Place::ip)
    }
}

impl Place {
    fn ip(&self) -> Option<IpAddr> {
        let four = <[u8; 4]>::try_from(&self.bytes[..]).map(IpAddr::from);
        four.or_else(|_| <[u8; 16]>::try_from(&self.bytes[..]).map(IpAddr::from)).ok()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What systemd 257 answers, cut to what is read and a little more.
    pub const DESCRIBED: &str = r#"{"Interfaces":[
        {"Index":1,"Name":"lo","Type":"loopback","CarrierState":"carrier","AdministrativeState":"unmanaged",
         "Addresses":[{"Family":2,"Address":[127,0,0,1],"PrefixLength":8,"ConfigSource":"foreign"}]},
        {"Index":2,"Name":"eth0","Type":"ether","Driver":"virtio_net","HardwareAddress":[82,84,0,18,52,86],
         "CarrierState":"carrier","NetworkFile":"/usr/lib/systemd/network/50-wired.network","Addresses":[
            {"Family":10,"Address":[254,128,0,0,0,0,0,0,80,84,0,255,254,18,52,86],"PrefixLength":64},
            {"Family":2,"Address":[192,0,2,10],"PrefixLength":24,"ConfigSource":"DHCPv4","ConfigState":"configured"}]},
        {"Index":3,"Name":"eth1","Type":"ether","HardwareAddress":[82,84,0,18,52,87],"CarrierState":"no-carrier",
         "NetworkFile":null},
        {"Index":4,"Name":"wlan0","Type":"wlan","CarrierState":"off"},
        {"Index":5,"Name":"sit0","Type":"sit","HardwareAddress":[0,0,0,0]}]}"#;

    #[test]
    fn ports_are_those_that_a_cable_or_a_radio_has() {
        let links = parse(DESCRIBED).unwrap();
        let names: Vec<_> = links.iter().map(|link| (link.name.as_str(), link.has_carrier())).collect();
        assert_eq!(names, [("eth0", true), ("eth1", false), ("wlan0", false)]);
        assert_eq!(links[0].mac().as_deref(), Some("52:54:00:12:34:56"));
        assert_eq!(links[2].mac(), None);
        let addresses: Vec<_> = links[0].addresses().map(|(ip, bits)| format!("{ip}/{bits}")).collect();
        assert_eq!(addresses, ["fe80::5054:ff:fe12:3456/64", "192.0.2.10/24"]);
        assert_eq!(links[0].leased().map(|ip| ip.to_string()).collect::<Vec<_>>(), ["192.0.2.10"]);
        let going = parse(&DESCRIBED.replace("\"DHCPv4\"", "\"static\"")).unwrap();
        assert_eq!(going[0].leased().count(), 0, "one of before");
        for other in ["", "7", "{\"Interfaces\":[{}]}"] {
            assert!(parse(other).is_none(), "{other}");
        }
    }

    #[test]
    fn a_files_way_is_told() {
        for (want, text) in [
            (
                Some(Method::Dhcp),
                include_str!("../../images/common/usr/lib/systemd/network/50-wired.network"),
            ),
            (
                Some(Method::Dhcp),
                include_str!("../../images/common/usr/lib/systemd/network/60-wireless.network"),
            ),
            (Some(Method::Static), "[Match]\nName=a\n[Network]\nAddress=192.0.2.1/24\nDHCP=no\n"),
            (Some(Method::Static), "[Network]\n[Address]\nAddress = 192.0.2.1/24"),
            (None, "[Match]\nAddress=x\nDHCP=yes\n[Network]\nLinkLocalAddressing=no"),
            (None, ""),
        ] {
            assert_eq!(method(text), want, "{text}");
        }
        let ours = |text| method(&crate::addressing::Setting::parse(text).unwrap().file());
        assert_eq!(ours("eth0 dhcp"), Some(Method::Dhcp));
        assert_eq!(ours("eth0 192.0.2.10/24"), Some(Method::Static));
    }
}
