//! The keys of the boxes that this user has claimed: `~/.config/fieldcam/box_keys`, for this user alone; a line
//! `CERTIFICATE KEY` for each, so that a key goes to the box that gave it and to no other, by whatever name that is
//! reached. Without TLS, which is on the box itself alone, `HOST:PORT KEY`.

use super::lines::Lines;
use super::link::Link;
use crate::base::{Error, Result, Secret};

/// The file, where this user has a place for one.
pub(super) struct BoxKeys(Lines);

impl BoxKeys {
    /// That of this user.
    pub fn open() -> Self {
        Self(Lines::open("box_keys", "There is no place to keep the box's key", "the keys of your boxes"))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> Result<bool> {
        self.0.is_empty()
    }

    /// The key of the box at the other end.
    pub fn get(&self, link: &Link) -> Result<Option<Secret>> {
        self.0.get(&name(link).unwrap_or_default(), |key| Some(Secret::new(key)))
    }

    /// Makes sure that a key can be kept, before there is one.
    pub fn prepare(&self) -> Result<()> {
        self.0.prepare()
    }

    /// Keeps the key of the box at the other end, in place of another one. It survives a power cut.
    pub fn put(&self, link: &Link, key: &Secret) -> Result<()> {
        let name = name(link).ok_or_else(|| Error::internal("a key for a box without a name"))?;
        self.0.put(&name, key.expose())
    }

    /// Forgets the key of the box at the other end.
    pub fn forget(&self, link: &Link) -> Result<()> {
        self.0.forget(&name(link).unwrap_or_default())
    }

    /// Where it is, for people.
    pub fn shown(&self) -> String {
        self.0.shown()
    }
}

/// What tells the box at the other end: its certificate, or that it is this machine.
fn name(link: &Link) -> Option<String> {
    let host = link.host();
    link.fingerprint().map(|f| f.to_string()).or_else(|| host.is_loopback().then(|| host.to_string()))
}
