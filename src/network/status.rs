//! How the network stands, as get_network and its notification tell it.

use serde::Serialize;

use super::ports::{Link, Method};
use super::rule::{confirm_at, seconds_left};
use crate::addressing::{Setting, Static};
use crate::base::Mono;
use crate::base::clock::iso8601;
use crate::helper::Trial;

/// All of it.
#[derive(Debug, Serialize)]
pub struct Status {
    host_name: String,
    ports: Vec<Port>,
    trial: Option<Tried>,
}

#[derive(Debug, Serialize)]
struct Port {
    port: String,
    kind: &'static str,
    mac: Option<String>,
    carrier: bool,
    /// None: in no way that is known here.
    method: Option<&'static str>,
    addresses: Vec<String>,
    on_trial: bool,
}

#[derive(Debug, Serialize)]
struct Tried {
    port: String,
    method: &'static str,
    address: Option<String>,
    gateway: Option<String>,
    dns: Vec<String>,
    applied: bool,
    until: String,
    seconds_left: u64,
    confirm_at: Vec<String>,
}

impl Status {
    /// `wall_us`: the time of day at `now`, microseconds since 1970.
    pub(super) fn of(
        links: Vec<Link>,
        trial: Option<&Trial>,
        host_name: &str,
        now: Mono,
        wall_us: i64,
    ) -> Status {
        let trial = trial.filter(|trial| trial.holds(now));
        let tried = trial.map(|trial| tried(trial, confirm_at(trial, &links, host_name), now, wall_us));
        let port = |link: Link| Port {
            kind: if link.kind == "wlan" { "wireless" } else { "wired" },
            mac: link.mac(),
            carrier: link.has_carrier(),
            method: link.method.map(word),
            addresses: link.addresses().map(|(ip, bits)| format!("{ip}/{bits}")).collect(),
            on_trial: trial.is_some_and(|trial| trial.setting.port.name() == link.name),
            port: link.name,
        };
        Status { ports: links.into_iter().map(port).collect(), trial: tried, host_name: host_name.to_owned() }
    }
}

const fn word(method: Method) -> &'static str {
    match method {
        Method::Dhcp => "dhcp",
        Method::Static => "static",
    }
}

fn tried(trial: &Trial, confirm_at: Vec<String>, now: Mono, wall_us: i64) -> Tried {
    let Setting { port, fixed } = &trial.setting;
    let left_us = i64::try_from(trial.until.since(now).as_micros()).unwrap_or(0);
    let dns = fixed.iter().flat_map(|Static { dns, .. }| dns);
    Tried {
        port: port.to_string(),
        method: word(if fixed.is_some() { Method::Static } else { Method::Dhcp }),
        address: fixed.as_ref().map(|fixed| fixed.address.to_string()),
        gateway: fixed.as_ref().and_then(|fixed| Some(fixed.gateway?.to_string())),
        dns: dns.map(ToString::to_string).collect(),
        applied: trial.applied.is_some(),
        until: iso8601(wall_us.saturating_add(left_us)),
        seconds_left: seconds_left(trial, now),
        confirm_at,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::network::ports::{parse, tests::DESCRIBED};

    fn shown(trial: Option<&str>, now: u64) -> Value {
        since(trial, None, now)
    }

    fn since(trial: Option<&str>, applied: Option<Mono>, now: u64) -> Value {
        let trial = trial.map(|text| Trial {
            setting: Setting::parse(text).unwrap(),
            until: Mono(160_000_000_000),
            applied,
        });
        let mut links = parse(DESCRIBED).unwrap();
        links[0].method = Some(Method::Dhcp);
        let now = Mono(now * 1_000_000_000);
        serde_json::to_value(Status::of(links, trial.as_ref(), "fieldcam-ab12", now, 1_000_000)).unwrap()
    }

    #[test]
    fn each_port_tells_what_it_has_and_whether_it_is_on_trial() {
        let all = shown(None, 100);
        assert_eq!(
            all["ports"][0],
            json!({ "port": "eth0", "kind": "wired", "mac": "52:54:00:12:34:56", "carrier": true, "method": "dhcp",
                    "addresses": ["fe80::5054:ff:fe12:3456/64", "192.0.2.10/24"], "on_trial": false })
        );
        assert_eq!((&all["ports"][2]["kind"], &all["ports"][2]["mac"]), (&json!("wireless"), &Value::Null));
        assert_eq!(all["trial"], Value::Null);
        let all = shown(Some("eth1 192.168.5.10/24 gateway=192.168.5.1 dns=1.1.1.1"), 100);
        assert_eq!(all["ports"][1]["on_trial"], true);
        assert_eq!(
            all["trial"],
            json!({ "port": "eth1", "method": "static", "address": "192.168.5.10/24", "gateway": "192.168.5.1",
                    "dns": ["1.1.1.1"], "applied": false, "until": "1970-01-01T00:01:01.000Z", "seconds_left": 60,
                    "confirm_at": ["192.168.5.10"] })
        );
        assert_eq!(shown(Some("eth1 dhcp"), 100)["trial"]["confirm_at"], json!(["fieldcam-ab12.local"]));
        let leased = |port: &str| {
            since(Some(&format!("{port} dhcp")), Some(Mono(1)), 100)["trial"]["confirm_at"].clone()
        };
        assert_eq!((leased("eth0"), leased("eth1")), (json!(["192.0.2.10"]), json!(["fieldcam-ab12.local"])));
        assert_eq!(shown(Some("eth0 dhcp"), 100)["trial"]["confirm_at"], json!(["fieldcam-ab12.local"]));
        assert_eq!(shown(Some("eth1 dhcp"), 160)["trial"], Value::Null, "its time is over");
    }
}
