//! The box's network ports: how they are set, a change on trial, and its confirmation. Ours.

use std::net::IpAddr;

use serde::Serialize;

use crate::addressing::{Address, DNS_MAX, Mistake, Port, Setting, Static};
use crate::base::{Error, Result};
use crate::network::{Came, Status};
use crate::rpc::params::{Fields, Nothing, Params};
use crate::rpc::session::Call;

pub(super) async fn get(call: Call, _: Nothing) -> Result<Status> {
    call.services.network.status().await
}

/// `{port, method, address?, gateway?, dns?}`.
pub(super) struct Change {
    port: Port,
    fixed: bool,
    address: Option<Address>,
    gateway: Option<IpAddr>,
    dns: Vec<IpAddr>,
}

impl Params for Change {
    fn read(fields: &Fields<'_>) -> Result<Self> {
        let port = fields.string("port", "use one that get_network lists, such as eth0")?;
        let fixed = fields.optional_word("method", &[("dhcp", false), ("static", true)])?;
        let address = fields.optional_string("address", "such as 192.168.5.10/24")?;
        let gateway = fields.optional_string("gateway", "such as 192.168.5.1")?;
        let dns = fields.optional_strings("dns", DNS_MAX, "addresses, such as [\"192.168.5.1\"]")?;
        let dns = dns.unwrap_or_default();
        Ok(Self {
            port: Port::parse(&port).map_err(wrong)?,
            fixed: fixed.ok_or_else(|| Error::param("method", "is required", "dhcp or static"))?,
            address: address.map(|text| Address::parse(&text)).transpose().map_err(wrong)?,
            gateway: gateway.map(|text| ip("gateway", &text)).transpose()?,
            dns: dns.iter().map(|text| ip("dns", text)).collect::<Result<_>>()?,
        })
    }
}

impl Change {
    /// What belongs together, judged.
    fn setting(self) -> Result<Setting> {
        let Change { port, fixed, address, gateway, dns } = self;
        let alone =
            || Error::param("address", "must not stand beside method dhcp", "leave out what DHCP brings");
        let fixed = match (fixed, address) {
            (true, Some(address)) => Some(Static::new(address, gateway, dns).map_err(wrong)?),
            (true, None) => {
                let hint = "such as 192.168.5.10/24";
                return Err(Error::param("address", "is required with method static", hint));
            }
            (false, None) if gateway.is_none() && dns.is_empty() => None,
            (false, _) => return Err(alone()),
        };
        Ok(Setting { port, fixed })
    }
}

pub(super) async fn set(call: Call, change: Change) -> Result<Status> {
    // A machine that is set in another way says that, whatever else is wrong with the wish.
    call.services.network.status().await?;
    call.services.network.set(change.setting()?).await
}

#[derive(Serialize)]
pub(super) struct Confirmed {
    status: &'static str,
    port: String,
    message: &'static str,
}

pub(super) async fn confirm(call: Call, _: Nothing) -> Result<Confirmed> {
    let came = Came { local: call.reached.local, since: call.reached.since };
    let kept = call.services.network.confirm(came).await?;
    let message = if kept.bare {
        "the setting is kept, across restarts too; no lease has come: the port has only the addresses that it has without one"
    } else {
        "the setting is kept, across restarts too"
    };
    Ok(Confirmed { status: "CONFIRMED", port: kept.setting.port.to_string(), message })
}

fn wrong(mistake: Mistake) -> Error {
    Error::param(mistake.param, mistake.rule, mistake.hint)
}

fn ip(param: &str, text: &str) -> Result<IpAddr> {
    text.parse().map_err(|_| Error::param(param, "must be an IP address", "such as 192.168.5.1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(text: &str) -> std::result::Result<String, String> {
        let change = Change::read(&Fields::parse(Some(text)).unwrap());
        change.and_then(Change::setting).map(|s| s.to_string()).map_err(|e| e.message().to_owned())
    }

    #[test]
    fn a_change_is_whole_or_refused() {
        let good = r#"{"port":"eth1","method":"static","address":"192.168.5.10/24","gateway":"192.168.5.1","dns":["1.1.1.1"]}"#;
        assert_eq!(setting(good).unwrap(), "eth1 192.168.5.10/24 gateway=192.168.5.1 dns=1.1.1.1");
        assert_eq!(
            setting(r#"{"port":"eth1","method":"dhcp","address":null,"dns":[]}"#).unwrap(),
            "eth1 dhcp"
        );
        for (text, why) in [
            (r#"{"port":"lo","method":"dhcp"}"#, "port must be"),
            (r#"{"port":"eth1"}"#, "method is required"),
            (r#"{"port":"eth1","method":"auto"}"#, "method must be one of"),
            (r#"{"port":"eth1","method":"static"}"#, "address is required"),
            (r#"{"port":"eth1","method":"dhcp","address":"192.168.5.10/24"}"#, "must not stand beside"),
            (r#"{"port":"eth1","method":"dhcp","gateway":"192.168.5.1"}"#, "must not stand beside"),
            (r#"{"port":"eth1","method":"static","address":"192.168.5.10"}"#, "length"),
            (
                r#"{"port":"eth1","method":"static","address":"192.168.5.10/24","gateway":"box"}"#,
                "gateway must be an IP",
            ),
            (
                r#"{"port":"eth1","method":"static","address":"192.168.5.10/24","gateway":"10.0.0.1"}"#,
                "same network",
            ),
            (
                r#"{"port":"eth1","method":"static","address":"192.168.5.10/24","dns":["a"]}"#,
                "dns must be an IP",
            ),
            (r#"{"port":"eth1\nName=*","method":"dhcp"}"#, "port must be"),
        ] {
            let said = setting(text).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
    }
}
