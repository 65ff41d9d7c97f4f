//! Whether a folder is fit to keep recordings and the database.

use std::path::Path;

use nix::errno::Errno;
use nix::sys::statfs::statfs;
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{AccessFlags, access};

use crate::base::{Error, ErrorKind, Result};

const HINT: &str = "set storage.data_dir to a folder on ext4, btrfs, xfs or f2fs on this box's own disk";

/// Refuses `dir` on a file system that cannot keep what was synced to it, and where nothing can be
/// written. When it does not exist yet, the nearest existing folder above it is looked at.
pub fn check_data_dir(dir: &Path) -> Result<()> {
    let refuse = |why: &str| {
        let message = format!("The data directory {} cannot be used: {why}; {HINT}", dir.display());
        Error::new(ErrorKind::Config, message)
    };
    let existing = dir
        .ancestors()
        // A dangling link is there, but leads nowhere: creating it would fail later.
        .find(|p| p.symlink_metadata().is_ok())
        .ok_or_else(|| refuse("no folder above it exists"))?;
    let named = if existing == dir { String::new() } else { format!(" ({})", existing.display()) };
    match existing.metadata() {
        Ok(facts) if facts.is_dir() => {}
        Ok(_) => return Err(refuse(&format!("it is not a folder{named}"))),
        Err(e) => return Err(refuse(&format!("it cannot be looked at{named}")).caused_by(e)),
    }
    let kind = statfs(existing).map_err(|e| refuse("its file system cannot be asked").caused_by(e))?;
    // The number's type differs between C libraries.
    if let Some(why) = unfit(kind.filesystem_type().0 as _) {
        return Err(refuse(why));
    }
    let flags =
        statvfs(existing).map_err(|e| refuse("its file system cannot be asked").caused_by(e))?.flags();
    if flags.contains(FsFlags::ST_RDONLY) {
        return Err(refuse("its file system is mounted read-only"));
    }
    access(existing, AccessFlags::W_OK | AccessFlags::X_OK).map_err(|e| {
        let why = match e {
            Errno::EROFS => "its file system is mounted read-only".to_owned(),
            Errno::EPERM => format!("it is marked immutable{named}"),
            _ => format!("this user may not write there{named}"),
        };
        refuse(&why).caused_by(e)
    })
}

/// Why a file system, by the number statfs(2) gives for it, is unfit; nothing when it is not.
fn unfit(magic: i64) -> Option<&'static str> {
    let fat = "it is on a FAT or exFAT file system, which loses files when the power is cut";
    let ntfs = "it is on NTFS, whose driver does not keep what was written when the power is cut";
    let network = "it is on a network file system, which may go away and cannot lock the database safely";
    let fuse = "it is on a FUSE file system (NTFS, sshfs and shared folders are mounted so), which does not promise to \
                keep what was written";
    // Some architectures sign-extend the 32-bit numbers.
    Some(match magic & 0xffff_ffff {
        0x4d44 | 0x2011_bab0 => fat,
        0x5346_544e | 0x7366_746e => ntfs,
        0x6573_5546 => fuse,
        // NFS, SMB, CIFS, SMB2, 9P, Ceph, AFS (two), Coda, NCP.
        0x6969 | 0x517b | 0xff53_4d42 | 0xfe53_4d42 | 0x0102_1997 | 0x00c3_6400 | 0x5346_414f
        | 0x6b41_4653 | 0x7375_7245 | 0x564c => network,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use nix::mount::{MsFlags, mount};
    use nix::sched::{CloneFlags, unshare};

    use super::*;

    #[test]
    fn file_systems_that_lose_data_are_refused_by_name() {
        for (magic, word) in [
            (0x4d44, "FAT"),
            (0x2011_bab0, "exFAT"),
            (0x7366_746e, "NTFS"),
            (0x6573_5546, "FUSE"),
            (0x6969, "network"),
            (0xff53_4d42, "network"),
            (-11_317_950, "network"),
        ] {
            assert!(unfit(magic).is_some_and(|why| why.contains(word)), "{magic:#x}");
        }
        for ext4_btrfs_xfs_f2fs_tmpfs_overlay in
            [0xef53, 0x9123_683e, 0x5846_5342, 0xf2f5_2010, 0x0102_1994, 0x794c_7630]
        {
            assert_eq!(unfit(ext4_btrfs_xfs_f2fs_tmpfs_overlay), None);
        }
    }

    #[test]
    fn a_folder_that_does_not_exist_yet_is_judged_by_its_parent() {
        let dir = tempfile::tempdir().unwrap();
        check_data_dir(&dir.path().join("a/b/c")).unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        let e = check_data_dir(&dir.path().join("file/below")).unwrap_err();
        assert!(e.to_string().contains("not a folder"), "{e}");
        std::os::unix::fs::symlink("/nowhere/at/all", dir.path().join("link")).unwrap();
        assert!(check_data_dir(&dir.path().join("link")).is_err());
    }

    /// Runs `test` on a fresh tmpfs in a mount namespace of its own thread, where the machine allows.
    fn on_tmpfs(flags: MsFlags, test: impl FnOnce(&Path) + Send) {
        let dir = tempfile::tempdir().unwrap();
        let mounted = |path: &Path| {
            unshare(CloneFlags::CLONE_NEWNS)?;
            mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
            mount(Some("tmpfs"), path, Some("tmpfs"), flags, None::<&str>)
        };
        std::thread::scope(|scope| {
            scope.spawn(|| match mounted(dir.path()) {
                Ok(()) => test(dir.path()),
                Err(e) => println!("skipped: this user may not mount: {e}"),
            });
        });
    }

    #[test]
    fn a_read_only_mount_is_refused_for_root_too() {
        on_tmpfs(MsFlags::MS_RDONLY, |dir| {
            for path in [dir.to_owned(), dir.join("below")] {
                let e = check_data_dir(&path).unwrap_err();
                assert!(e.message().contains("mounted read-only"), "{e}");
            }
        });
        on_tmpfs(MsFlags::empty(), |dir| check_data_dir(dir).unwrap());
    }

    #[test]
    fn a_file_system_without_writing_is_refused() {
        let e = check_data_dir(Path::new("/proc/self")).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Config);
    }
}
