//! The keys of the boxes that this user has claimed: `~/.config/fieldcam/box_keys`, for this user alone; a line
//! `CERTIFICATE KEY` for each, so that a key goes to the box that gave it and to no other, by whatever name that is
//! reached. Without TLS, which is on the box itself alone, `HOST:PORT KEY`.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use super::known;
use super::link::Link;
use crate::base::{Error, ErrorKind, Result, Secret};
use crate::durable::replace_private;

/// The file, where this user has a place for one.
pub(super) struct BoxKeys(Option<PathBuf>);

impl BoxKeys {
    /// That of this user.
    pub fn open() -> Self {
        Self(known::folder().map(|dir| dir.join("box_keys")))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.text()?.lines().all(|line| entry(line).is_none()))
    }

    /// The key of the box at the other end.
    pub fn get(&self, link: &Link) -> Result<Option<Secret>> {
        let name = name(link);
        let text = self.text()?;
        Ok(name
            .and_then(|name| text.lines().filter_map(entry).find(|(n, _)| *n == name))
            .map(|(_, key)| Secret::new(key)))
    }

    /// Makes sure that a key can be kept, before there is one.
    pub fn prepare(&self) -> Result<()> {
        self.write(&self.text()?)
    }

    /// Keeps the key of the box at the other end, in place of another one. It survives a power cut.
    pub fn put(&self, link: &Link, key: &Secret) -> Result<()> {
        let name = name(link).ok_or_else(|| Error::internal("a key for a box without a name"))?;
        self.write(&with(&self.text()?, &name, key.expose()))
    }

    /// Forgets the key of the box at the other end.
    pub fn forget(&self, link: &Link) -> Result<()> {
        let (text, name) = (self.text()?, name(link).unwrap_or_default());
        let rest = without(&text, &name);
        if rest == text { Ok(()) } else { self.write(&rest) }
    }

    /// Where it is, for people.
    pub fn shown(&self) -> String {
        self.0.as_ref().map_or_else(String::new, |path| path.display().to_string())
    }

    fn write(&self, text: &str) -> Result<()> {
        let Some(path) = &self.0 else {
            return Err(Error::new(ErrorKind::AuthFailed, "There is no place to keep the box's key")
                .with("suggestion", "set HOME or XDG_CONFIG_HOME"));
        };
        let written = || {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path.parent().expect("a file in a folder"))?;
            replace_private(path, text.as_bytes())
        };
        written().map_err(|e| {
            Error::new(ErrorKind::AuthFailed, format!("{} cannot be written: {e}", path.display()))
                .with("suggestion", "make it writable, or set XDG_CONFIG_HOME to another folder")
        })
    }

    fn text(&self) -> Result<String> {
        let Some(path) = &self.0 else { return Ok(String::new()) };
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(text),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(e) => {
                Err(Error::new(ErrorKind::AuthFailed, format!("{} cannot be read: {e}", path.display()))
                    .with("suggestion", "it holds the keys of your boxes; make it readable"))
            }
        }
    }
}

/// What tells the box at the other end: its certificate, or that it is this machine.
fn name(link: &Link) -> Option<String> {
    let host = link.host();
    link.fingerprint().map(|f| f.to_string()).or_else(|| host.is_loopback().then(|| host.to_string()))
}

fn entry(line: &str) -> Option<(&str, &str)> {
    let (name, key) = line.trim().split_once(' ')?;
    (!name.is_empty() && !key.contains(' ')).then_some((name, key))
}

/// `text` with this box's line instead of those it had; others stay as they are.
fn with(text: &str, name: &str, key: &str) -> String {
    format!("{}{name} {key}\n", without(text, name))
}

fn without(text: &str, name: &str) -> String {
    let others = text.lines().filter(|line| entry(line).is_none_or(|(known, _)| known != name));
    others.map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_box_has_one_key_and_nobody_else_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/box_keys");
        let keys = BoxKeys(Some(path.clone()));
        assert!(keys.is_empty().unwrap());
        keys.prepare().unwrap();
        assert!(keys.is_empty().unwrap());
        let text = with(&with(&with("", "AB:CD", "one"), "box:1", "two"), "AB:CD", "three");
        assert_eq!(text, "box:1 two\nAB:CD three\n");
        keys.write(&text).unwrap();
        assert!(!keys.is_empty().unwrap());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, b"\xff").unwrap();
        assert!(keys.is_empty().is_err(), "a file that cannot be read is not taken for none");
        assert!(BoxKeys(None).prepare().is_err() && BoxKeys(None).is_empty().unwrap());
    }
}
