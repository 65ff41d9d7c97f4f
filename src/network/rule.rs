//! What may be tried, and who may confirm it.

use std::net::IpAddr;
use std::time::Duration;

use super::ports::Link;
use crate::addressing::Setting;
use crate::base::{Error, Mono, Result};
use crate::helper::Trial;

/// How a call reached the box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Came {
    /// The address at our end of its connection.
    pub local: IpAddr,
    /// When that was made.
    pub since: Mono,
}

/// A lease comes within this time or, as far as anybody can tell, not at all: half of a trial.
const LEASE: Duration = Duration::from_secs(30);

/// What was confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The setting.
    pub setting: Setting,
    /// By DHCP, and no lease has come: the port has only the addresses that it has anyway.
    pub bare: bool,
}

/// Whether a setting may be put on trial.
pub(super) fn may_try(setting: &Setting, links: &[Link], trial: Option<&Trial>, now: Mono) -> Result<()> {
    let port = setting.port.name();
    if !links.iter().any(|link| link.name == port) {
        let names: Vec<_> = links.iter().map(|link| link.name.as_str()).collect();
        let hint =
            format!("this box has {}", if names.is_empty() { "none".into() } else { names.join(", ") });
        return Err(Error::param("port", "is no network port of this box", hint));
    }
    if let Some(fixed) = &setting.fixed
        && let Some(other) =
            links.iter().find(|l| l.name != port && l.ips().any(|ip| ip == fixed.address.ip()))
    {
        let hint = format!("{} has it; take another one", other.name);
        return Err(Error::param("address", "is that of another port of this box", hint));
    }
    match trial.filter(|trial| trial.holds(now)) {
        None => Ok(()),
        Some(trial) => {
            let left = seconds_left(trial, now);
            let hint = format!(
                "confirm it through the new address (confirm_network), or wait {left} s until it is taken back"
            );
            let what = format!("a setting of {} is on trial", trial.setting.port);
            Err(Error::state(what, "ON_TRIAL", &["NO_TRIAL"]).with("suggestion", hint))
        }
    }
}

/// Whether this connection may confirm; answers with what.
///
/// Link-local addresses are on a port whatever is set, so they prove nothing of a setting. By DHCP they count all the
/// same where no lease has come in half of the trial: a laptop at a bare cable has nothing else.
pub(super) fn may_confirm(
    trial: Option<Trial>,
    links: &[Link],
    came: Came,
    host_name: &str,
    now: Mono,
) -> Result<Kept> {
    let Some(trial) = trial.filter(|trial| trial.holds(now)) else {
        let hint = "what is not confirmed within 60 s is taken back; begin anew with set_network";
        return Err(Error::state("no network setting is on trial", "NO_TRIAL", &["ON_TRIAL"])
            .with("suggestion", hint));
    };
    let shown = confirm_at(&trial, links, host_name).join(" or ");
    let refused = |what: &str, hint: String| {
        let left = seconds_left(&trial, now);
        Error::state(what, "ON_TRIAL", &["CONFIRMED"])
            .with("suggestion", format!("{hint}; it is taken back in {left} s"))
    };
    let Some(applied) = trial.applied else {
        return Err(refused(
            "the setting does not hold yet",
            format!("connect to {shown} and confirm there"),
        ));
    };
    if came.since < applied {
        let hint = format!("make a new one to {shown} and confirm there");
        return Err(refused("this connection is older than the setting", hint));
    }
    let ways = ways(&trial, links);
    if ways.contains(&came.local) {
        return Ok(Kept { setting: trial.setting, bare: false });
    }
    // Only DHCP may have given none.
    if ways.is_empty() && its(&trial, links).flat_map(Link::lasting).any(|ip| ip == came.local) {
        let waited = now.since(applied);
        if waited >= LEASE {
            return Ok(Kept { setting: trial.setting, bare: true });
        }
        let wait = (LEASE - waited).as_millis().div_ceil(1000);
        let hint = format!("without one this address will do in {wait} s, as on a bare cable");
        let what = "no lease has come yet; this connection came through an address that the port has anyway";
        return Err(refused(what, hint));
    }
    let what = format!("this connection came through {}, not through the new setting", came.local);
    Err(refused(&what, format!("connect to {shown} and confirm there")))
}

