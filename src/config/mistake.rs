//! Mistakes in the configuration, and where each value comes from.

use std::fmt::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use crate::base::{Error, ErrorKind};

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Built in.
    Default,
    /// A file, and the line and column as far as they are known; both count from 1.
    File {
        /// The file.
        path: Arc<Path>,
        /// Line.
        line: Option<usize>,
        /// Column.
        column: Option<usize>,
    },
    /// A setting made over the API, kept in the database.
    Api,
    /// An environment variable.
    Variable(String),
}

impl Origin {
    pub(super) fn file(path: &Arc<Path>, line: Option<usize>) -> Self {
        Self::File { path: path.clone(), line, column: None }
    }

    pub(super) fn is_same_file(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File { path: a, .. }, Self::File { path: b, .. }) => a == b,
            (a, b) => a == b,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::Api => f.write_str("set over the API"),
            Origin::File { path, line, column } => {
                write!(f, "{}", path.display())?;
                for place in [line, column].into_iter().flatten() {
                    write!(f, ":{place}")?;
                }
                Ok(())
            }
            Origin::Variable(name) => f.write_str(name),
        }
    }
}

/// One mistake: where, at which key, what is wrong and what to write instead. Never holds the value
/// of a secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// Where it was written.
    pub origin: Origin,
    /// The key, such as `server.listen` or `camera[1].source` (the second `[[camera]]` of that
    /// file); empty when the mistake is about the file as a whole.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub hint: String,
}

impl Mistake {
    /// As it is printed, with the file's name instead of its path.
    pub fn without_folder(&self) -> String {
        let mut mistake = self.clone();
        if let Origin::File { path, .. } = &mut mistake.origin
            && let Some(name) = path.file_name()
        {
            *path = Path::new(name).into();
        }
        mistake.to_string()
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = if self.key.is_empty() { String::new() } else { format!("{}: ", self.key) };
        let line = format!("{}: {key}{}; {}", self.origin, self.what, self.hint);
        // Names and paths may hold anything; a mistake stays one line and leaves the terminal alone.
        line.chars().try_for_each(|c| {
            if c.is_control() { write!(f, "{}", c.escape_default()) } else { f.write_char(c) }
        })
    }
}

/// Every mistake that was found, sorted by place; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    pub(super) fn new(mut found: Vec<Mistake>) -> Self {
        found.sort();
        found.dedup();
        Self(found)
    }

    /// Each mistake.
    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.0.iter()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&super::report_mistakes(self))
    }
}

impl std::error::Error for Mistakes {}

impl From<Mistakes> for Error {
    fn from(mistakes: Mistakes) -> Self {
        Error::new(ErrorKind::Config, super::report_mistakes(&mistakes).trim_end())
    }
}

/// The candidate that `wrong` most likely meant, if one is near enough to be worth naming.
pub(super) fn nearest<'a>(wrong: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_ascii_lowercase().replace('-', "_");
    let wrong = plain(wrong);
    candidates
        .into_iter()
        .map(|c| (strsim::damerau_levenshtein(&wrong, &plain(c)), strsim::jaro_winkler(&wrong, &plain(c)), c))
        .filter(|(edits, likeness, _)| *edits <= 2 && *edits < wrong.len() || *likeness > 0.85)
        .min_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)))
        .map(|(_, _, c)| c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_near() {
        let names = ["listen", "max_connections", "idle_timeout", "allowed_origins"];
        for (wrong, right) in [
            ("lisen", Some("listen")),
            ("Listen", Some("listen")),
            ("max-connections", Some("max_connections")),
            ("max_connection", Some("max_connections")),
            ("timeout_idle", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(wrong, names), right, "{wrong}");
        }
    }
}
