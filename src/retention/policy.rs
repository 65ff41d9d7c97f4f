//! The policy: what the configuration and the API say about old footage.

use crate::base::{Error, Result};
use crate::config::Storage;

/// What decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// How old it is.
    Age,
    /// How large all of it is.
    Size,
    /// Somebody, one by one.
    Manual,
}

impl Kind {
    /// As configuration and API say it.
    pub const fn word(self) -> &'static str {
        match self {
            Kind::Age => "age",
            Kind::Size => "size",
            Kind::Manual => "manual",
        }
    }
}

/// What is deleted by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// What decides.
    pub kind: Kind,
    /// Whether it is carried out.
    pub enabled: bool,
    /// Days that footage and stills are kept; fractions too.
    pub max_age_days: Option<f64>,
    /// All recordings' size in 10^9 bytes.
    pub max_size_gb: Option<f64>,
    /// The same for each camera's.
    pub camera_max_size_gb: Option<f64>,
    /// Share of the disk in use from which the oldest goes so that recording goes on.
    pub floor_percent: Option<f64>,
}

/// A policy that somebody asks for over the API; what is left out stays as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    /// What is to decide.
    pub kind: Kind,
    /// Whether it is to be carried out.
    pub enabled: bool,
    /// As in [`Policy`].
    pub max_age_days: Option<f64>,
    /// As in [`Policy`].
    pub max_size_gb: Option<f64>,
}

impl Wish {
    /// Enters it into the settings. Fails with `InvalidParams` when the limit that decides is missing.
    pub fn enter(&self, storage: &mut Storage) -> Result<()> {
        let mut new = storage.clone();
        new.retention = self.kind.word().to_owned();
        new.retention_enabled = self.enabled;
        new.retention_max_age_days = self.max_age_days.or(storage.retention_max_age_days);
        new.retention_max_size_gb = self.max_size_gb.or(storage.retention_max_size_gb);
        let missing = |name: &str, example: &str| {
            Error::param(name, "is required, because no earlier call and no file has set it", example)
        };
        match self.kind {
            Kind::Age if self.enabled && new.retention_max_age_days.is_none() => {
                return Err(missing("max_age_days", "for example 7, or 0.5 for twelve hours"));
            }
            Kind::Size
                if self.enabled
                    && new.retention_max_size_gb.or(new.retention_camera_max_size_gb).is_none() =>
            {
                return Err(missing("max_size_gb", "for example 50; 1 is 10^9 bytes"));
            }
            _ => {}
        }
        *storage = new;
        Ok(())
    }

    /// The keys that this sets, and their values as TOML writes them.
    pub fn settings(&self) -> Vec<(&'static str, Option<String>)> {
        let mut all = vec![
            ("storage.retention", Some(format!("{:?}", self.kind.word()))),
            ("storage.retention_enabled", Some(self.enabled.to_string())),
        ];
        let limits = [
            ("storage.retention_max_age_days", self.max_age_days),
            ("storage.retention_max_size_gb", self.max_size_gb),
        ];
        all.extend(limits.into_iter().filter_map(|(key, n)| Some((key, Some(format!("{:?}", n?))))));
        all
    }
}

impl Policy {
    /// What the settings say.
    pub fn of(storage: &Storage) -> Self {
        Self {
            kind: match storage.retention.as_str() {
                "age" => Kind::Age,
                "size" => Kind::Size,
                _ => Kind::Manual,
            },
            enabled: storage.retention_enabled,
            max_age_days: storage.retention_max_age_days,
            max_size_gb: storage.retention_max_size_gb,
            camera_max_size_gb: storage.retention_camera_max_size_gb,
            floor_percent: storage.retention_floor_percent,
        }
    }

    /// How old footage may become, microseconds.
    pub fn max_age_us(&self) -> Option<i64> {
        let days = self.max_age_days.filter(|_| self.enabled && self.kind == Kind::Age)?;
        // A cast of a float saturates; what is longer than the calendar is for ever.
        Some((days * 86_400e6) as i64)
    }

    /// How large all recordings may become, bytes.
    pub fn max_bytes(&self) -> Option<u64> {
        self.bytes(self.max_size_gb)
    }

    /// How large one camera's recordings may become, bytes.
    pub fn camera_max_bytes(&self) -> Option<u64> {
        self.bytes(self.camera_max_size_gb)
    }

