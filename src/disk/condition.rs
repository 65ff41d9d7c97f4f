//! What can be wrong with the data disk, in words for a program and for a person.

use std::io;

use crate::base::Error;

/// The state of the data disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It is the right one and takes what is written.
    Fine,
    /// Nothing fits on it: no blocks, no inodes or no quota.
    Full,
    /// It refuses writing as a whole.
    ReadOnly,
    /// Reading or writing fails.
    Failing,
    /// It is not there: unmounted, or its directory removed.
    Gone,
    /// Another disk is in its place.
    Foreign,
    /// Another daemon has taken it.
    Taken,
}

impl Condition {
    /// Nothing is wrong.
    pub fn is_fine(self) -> bool {
        self == Condition::Fine
    }

    /// What is there can still be read.
    pub fn is_readable(self) -> bool {
        matches!(self, Condition::Fine | Condition::Full | Condition::ReadOnly)
    }

    /// A word for programs.
    pub const fn word(self) -> &'static str {
        match self {
            Condition::Fine => "fine",
            Condition::Full => "disk_full",
            Condition::ReadOnly => "disk_read_only",
            Condition::Failing => "io_error",
            Condition::Gone => "disk_gone",
            Condition::Foreign => "disk_foreign",
            Condition::Taken => "disk_taken",
        }
    }

    /// What is wrong, for a person.
    pub const fn text(self) -> &'static str {
        match self {
            Condition::Fine => "the data disk works",
            Condition::Full => "the data disk is full",
            Condition::ReadOnly => "the data disk is read-only",
            Condition::Failing => "the data disk fails to read or write",
            Condition::Gone => "the data disk is gone",
            Condition::Foreign => "another disk is in the place of the data disk",
            Condition::Taken => "another Fieldcam uses the data disk",
        }
    }

    /// What to do about it.
    pub const fn advice(self) -> &'static str {
        match self {
            Condition::Fine => "nothing is to be done",
            Condition::Full => "free some space; recording goes on by itself",
            Condition::ReadOnly => {
                "make it writable again, or unmount, check and mount it; recording goes on by itself"
            }
            Condition::Failing => {
                "look into the kernel's log, then unmount, check and mount it, or replace it; recording goes on by itself"
            }
            Condition::Gone => "mount it again; recording goes on by itself",
            Condition::Foreign => "put the right disk back, or start Fieldcam again to use this one",
            Condition::Taken => "stop the other one; recording goes on by itself",
        }
    }

    /// What a failed read or write says of the disk; none when it says nothing of it.
    pub fn of_error(error: &io::Error) -> Option<Condition> {
        use io::ErrorKind::{NotADirectory, NotFound, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        /// Input/output error.
        const EIO: i32 = 5;
        /// The structure needs cleaning: ext4 and xfs found damage.
        const EUCLEAN: i32 = 117;
        /// No such device, or no such device or address: it was pulled out.
        const PULLED: [i32; 2] = [6, 19];
        Some(match error.kind() {
            StorageFull | QuotaExceeded => Condition::Full,
            ReadOnlyFilesystem => Condition::ReadOnly,
            NotFound | NotADirectory => Condition::Gone,
            _ => match error.raw_os_error() {
                Some(EIO | EUCLEAN) => Condition::Failing,
                Some(code) if PULLED.contains(&code) => Condition::Failing,
                _ => return None,
            },
        })
    }

    /// Why nothing can be done on the disk now, for a client; none when it is fine.
    pub fn error(self) -> Option<Error> {
        (!self.is_fine()).then(|| {
            Error::dependency("storage", self.text())
                .with("reason", self.word())
                .with("suggestion", self.advice())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_becomes_a_condition_or_nothing() {
        let table = [
            (28, Some(Condition::Full)),
            (122, Some(Condition::Full)),
            (30, Some(Condition::ReadOnly)),
            (5, Some(Condition::Failing)),
            (117, Some(Condition::Failing)),
            (19, Some(Condition::Failing)),
            (2, Some(Condition::Gone)),
            (20, Some(Condition::Gone)),
            // An immutable folder is no fault of the disk.
            (1, None),
            (13, None),
        ];
        for (code, expected) in table {
            assert_eq!(Condition::of_error(&io::Error::from_raw_os_error(code)), expected, "errno {code}");
        }
    }

    #[test]
    fn a_client_learns_what_is_wrong_and_what_to_do() {
        assert!(Condition::Fine.error().is_none());
        let e = Condition::Foreign.error().unwrap();
        assert_eq!(e.data()["reason"], "disk_foreign");
        assert!(e.data()["suggestion"].as_str().unwrap().contains("start Fieldcam again"));
    }
}
