//! A network setting on trial, as it stands in its file: until when, and since when it holds.
//!
//! The file is one of systemd-networkd, in memory, with a name before those of all others: after a restart of the
//! machine it is gone, and with it the trial. Times are of CLOCK_MONOTONIC, which nobody sets.

use std::path::PathBuf;
use std::time::Duration;

use crate::addressing::Setting;
use crate::base::Mono;

/// How long it holds unless it is confirmed; the timer of images/common runs as long.
pub const TRIAL: Duration = Duration::from_secs(60);
/// Where networkd looks for what holds until the machine is restarted.
pub const TRIAL_FOLDER: &str = "/run/systemd/network";
/// The file in it.
const FILE: &str = "01-fieldcam-trial.network";
const HEAD: &str = "# Fieldcam: on trial";

/// What is on trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// What was asked for.
    pub setting: Setting,
    /// When it ends by itself.
    pub until: Mono,
    /// Since when networkd has it; none: not yet.
    pub applied: Option<Mono>,
}

impl Trial {
    /// One that begins now.
    pub(super) fn begin(setting: Setting, now: Mono) -> Trial {
        Trial { setting, until: whole(now + TRIAL), applied: None }
    }

    /// The same, as networkd has it from now on.
    pub(super) fn applied(self, now: Mono) -> Trial {
        Trial { applied: Some(whole(now)), ..self }
    }

    /// Reads its file. None: the file is of another kind, or says that it was confirmed.
    pub fn parse(text: &str) -> Option<Trial> {
        let mut words = text.lines().next()?.strip_prefix(HEAD)?.split(' ').skip(1);
        let time = |word: &str, name: &str| {
            let ms: u64 = word.strip_prefix(name)?.strip_prefix('=')?.parse().ok()?;
            Some(Mono(ms.checked_mul(1_000_000)?))
        };
        let until = time(words.next()?, "until")?;
        let applied = match words.next()? {
            "applied=-" => None,
            word => Some(time(word, "applied")?),
        };
        let setting = Setting::parse(&words.collect::<Vec<_>>().join(" "))?;
        Some(Trial { setting, until, applied })
    }

    /// The text of its file.
    pub(super) fn text(&self) -> String {
        let ms = |time: Mono| (time.0 / 1_000_000).to_string();
        let applied = self.applied.map_or("-".to_owned(), ms);
        format!("{HEAD} until={} applied={applied} {}\n{}", ms(self.until), self.setting, self.setting.file())
    }

    /// Whether it has not ended yet.
    pub fn holds(&self, now: Mono) -> bool {
        now < self.until
    }

    /// Where its file is.
    pub fn path(folder: &std::path::Path) -> PathBuf {
        folder.join(FILE)
    }
}

/// Of a setting that is there to stay.
pub(super) fn kept(setting: &Setting) -> String {
    format!("# Set over the API.\n{}", setting.file())
}

/// The file of a setting that is there to stay, among networkd's own: before what was provisioned, behind a trial.
pub(super) fn kept_name(setting: &Setting) -> String {
    format!("05-set-{}.network", setting.port)
}

/// To the millisecond, as the file has it.
fn whole(time: Mono) -> Mono {
    Mono(time.0 / 1_000_000 * 1_000_000)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SETTING: &str = "eth1 192.168.5.10/24 gateway=192.168.5.1";

    #[test]
    fn a_trial_is_read_back_and_one_that_was_confirmed_is_none() {
        let setting = Setting::parse(SETTING).unwrap();
        let now = Mono(5_000_123_456);
        let trial = Trial::begin(setting.clone(), now);
        assert_eq!((trial.until, trial.applied), (Mono(65_000_000_000), None));
        assert_eq!(Trial::parse(&trial.text()), Some(trial.clone()));
        let applied = trial.clone().applied(now);
        assert_eq!(applied.applied, Some(Mono(5_000_000_000)));
        let text = applied.text();
        assert_eq!(Trial::parse(&text), Some(applied));
        assert!(
            text.starts_with("# Fieldcam: on trial until=65000 applied=5000 eth1 192.168.5.10/24 gateway="),
            "{text}"
        );
        assert!(trial.holds(now) && trial.holds(Mono(64_999_999_999)) && !trial.holds(Mono(65_000_000_000)));
        assert_eq!(Trial::parse(&kept(&setting)), None);
        for other in [
            "",
            "[Match]\n",
            HEAD,
            "# Fieldcam: on trial until=1",
            "# Fieldcam: on trial until=x applied=- eth0 dhcp",
        ] {
            assert_eq!(Trial::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_trial_stands_before_what_stays_and_that_before_what_was_provisioned() {
        let kept = kept_name(&Setting::parse(SETTING).unwrap());
        assert_eq!(kept, "05-set-eth1.network");
        let mut names = ["50-wired.network", "10-provisioned.network", kept.as_str(), FILE];
        names.sort_unstable();
        assert_eq!(names, [FILE, kept.as_str(), "10-provisioned.network", "50-wired.network"]);
    }

    #[test]
    fn the_images_units_end_this_very_trial() {
        let timer = include_str!("../../images/common/usr/lib/systemd/system/fieldcam-network-revert.timer");
        assert!(timer.contains(&format!("\nOnActiveSec={}\n", TRIAL.as_secs())), "{timer}");
        let service =
            include_str!("../../images/common/usr/lib/systemd/system/fieldcam-network-revert.service");
        let file = Trial::path(std::path::Path::new(TRIAL_FOLDER));
        assert!(service.contains(&format!("\nExecStart=/usr/bin/rm -f {}\n", file.display())), "{service}");
        let helper = include_str!("../../images/common/usr/lib/systemd/system/fieldcam-box.service");
        let may_write = helper.lines().find_map(|line| line.strip_prefix("ReadWritePaths=")).unwrap();
        for folder in [TRIAL_FOLDER, "/etc/systemd/network"] {
            assert!(may_write.split(' ').any(|path| path.trim_start_matches('-') == folder), "{may_write}");
        }
    }

    proptest! {
        #[test]
        fn no_file_panics(text in "(# Fieldcam: on trial )?(until=[0-9]{0,21} )?(applied=[0-9-]{0,3} )?(.|\n){0,40}") {
            let _ = Trial::parse(&text);
        }
    }
}
