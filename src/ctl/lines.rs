//! A file of this user with a line `BOX WORD` for each box, in `~/.config/fieldcam`, for this user alone.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use crate::base::{Error, ErrorKind, Result};
use crate::durable::replace_private;

/// The file, where this user has a place for one.
pub(super) struct Lines {
    path: Option<PathBuf>,
    /// Said when there is no place.
    nowhere: &'static str,
    /// What it holds, for whoever cannot read it.
    holds: &'static str,
}

impl Lines {
    /// The file `name` of this user. `nowhere` is said when there is no place to write it to, `holds` when it cannot be
    /// read ("it holds …").
    pub fn open(name: &str, nowhere: &'static str, holds: &'static str) -> Self {
        Self::at(folder().map(|dir| dir.join(name)), nowhere, holds)
    }

    /// The file at `path`.
    pub fn at(path: Option<PathBuf>, nowhere: &'static str, holds: &'static str) -> Self {
        Self { path, nowhere, holds }
    }

    /// The first word of a box that `read` takes. Fails (`AuthFailed`) when there is a file that cannot be read: that is
    /// no first time.
    pub fn get<T>(&self, name: &str, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>> {
        let text = self.text()?;
        Ok(text.lines().filter_map(entry).filter(|(n, _)| *n == name).find_map(|(_, word)| read(word)))
    }

    /// Whether it tells of no box.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.text()?.lines().all(|line| entry(line).is_none()))
    }

    /// Puts a box's word in place of another one. It survives a power cut.
    pub fn put(&self, name: &str, word: &str) -> Result<()> {
        self.write(&with(&self.text()?, name, word))
    }

    /// Forgets a box.
    pub fn forget(&self, name: &str) -> Result<()> {
        let text = self.text()?;
        let rest = without(&text, name);
        if rest == text { Ok(()) } else { self.write(&rest) }
    }

    /// Writes it as it is: fails where a later word could not be kept.
    pub fn prepare(&self) -> Result<()> {
        self.write(&self.text()?)
    }

    /// Where it is, for people.
    pub fn shown(&self) -> String {
        self.path.as_ref().map_or_else(String::new, |path| path.display().to_string())
    }

    fn write(&self, text: &str) -> Result<()> {
        let Some(path) = &self.path else {
            return Err(Error::new(ErrorKind::AuthFailed, self.nowhere)
                .with("suggestion", "set HOME or XDG_CONFIG_HOME"));
        };
        let written = || {
            let folder = path.parent().expect("a file in a folder");
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            replace_private(path, text.as_bytes())
        };
        written().map_err(|e| {
            Error::new(ErrorKind::AuthFailed, format!("{} cannot be written: {e}", path.display()))
                .with("suggestion", "make it writable, or set XDG_CONFIG_HOME to another folder")
        })
    }

    fn text(&self) -> Result<String> {
        let Some(path) = &self.path else { return Ok(String::new()) };
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(text),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(e) => {
                Err(Error::new(ErrorKind::AuthFailed, format!("{} cannot be read: {e}", path.display()))
                    .with("suggestion", format!("it holds {}; make it readable", self.holds)))
            }
        }
    }
}

/// Where this user keeps what is known of boxes, if anywhere.
fn folder() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let config = folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")));
    config.map(|dir| dir.join("fieldcam"))
}

/// A box and its word; none: the line is nobody's of ours, and stays.
fn entry(line: &str) -> Option<(&str, &str)> {
    let (name, word) = line.trim().split_once(' ')?;
    (!word.contains(' ')).then_some((name, word))
}

/// `text` with this box's line instead of those it had; others stay as they are.
fn with(text: &str, name: &str, word: &str) -> String {
    format!("{}{name} {word}\n", without(text, name))
}

fn without(text: &str, name: &str) -> String {
    let others = text.lines().filter(|line| entry(line).is_none_or(|(known, _)| known != name));
    others.map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::*;

    use super::*;

    fn word(lines: &Lines, name: &str) -> Option<String> {
        lines.get(name, |word| Some(word.to_owned())).unwrap()
    }

    #[test]
    fn a_box_has_one_line_and_others_keep_theirs() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/file");
        let lines = Lines::at(Some(path.clone()), "nowhere", "what it holds");
        assert!(lines.is_empty().unwrap());
        lines.prepare().unwrap();
        assert!(lines.is_empty().unwrap());
        lines.put("AB:CD", "one").unwrap();
        lines.put("[::1]:2", "two").unwrap();
        lines.put("AB:CD", "three").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "[::1]:2 two\nAB:CD three\n");
        assert_eq!((word(&lines, "AB:CD"), word(&lines, "AB")), (Some("three".into()), None));
        lines.forget("[::1]:2").unwrap();
        assert_eq!((word(&lines, "[::1]:2"), lines.is_empty().unwrap()), (None, false));
        let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&dir.path().join("a"))), (0o600, 0o700), "nobody else reads it");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_not_taken_for_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, b"\xff").unwrap();
        let lines = Lines::at(Some(path), "nowhere", "the boxes");
        let error = lines.get("a", |_| Some(())).unwrap_err();
        assert_eq!(error.data()["suggestion"], "it holds the boxes; make it readable");
        assert!(lines.is_empty().is_err() && lines.put("a", "b").is_err());
        let none = Lines::at(None, "nowhere", "");
        assert!(none.is_empty().unwrap() && word(&none, "a").is_none());
        assert_eq!(none.prepare().unwrap_err().message(), "nowhere");
    }

    proptest! {
        #[test]
        fn no_file_panics(text in ".*") {
            let text = with(&text, "box:1", "word");
            let found = text.lines().filter_map(entry).find(|(known, _)| *known == "box:1");
            prop_assert_eq!(found, Some(("box:1", "word")));
        }
    }
}
