//! The boxes that this user has met, each with its certificate's fingerprint:
//! `~/.config/fieldcam/known_boxes`, a line `HOST:PORT FINGERPRINT` for each.

use super::host::Host;
use super::lines::Lines;
use crate::base::Result;
use crate::tls::Fingerprint;

/// The file, where this user has a place for one.
pub(super) struct Known(Lines);

impl Known {
    /// That of this user.
    pub fn open() -> Self {
        Self(Lines::open(
            "known_boxes",
            "this user has no home folder",
            "the certificates of the boxes that you have met",
        ))
    }

    /// What is known of a box. Fails when there is a file that cannot be read: that is no first time.
    pub fn get(&self, host: &Host) -> Result<Option<Fingerprint>> {
        self.0.get(&host.to_string(), |fingerprint| fingerprint.parse().ok())
    }

    /// Remembers a box, in place of what was known of it.
    pub fn put(&self, host: &Host, fingerprint: Fingerprint) -> Result<()> {
        self.0.put(&host.to_string(), &fingerprint.to_string())
    }

    /// Forgets a box.
    pub fn forget(&self, host: &Host) -> Result<()> {
        self.0.forget(&host.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_no_fingerprint_is_no_certificate() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("known_boxes");
        let known = Known(Lines::at(Some(path.clone()), "nowhere", "boxes"));
        let host: Host = "[::1]:2".parse().unwrap();
        let [a, b] = [b"a", b"b"].map(|c| Fingerprint::of(c));
        known.put(&host, a).unwrap();
        known.put(&host, b).unwrap();
        assert_eq!(known.get(&host).unwrap(), Some(b));
        std::fs::write(&path, "[::1]:2 nonsense\n").unwrap();
        assert_eq!(known.get(&host).unwrap(), None);
    }
}
