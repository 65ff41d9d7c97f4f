//! Root at work in the service's folder: as the service, so that what lies there cannot lead root elsewhere and what
//! is made belongs to whom it should.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{Gid, Uid, getegid, geteuid, getgroups, setegid, seteuid, setgroups};

use crate::base::{Error, ErrorKind, Result};

/// Does `work` with the rights of whoever owns `dir`, and nothing beyond them; where that is oneself, or this is
/// not root, with one's own. The whole process has them meanwhile.
///
/// Fails with `Config` when `dir` is not there or its owner cannot be become.
pub(super) fn as_owner<T>(dir: &Path, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let there = fs::metadata(dir).map_err(|e| refused("is not there", e))?;
    if !geteuid().is_root() || there.uid() == 0 {
        return work();
    }
    let own = (geteuid(), getegid(), getgroups().map_err(|e| refused("cannot be used", e.into()))?);
    let (user, group) = (Uid::from_raw(there.uid()), Gid::from_raw(there.gid()));
    let lower = || {
        setgroups(&[group])?;
        setegid(group)?;
        seteuid(user)
    };
    let lowered = lower();
    let done = lowered.map_err(|e| refused("belongs to another user", e.into())).and_then(|()| work());
    let raised = seteuid(own.0).and_then(|()| setegid(own.1)).and_then(|()| setgroups(&own.2));
    raised.expect("whoever was root may be so again");
    done
}

fn refused(why: &str, e: io::Error) -> Error {
    Error::new(
        ErrorKind::Config,
        format!("the data directory {why}; start the box once, or set storage.data_dir"),
    )
    .caused_by(e)
}