/// Where a trial may be confirmed: addresses that the setting gives, or the box's name while none is known.
pub(super) fn confirm_at(trial: &Trial, links: &[Link], host_name: &str) -> Vec<String> {
    let ways = ways(trial, links);
    if ways.is_empty() {
        return vec![format!("{host_name}.local")];
    }
    ways.iter().map(ToString::to_string).collect()
}

/// Addresses that the setting gives. By DHCP none is known before it holds.
fn ways(trial: &Trial, links: &[Link]) -> Vec<IpAddr> {
    match (&trial.setting.fixed, trial.applied) {
        (Some(fixed), _) => vec![fixed.address.ip()],
        (None, None) => Vec::new(),
        (None, Some(_)) => its(trial, links).flat_map(Link::leased).collect(),
    }
}

fn its<'a>(trial: &'a Trial, links: &'a [Link]) -> impl Iterator<Item = &'a Link> {
    links.iter().filter(|link| link.name == trial.setting.port.name())
}

/// Whole seconds until it is taken back.
pub(super) fn seconds_left(trial: &Trial, now: Mono) -> u64 {
    trial.until.since(now).as_millis().div_ceil(1000) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::ports::{parse, tests::DESCRIBED};

    const fn at(seconds: u64) -> Mono {
        Mono(seconds * 1_000_000_000)
    }

    fn trial(setting: &str, applied: Option<u64>) -> Trial {
        Trial { setting: Setting::parse(setting).unwrap(), until: at(160), applied: applied.map(at) }
    }

    fn said(error: &Error) -> String {
        let data = error.data();
        let next = ["suggestion", "hint"].iter().find_map(|key| data.get(*key)).unwrap();
        format!("{} {next}", error.message())
    }

    #[test]
    fn what_is_tried_is_a_port_of_this_box_with_an_address_of_its_own() {
        let links = parse(DESCRIBED).unwrap();
        let judge = |text: &str, trial: Option<&Trial>| {
            may_try(&Setting::parse(text).unwrap(), &links, trial, at(120)).map_err(|e| said(&e))
        };
        assert_eq!(judge("eth1 192.0.2.11/24", None), Ok(()));
        assert_eq!(judge("eth0 192.0.2.10/24", None), Ok(()), "its own, kept when the lease is gone");
        assert!(judge("eth2 dhcp", None).unwrap_err().contains("this box has eth0, eth1, wlan0"));
        assert!(judge("eth1 192.0.2.10/24", None).unwrap_err().contains("eth0 has it"));
        let other = trial("eth0 dhcp", Some(100));
        let why = judge("eth1 dhcp", Some(&other)).unwrap_err();
        assert!(why.contains("eth0 is on trial") && why.contains("wait 40 s"), "{why}");
        let over = Trial { until: at(120), ..other };
        assert_eq!(judge("eth1 dhcp", Some(&over)), Ok(()));
    }

    #[test]
    fn only_a_new_connection_through_the_new_setting_confirms() {
        let links = parse(DESCRIBED).unwrap();
        let judge = |trial: Option<&Trial>, local: &str, since: u64, now: u64| {
            let came = Came { local: local.parse().unwrap(), since: at(since) };
            may_confirm(trial.cloned(), &links, came, "fieldcam-ab12", at(now)).map_err(|e| said(&e))
        };
        let fixed = trial("eth1 192.168.5.10/24", Some(101));
        let kept = Kept { setting: fixed.setting.clone(), bare: false };
        assert_eq!(judge(Some(&fixed), "192.168.5.10", 110, 120), Ok(kept));
        for (local, since, now, why) in [
            ("192.168.5.10", 110, 160, "no network setting is on trial"),
            ("192.168.5.10", 100, 120, "older than the setting"),
            ("192.0.2.10", 110, 120, "came through 192.0.2.10"),
            ("127.0.0.1", 110, 120, "came through 127.0.0.1"),
            ("fe80::1", 110, 120, "connect to 192.168.5.10 and confirm there; it is taken back in 40 s"),
        ] {
            let said = judge(Some(&fixed), local, since, now).unwrap_err();
            assert!(said.contains(why), "{local}: {said}");
        }
        assert!(judge(None, "192.168.5.10", 110, 120).unwrap_err().contains("begin anew"));
        let early = trial("eth1 192.168.5.10/24", None);
        assert!(judge(Some(&early), "192.168.5.10", 110, 120).unwrap_err().contains("does not hold yet"));
    }

    #[test]
    fn by_dhcp_an_address_that_came_confirms_and_a_link_local_one_only_where_none_did() {
        const OWN: &str = "fe80::5054:ff:fe12:3456";
        let judge = |described: &str, local: &str, now: u64| {
            let links = parse(described).unwrap();
            let came = Came { local: local.parse().unwrap(), since: at(110) };
            let dhcp = trial("eth0 dhcp", Some(101));
            may_confirm(Some(dhcp), &links, came, "fieldcam-ab12", at(now))
                .map(|kept| kept.bare)
                .map_err(|e| said(&e))
        };
        assert_eq!(judge(DESCRIBED, "192.0.2.10", 120), Ok(false));
        for now in [120, 131, 159] {
            let why = judge(DESCRIBED, OWN, now).unwrap_err();
            assert!(why.contains("came through fe80") && why.contains("connect to 192.0.2.10 and"), "{why}");
        }
        let why = judge(DESCRIBED, "192.0.2.11", 140).unwrap_err();
        assert!(why.contains("connect to 192.0.2.10"), "{why}");
        // No server gives it one: the static address of before is just going, or gone.
        for described in [
            DESCRIBED.replace("\"DHCPv4\"", "\"static\""),
            DESCRIBED.replace("[192,0,2,10]", "[169,254,7,8]").replace("\"DHCPv4\"", "\"IPv4LL\""),
        ] {
            let why = judge(&described, OWN, 120).unwrap_err();
            assert!(why.contains("no lease has come yet") && why.contains("will do in 11 s"), "{why}");
            assert!(why.ends_with("it is taken back in 40 s\""), "{why}");
            assert!(judge(&described, OWN, 130).is_err());
            assert_eq!(judge(&described, OWN, 131), Ok(true));
            let why = judge(&described, "192.0.2.10", 140).unwrap_err();
            assert!(why.contains("connect to fieldcam-ab12.local"), "{why}");
            assert!(judge(&described, "fe80::1", 140).is_err(), "of another port");
        }
        // A router's advertisement is there whatever is set.
        const HIGH: &str = "2001:db8::7";
        let high = r#"{"Family":10,"Address":[32,1,13,184,0,0,0,0,0,0,0,0,0,0,0,7],"PrefixLength":64,"ConfigSource":"NDisc"},
            {"Family":2"#;
        let both =
            DESCRIBED.replacen("{\"Family\":2,\"Address\":[192", &format!("{high},\"Address\":[192"), 1);
        assert_eq!(judge(&both, "192.0.2.10", 120), Ok(false));
        assert!(judge(&both, HIGH, 140).unwrap_err().contains("connect to 192.0.2.10 and"));
        let alone = both.replace("\"DHCPv4\"", "\"static\"");
        assert!(judge(&alone, HIGH, 130).unwrap_err().contains("will do in 1 s"));
        assert_eq!(judge(&alone, HIGH, 131), Ok(true));
    }
}
