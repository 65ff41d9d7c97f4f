//! The storage guard: when to warn, when to refuse, when to stop, and the bytes kept for that.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::statvfs::statvfs;

use super::folder::Places;
use super::view::StorageView;
use crate::base::units::show_size;
use crate::base::{Error, Result};

/// What the disk says of itself, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Space {
    pub total: u64,
    pub free: u64,
    /// Free to us; the rest of `free` is root's.
    pub available: u64,
}

impl Space {
    /// Asks the kernel. Blocks.
    #[allow(clippy::useless_conversion, reason = "the width of these fields differs between libcs")]
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let s = statvfs(path)?;
        let block = u64::from(s.fragment_size());
        let bytes = |blocks: u64| blocks.saturating_mul(block);
        Ok(Self {
            total: bytes(u64::from(s.blocks())),
            free: bytes(u64::from(s.blocks_free())),
            available: bytes(u64::from(s.blocks_available())),
        })
    }

    fn used(self) -> u64 {
        self.total.saturating_sub(self.free)
    }

    /// As `df` prints it.
    fn used_percent(self) -> f64 {
        let all = self.used().saturating_add(self.available);
        if all == 0 { 0.0 } else { self.used() as f64 / all as f64 * 100.0 }
    }

    /// Recordings are stopped below this: 3 % of the disk but 64 MiB to 1 GiB, and on a small disk
    /// no more than 5 % of it. At 8 Mbit/s 64 MiB last a minute; the guard looks every second.
    fn floor(self) -> u64 {
        (self.total / 100 * 3).clamp(64 << 20, 1 << 30).min(self.total / 20)
    }
}

/// What to do after a look at the disk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Do {
    /// Tell that the warning mark was passed, upwards or downwards.
    Warn { used_percent: f64, above: bool },
    /// Free the reserve and end every recording.
    StopAll,
    /// There is room for the reserve again.
    Reserve,
}

/// The decisions; one for the data disk.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    warn_percent: f64,
    refuse_percent: f64,
    space: Space,
    warned: bool,
    stopped: bool,
}

/// Below the mark by this much before a warning may come again.
const HYSTERESIS_PERCENT: f64 = 1.0;

impl Guard {
    pub(super) fn new(warn_percent: f64, refuse_percent: f64) -> Self {
        Self { warn_percent, refuse_percent, space: Space::default(), warned: false, stopped: false }
    }

    /// A look at the disk; `recording` = something is being recorded.
    pub(super) fn step(&mut self, space: Space, recording: bool) -> Vec<Do> {
        self.space = space;
        let mut todo = Vec::new();
        let used_percent = space.used_percent();
        if !self.warned && used_percent >= self.warn_percent {
            self.warned = true;
            todo.push(Do::Warn { used_percent, above: true });
        } else if self.warned && used_percent < self.warn_percent - HYSTERESIS_PERCENT {
            self.warned = false;
            todo.push(Do::Warn { used_percent, above: false });
        }
        if space.available < space.floor() {
            if recording || !self.stopped {
                self.stopped = true;
                todo.push(Do::StopAll);
            }
        } else if space.available > space.floor().saturating_add(reserve_size(space) * 2) {
            self.stopped = false;
            todo.push(Do::Reserve);
        }
        todo
    }

    pub(super) fn view(&self) -> StorageView {
        self.view_of(self.space)
    }

    /// What a newer look says, before anything is decided by it.
    pub(super) fn view_of(&self, space: Space) -> StorageView {
        StorageView {
            total: space.total,
            used: space.used(),
            available: space.available,
            used_percent: space.used_percent(),
            low: space.used_percent() >= self.warn_percent,
            warning: self.warned,
            refusing: self.refusal().is_some(),
        }
    }

    /// Why nothing new may be recorded now.
    pub(super) fn refusal(&self) -> Option<Error> {
        let space = self.space;
        let percent = space.used_percent();
        if space.total == 0 || (percent < self.refuse_percent && space.available >= space.floor()) {
            return None;
        }
        let detail = format!(
            "the disk is {percent:.1} % full ({} of {} left); new recordings are refused from {} %",
            show_size(space.available),
            show_size(space.total),
            self.refuse_percent
        );
        Some(
            Error::dependency("storage", detail)
                .with("reason", "storage_full")
                .with("used_percent", percent)
                .with("available_bytes", space.available)
                .with("suggestion", "delete recordings that are no longer needed, then try again"),
        )
    }
}

