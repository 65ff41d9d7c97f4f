//! The boxes that this user has met, each with its certificate's fingerprint:
//! `~/.config/fieldcam/known_boxes`, a line `HOST:PORT FINGERPRINT` for each.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use super::host::Host;
use crate::base::{Error, ErrorKind, Result};
use crate::durable::publish;
use crate::tls::Fingerprint;

/// The file, where this user has a place for one.
pub(super) struct Known(Option<PathBuf>);

impl Known {
    /// That of this user.
    pub fn open() -> Self {
        Self(folder().map(|dir| dir.join("known_boxes")))
    }

    /// What is known of a box. Fails when there is a file that cannot be read: that is no first time.
    pub fn get(&self, host: &Host) -> Result<Option<Fingerprint>> {
        let name = host.to_string();
        Ok(self.text()?.lines().filter_map(entry).find(|(known, _)| *known == name).map(|(_, f)| f))
    }

    /// Remembers a box, in place of what was known of it.
    pub fn put(&self, host: &Host, fingerprint: Fingerprint) -> Result<()> {
        self.write(&with(&self.text()?, &host.to_string(), fingerprint))
    }

    /// Forgets a box.
    pub fn forget(&self, host: &Host) -> Result<()> {
        let text = self.text()?;
        let rest = without(&text, &host.to_string());
        if rest == text { Ok(()) } else { self.write(&rest) }
    }

    fn write(&self, text: &str) -> Result<()> {
        let Some(path) = &self.0 else {
            return Err(Error::new(ErrorKind::AuthFailed, "this user has no home folder"));
        };
        let written = || {
            let folder = path.parent().expect("a file in a folder");
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            publish(path, text.as_bytes(), 0o600)
        };
        written().map_err(|e| {
            Error::new(ErrorKind::AuthFailed, format!("{} cannot be written: {e}", path.display()))
        })
    }

    fn text(&self) -> Result<String> {
        let Some(path) = &self.0 else { return Ok(String::new()) };
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(text),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(e) => {
                let what = format!("{} cannot be read: {e}", path.display());
                Err(Error::new(ErrorKind::AuthFailed, what)
                    .with("suggestion", "it tells which boxes are the right ones; make it readable"))
            }
        }
    }
}

/// Where this user keeps what is known of boxes, if anywhere.
pub(super) fn folder() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let config = folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")));
    config.map(|dir| dir.join("fieldcam"))
}

fn entry(line: &str) -> Option<(&str, Fingerprint)> {
    let (host, fingerprint) = line.trim().split_once(' ')?;
    Some((host, fingerprint.parse().ok()?))
}

/// `text` with this box's line instead of those it had; others stay as they are.
fn with(text: &str, host: &str, fingerprint: Fingerprint) -> String {
    format!("{}{host} {fingerprint}\n", without(text, host))
}

fn without(text: &str, host: &str) -> String {
    let others = text.lines().filter(|line| entry(line).is_none_or(|(known, _)| known != host));
    others.map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_box_has_one_line_and_others_keep_theirs() {
        let dir = tempfile::tempdir().unwrap();
        let known = Known(Some(dir.path().join("a/known_boxes")));
        let [one, two]: [Host; 2] = ["box:1", "[::1]:2"].map(|h| h.parse().unwrap());
        let [a, b] = [b"a", b"b"].map(|c| Fingerprint::of(c));
        assert_eq!(known.get(&one).unwrap(), None);
        known.put(&one, a).unwrap();
        known.put(&two, a).unwrap();
        known.put(&one, b).unwrap();
        assert_eq!((known.get(&one).unwrap(), known.get(&two).unwrap()), (Some(b), Some(a)));
        let text = std::fs::read_to_string(dir.path().join("a/known_boxes")).unwrap();
        assert_eq!(text.lines().count(), 2);
        std::fs::write(dir.path().join("a/known_boxes"), b"\xff").unwrap();
        assert!(known.get(&one).is_err(), "a file that cannot be read is not taken for a first time");
        assert!(Known(None).put(&one, a).is_err() && Known(None).get(&one).unwrap().is_none());
    }

    proptest! {
        #[test]
        fn no_file_panics(text in ".*") {
            let fingerprint = Fingerprint::of(b"a");
            let text = with(&text, "box:1", fingerprint);
            let found = text.lines().filter_map(entry).find(|(known, _)| *known == "box:1");
            prop_assert_eq!(found, Some(("box:1", fingerprint)));
        }
    }
}
