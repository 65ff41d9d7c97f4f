//! One look at the place where the data disk should be. Blocks.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use nix::sys::statvfs::{FsFlags, statvfs};

use super::held::{Seen, place};
use super::identity::{self, Stamp};
use super::{Condition, Inner};

/// What is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// The disk that we hold.
    Held {
        read_only: bool,
    },
    /// The disk we know, and not in our hands: it was let go, or mounted again from another device.
    Back,
    Missing,
    Foreign,
    Failing,
}

impl Look {
    /// What this alone says of the disk.
    pub(super) fn condition(self) -> Condition {
        match self {
            Look::Held { read_only: false } => Condition::Fine,
            Look::Held { read_only: true } => Condition::ReadOnly,
            // The one that we hold is not there.
            Look::Back | Look::Missing => Condition::Gone,
            Look::Foreign => Condition::Foreign,
            Look::Failing => Condition::Failing,
        }
    }
}

/// Looks at the data directory.
pub(super) fn at(inner: &Inner) -> Look {
    let (id, seen) = {
        let held = inner.held();
        (held.id, held.seen)
    };
    match looked(&inner.root, id, seen) {
        Ok(look) => look,
        Err(e) => match Condition::of_error(&e) {
            Some(Condition::Failing) => Look::Failing,
            _ => Look::Missing,
        },
    }
}

fn looked(root: &Path, id: uuid::Uuid, seen: Option<Seen>) -> io::Result<Look> {
    let stamp = Stamp::of(root)?;
    if seen.is_some_and(|s| s.stamp == stamp) {
        let flags = statvfs(root)?.flags();
        return Ok(Look::Held { read_only: flags.contains(FsFlags::ST_RDONLY) });
    }
    if identity::read(root)? != Some(id) {
        return Ok(Look::Foreign);
    }
    // The same directory whose file was replaced, by an operator who restored a copy of it.
    let dir = place(&fs::metadata(root)?);
    Ok(if seen.is_some_and(|s| s.dir == dir) { Look::Held { read_only: false } } else { Look::Back })
}

/// Writes, syncs and removes a few bytes.
pub(super) fn try_write(held: &Path) -> io::Result<()> {
    let path = held.join("run/.disk-probe");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&path)?;
    let written = file.write_all(&[0; 512]).and_then(|()| file.sync_all());
    let removed = fs::remove_file(&path);
    written.and(removed)
}