fn reserve_size(space: Space) -> u64 {
    (16 << 20).min(space.total / 50)
}

/// Keeps bytes on the disk that are freed when the last rows must be written. Blocks.
pub(super) fn make_reserve(path: &Path, space: Space) -> Result<()> {
    let size = reserve_size(space);
    if fs::metadata(path).is_ok_and(|m| m.len() >= size) {
        return Ok(());
    }
    let make = || -> io::Result<()> {
        let file = File::create(path)?;
        let length = i64::try_from(size).unwrap_or(i64::MAX);
        match fallocate(&file, FallocateFlags::empty(), 0, length) {
            // Where blocks cannot be reserved (overlayfs on some kernels), ordinary zeros keep them.
            Err(nix::errno::Errno::EOPNOTSUPP) => {
                io::copy(&mut io::Read::take(io::repeat(0), size), &mut &file).map(drop)?;
            }
            other => other?,
        }
        file.sync_all()
    };
    make().map_err(super::folder::disk_error)
}

/// Less than this, and the database may not open: its log and index, the files of `run`.
const ROOM_TO_START: u64 = 4 << 20;

/// Before anything is opened: a disk without room for a start gives the reserve for it. Blocks.
pub fn make_room_to_start(root: &Path) {
    let full = Space::of(root).is_ok_and(|space| space.available < ROOM_TO_START);
    if full && fs::remove_file(Places::new(root).reserve()).is_ok() {
        tracing::warn!("the data disk is full: the reserve is given up, so that the box can start");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GB: u64 = 1 << 30;

    fn space(total: u64, available: u64) -> Space {
        Space { total, free: available, available }
    }

    #[test]
    fn it_warns_once_refuses_and_stops_before_the_disk_is_full() {
        let mut g = Guard::new(70.0, 85.0);
        assert_eq!(g.step(space(100 * GB, 40 * GB), true), [Do::Reserve]);
        let todo = g.step(space(100 * GB, 29 * GB), true);
        assert!(matches!(todo[0], Do::Warn { above: true, .. }), "{todo:?}");
        assert_eq!(g.step(space(100 * GB, 28 * GB), true), [Do::Reserve]);
        assert!(g.refusal().is_none());
        g.step(space(100 * GB, 15 * GB), true);
        let e = g.refusal().unwrap();
        assert_eq!(e.data()["dependency"], "storage");
        assert!(e.message().contains("85.0 % full"), "{e}");
        assert_eq!(g.step(space(100 * GB, GB - 1), true), [Do::StopAll]);
        assert_eq!(g.step(space(100 * GB, GB - 1), false), []);
        // One that slipped through is ended too.
        assert_eq!(g.step(space(100 * GB, GB - 1), true), [Do::StopAll]);
        let todo = g.step(space(100 * GB, 50 * GB), false);
        assert!(matches!(todo[..], [Do::Warn { above: false, .. }, Do::Reserve]), "{todo:?}");
    }

    #[test]
    fn the_floor_suits_small_and_large_disks() {
        let floor = |total: u64| space(total, 0).floor() >> 20;
        assert_eq!([floor(256 << 20), floor(8 * GB), floor(1000 * GB)], [12, 245, 1024]);
    }

    #[test]
    fn roots_share_counts_as_df_counts_it() {
        let s = Space { total: 100, free: 20, available: 15 };
        assert!((s.used_percent() - 84.21).abs() < 0.01);
    }

    #[test]
    fn the_reserve_holds_real_blocks() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("reserve");
        make_reserve(&path, space(100 * GB, GB)).unwrap();
        make_reserve(&path, space(100 * GB, GB)).unwrap();
        let meta = fs::metadata(&path).unwrap();
        assert_eq!(meta.len(), 16 << 20);
        assert!(meta.blocks() * 512 >= 16 << 20);
    }
}