    fn bytes(&self, gb: Option<f64>) -> Option<u64> {
        Some((gb.filter(|_| self.enabled && self.kind == Kind::Size)? * 1e9) as u64)
    }

    /// From which use of the disk on the oldest goes.
    pub fn floor(&self) -> Option<f64> {
        self.floor_percent.filter(|_| self.enabled)
    }

    /// Whether it ever deletes anything.
    pub fn acts(&self) -> bool {
        self.max_age_us().is_some()
            || self.max_bytes().is_some()
            || self.camera_max_bytes().is_some()
            || self.floor().is_some()
    }

    /// What it does, for a person.
    pub fn message(&self) -> String {
        if !self.enabled {
            return "retention is switched off: nothing is deleted by itself".into();
        }
        let mut does = Vec::new();
        if let Some(days) = self.max_age_days.filter(|_| self.kind == Kind::Age) {
            let s = if days == 1.0 { "" } else { "s" };
            does.push(format!("recordings and snapshots older than {days} day{s} are deleted"));
        }
        if let Some(gb) = self.max_size_gb.filter(|_| self.kind == Kind::Size) {
            does.push(format!("the oldest recordings are deleted when all have more than {gb} GB"));
        }
        if let Some(gb) = self.camera_max_size_gb.filter(|_| self.kind == Kind::Size) {
            does.push(format!("a camera's oldest recordings are deleted when they have more than {gb} GB"));
        }
        if let Some(percent) = self.floor_percent {
            does.push(format!("from {percent} % disk use on the oldest recordings are deleted"));
        }
        if does.is_empty() { "nothing is deleted by itself".into() } else { does.join("; ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Loaded;

    fn storage(text: &str) -> Storage {
        Loaded::from_text(&format!("[storage]\n{text}")).unwrap().settings.storage
    }

    #[test]
    fn nothing_is_deleted_unless_it_was_asked_for() {
        let policy = Policy::of(&storage(""));
        assert_eq!((policy.kind, policy.acts()), (Kind::Manual, false));
        // A limit alone asks for nothing.
        assert!(!Policy::of(&storage("retention_max_age_days = 1")).acts());
        let off = "retention = \"age\"\nretention_max_age_days = 1\nretention_floor_percent = 80\n";
        assert!(Policy::of(&storage(off)).acts());
        assert!(!Policy::of(&storage(&format!("{off}retention_enabled = false"))).acts());
        assert!(Policy::of(&storage("retention_floor_percent = 80")).acts());
    }

    #[test]
    fn a_wish_keeps_what_it_does_not_name_and_needs_the_limit_that_decides() {
        let mut now = storage("retention_max_age_days = 3");
        let wish = |kind, max_age_days, max_size_gb| Wish { kind, enabled: true, max_age_days, max_size_gb };
        wish(Kind::Age, None, Some(1.5)).enter(&mut now).unwrap();
        let policy = Policy::of(&now);
        assert_eq!((policy.max_age_us(), policy.max_bytes()), (Some(3 * 86_400_000_000), None));
        wish(Kind::Size, None, None).enter(&mut now).unwrap();
        assert_eq!(Policy::of(&now).max_bytes(), Some(1_500_000_000));
        let mut empty = storage("");
        let error = wish(Kind::Age, None, Some(1.0)).enter(&mut empty).unwrap_err();
        assert_eq!(error.data()["param"], "max_age_days");
        assert_eq!(empty, storage(""));
    }

    #[test]
    fn what_is_kept_is_what_the_configuration_takes() {
        for (days, gb) in [(Some(0.5), Some(1e300)), (Some(7.0), None), (None, None)] {
            let wish = Wish { kind: Kind::Manual, enabled: false, max_age_days: days, max_size_gb: gb };
            let mut text = String::new();
            for (key, value) in wish.settings() {
                text += &format!("{} = {}\n", key.trim_start_matches("storage."), value.unwrap());
            }
            let read = storage(&text);
            let mut entered = storage("");
            wish.enter(&mut entered).unwrap();
            assert_eq!(read, entered);
            assert_eq!(Policy::of(&read).max_age_us(), None);
        }
        let huge = Policy {
            kind: Kind::Size,
            enabled: true,
            ..Policy::of(&storage("retention_max_size_gb = 1e300"))
        };
        assert_eq!(huge.max_bytes(), Some(u64::MAX));
    }
}
