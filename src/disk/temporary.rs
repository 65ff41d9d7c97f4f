//! A data directory that is only for now.

use std::path::Path;

use crate::base::Error;

/// Why the data directory is in memory, until the next start: the start of the system found no data partition to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Temporary {
    /// There is none.
    Missing,
    /// It is no data partition of ours.
    Foreign,
    /// It cannot be repaired.
    Broken,
}

impl Temporary {
    /// The word of the start.
    pub const fn word(self) -> &'static str {
        match self {
            Temporary::Missing => "missing",
            Temporary::Foreign => "foreign",
            Temporary::Broken => "broken",
        }
    }

    /// What happened, for a person.
    pub const fn message(self) -> &'static str {
        match self {
            Temporary::Missing => "the box found no data partition when it started",
            Temporary::Foreign => "the data partition is not one that this box made",
            Temporary::Broken => "the data partition is damaged and could not be repaired",
        }
    }

    /// What to do.
    pub const fn suggestion(self) -> &'static str {
        match self {
            Temporary::Missing => "put the card or disk back and restart the box; nothing is kept until then",
            Temporary::Foreign => {
                "put the box's own card back, or ask for a factory reset, which makes it anew"
            }
            Temporary::Broken => "save what is needed from the card elsewhere, then ask for a factory reset",
        }
    }

    /// What the start of the system left in its folder `boot`; none: the data is kept. Blocks for a small file.
    pub fn of_start(boot: &Path) -> Option<Temporary> {
        let word = std::fs::read(boot.join("data")).ok()?;
        Some(Self::parse(&String::from_utf8_lossy(&word)))
    }

    /// Reads the word of the start.
    pub fn parse(text: &str) -> Temporary {
        match text.trim() {
            "missing" => Temporary::Missing,
            "foreign" => Temporary::Foreign,
            // A word that a later start knows: the cautious reading.
            _ => Temporary::Broken,
        }
    }

    /// Why nothing is recorded.
    pub fn error(self) -> Error {
        Error::dependency("storage", format!("{}; nothing would be kept", self.message()))
            .with("reason", format!("data_{}", self.word()))
            .with("suggestion", self.suggestion())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_of_the_start_says_what_to_do() {
        for (word, reason) in
            [("missing\n", "data_missing"), ("foreign", "data_foreign"), ("broken", "data_broken")]
        {
            let error = Temporary::parse(word).error();
            assert_eq!(error.data()["reason"], reason);
            assert!(error.data()["suggestion"].as_str().is_some_and(|text| text.len() > 20));
        }
        assert_eq!(Temporary::parse("strange"), Temporary::Broken);
    }
}
