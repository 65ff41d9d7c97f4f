//! What the box's helper can be asked for, as text and back.

use std::fmt;

use crate::addressing::Setting;

/// A request is no longer than this, its line's end included: a network setting of IPv6 is the longest.
pub(super) const LONGEST: usize = 320;

/// One request to `fieldcam helper --box`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Errand {
    /// Mark the slot that runs as good. `fell_back`: another one was tried first, and is marked bad.
    Commit {
        /// Whether the other slot is out of the order from now on.
        fell_back: bool,
    },
    /// Answer with what the bootloader knows: `order=B,A a=3 b=2 good=A`.
    BootState,
    /// Restart the machine.
    Reboot,
    /// Set the clock: milliseconds since 1970 UTC.
    SetTime(i64),
    /// Ask the next start for a factory reset; it does not restart the machine.
    FactoryReset {
        /// Recordings and stills stay.
        keep_recordings: bool,
    },
    /// Note a network setting as on trial, and see to its end. It holds only once it is applied.
    NetworkTry(Setting),
    /// Have networkd take what is on trial.
    NetworkApply,
    /// Keep what is on trial.
    NetworkConfirm,
}

/// The clock is set to nothing from before this program could exist, or after the year 2100.
const TIMES: std::ops::RangeInclusive<i64> = 1_735_689_600_000..=4_102_444_800_000;

impl Errand {
    /// Reads a line without its end. `None` = it is none that the helper knows.
    pub fn parse(line: &[u8]) -> Option<Errand> {
        let line = std::str::from_utf8(line).ok().filter(|line| line.len() < LONGEST)?;
        match line.split_once(' ').map_or((line, None), |(verb, rest)| (verb, Some(rest))) {
            ("COMMIT", None) => Some(Errand::Commit { fell_back: false }),
            ("COMMIT", Some("fell-back")) => Some(Errand::Commit { fell_back: true }),
            ("BOOT-STATE", None) => Some(Errand::BootState),
            ("REBOOT", None) => Some(Errand::Reboot),
            ("SET-TIME", Some(time)) => {
                // One spelling for each time: no sign, no leading zero.
                let plain = !time.starts_with('0') && time.bytes().all(|b| b.is_ascii_digit());
                let time = time.parse().ok().filter(|time| plain && TIMES.contains(time))?;
                Some(Errand::SetTime(time))
            }
            ("FACTORY-RESET", Some("all")) => Some(Errand::FactoryReset { keep_recordings: false }),
            ("FACTORY-RESET", Some("keep-recordings")) => {
                Some(Errand::FactoryReset { keep_recordings: true })
            }
            ("NETWORK-TRY", Some(setting)) => Setting::parse(setting).map(Errand::NetworkTry),
            ("NETWORK-APPLY", None) => Some(Errand::NetworkApply),
            ("NETWORK-CONFIRM", None) => Some(Errand::NetworkConfirm),
            _ => None,
        }
    }
}

impl fmt::Display for Errand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Errand::Commit { fell_back: false } => write!(f, "COMMIT"),
            Errand::Commit { fell_back: true } => write!(f, "COMMIT fell-back"),
            Errand::BootState => write!(f, "BOOT-STATE"),
            Errand::Reboot => write!(f, "REBOOT"),
            Errand::SetTime(time) => write!(f, "SET-TIME {time}"),
            Errand::FactoryReset { keep_recordings: false } => write!(f, "FACTORY-RESET all"),
            Errand::FactoryReset { keep_recordings: true } => write!(f, "FACTORY-RESET keep-recordings"),
            Errand::NetworkTry(setting) => write!(f, "NETWORK-TRY {setting}"),
            Errand::NetworkApply => write!(f, "NETWORK-APPLY"),
            Errand::NetworkConfirm => write!(f, "NETWORK-CONFIRM"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::helper::Request;

    #[test]
    fn what_it_knows_is_read_and_nothing_else() {
        for good in [
            "COMMIT",
            "COMMIT fell-back",
            "BOOT-STATE",
            "REBOOT",
            "SET-TIME 1795365066409",
            "FACTORY-RESET all",
            "FACTORY-RESET keep-recordings",
            "NETWORK-TRY eth0 dhcp",
            "NETWORK-TRY eth1 192.168.5.10/24 gateway=192.168.5.1 dns=192.168.5.1,1.1.1.1",
            "NETWORK-APPLY",
            "NETWORK-CONFIRM",
        ] {
            assert_eq!(Errand::parse(good.as_bytes()).unwrap().to_string(), good);
            assert_eq!(
                Request::parse(good.as_bytes()),
                None,
                "the camera helper knows nothing of it: {good}"
            );
        }
        for bad in [
            "",
            "commit",
            "COMMIT ",
            "COMMIT A",
            "COMMIT fell-back ",
            "REBOOT now",
            "REBOOT\n",
            "REBOOT\0",
            "POWEROFF",
            "NETWORK-REVERT",
            "SET-TIME",
            "SET-TIME ",
            "SET-TIME -1",
            "SET-TIME +1795365066409",
            "SET-TIME 01795365066409",
            "SET-TIME 1795365066409.5",
            "SET-TIME 0",
            "SET-TIME 99999999999999",
            "FACTORY-RESET",
            "FACTORY-RESET everything",
            "NETWORK-TRY",
            "NETWORK-TRY eth0",
            "NETWORK-TRY lo dhcp",
            "NETWORK-TRY eth0 dhcp ",
            "NETWORK-TRY eth0 dhcp dns=1.1.1.1",
            "NETWORK-TRY eth* dhcp",
            "NETWORK-TRY eth0 192.168.5.10",
            "NETWORK-TRY eth0 192.168.5.10/24 gateway=10.0.0.1",
            "NETWORK-TRY eth0 192.168.5.10/24 dns=",
            "NETWORK-TRY eth0 192.168.5.10/24 dns=1.1.1.1 gateway=192.168.5.1",
            "NETWORK-TRY eth0 192.168.5.10/24\nDNS=1.1.1.1",
            "NETWORK-CONFIRM eth0",
            "rebind vivid.0",
            "reauthorize 1-1",
        ] {
            assert_eq!(Errand::parse(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(Errand::parse(b"REBOOT\xff"), None);
    }

    #[test]
    fn the_longest_setting_fits() {
        let ip = "2001:db8:1111:2222:3333:4444:5555:";
        let line = format!(
            "NETWORK-TRY enx001122334455 {ip}6661/128 gateway=fe80:1111:1111:2222:3333:4444:5555:6666 dns={ip}6663,{ip}6664,{ip}6665"
        );
        assert!(line.len() < LONGEST && Errand::parse(line.as_bytes()).is_some(), "{}", line.len());
    }

    proptest! {
        #[test]
        fn what_is_read_has_one_spelling(line in "(COMMIT|REBOOT|SET-TIME|FACTORY-RESET|BOOT-STATE|NETWORK-TRY e)[ 0-9a-z./=-]{0,20}") {
            if let Some(errand) = Errand::parse(line.as_bytes()) {
                prop_assert_eq!(errand.to_string(), line);
            }
        }

        #[test]
        fn whatever_comes_is_refused_or_known(line in prop::collection::vec(any::<u8>(), 0..120)) {
            let _ = Errand::parse(&line);
        }
    }
}
